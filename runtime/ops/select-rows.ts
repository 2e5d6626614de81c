import { WpError } from '../errors.ts';
import { expectInputs, expectMatrix, expectVector, tensor, type OperationDefinition } from './operation.ts';

/**
 * (x [tokens, columns], rows [outputs] i32) → [outputs, columns]: the rows whose logits are wanted, so that the output
 * matrix is not multiplied for a whole prompt. A row outside 0 … tokens − 1 is an error of the caller.
 */
export const selectRows: OperationDefinition<'selectRows'> = {
  name: 'selectRows',
  inputs: ['x', 'rows'],
  outputs: ['selected'],
  weights: () => [],
  states: () => [],

  shape(inputs) {
    expectInputs('selectRows', inputs.length, 2);
    const [, columns] = expectMatrix('selectRows', 'x', inputs[0]);
    const outputs = expectVector('selectRows', 'rows', inputs[1]);
    return [[outputs, columns]];
  },

  reference([x, rows]) {
    const [tokens, columns] = x!.shape as readonly [number, number];
    const out = tensor([rows!.data.length, columns]);
    rows!.data.forEach((row, i) => {
      if (row < 0 || row >= tokens) {
        throw new WpError('invalid-argument', `selectRows: row ${row} is outside 0 … ${tokens - 1}.`, '', {
          actual: row,
          allowed: tokens,
        });
      }
      out.data.set(x!.data.subarray(row * columns, (row + 1) * columns), i * columns);
    });
    return [out];
  },

  cost: () => ({ flops: 0, bytes: 0 }),
};
