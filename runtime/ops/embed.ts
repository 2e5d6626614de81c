import { WpError } from '../errors.ts';
import { expectInputs, expectMatrix, expectVector, tensor, type OperationDefinition } from './operation.ts';

/**
 * Looks rows up: ids [tokens] (i32) in a table [vocabulary, columns] → [tokens, columns].
 * An id outside 0 … vocabulary − 1 is an error of the caller: the reference throws, kernels may read any row.
 */
export const embed: OperationDefinition<'embed'> = {
  name: 'embed',
  inputs: ['ids'],
  outputs: ['rows'],
  weights: ({ weight }) => [weight],
  states: () => [],

  shape(inputs, { weight }, context) {
    expectInputs('embed', inputs.length, 1);
    const tokens = expectVector('embed', 'ids', inputs[0]);
    const [, columns] = expectMatrix('embed', `the table ${weight}`, context.weightShape(weight));
    return [[tokens, columns]];
  },

  reference([ids], { weight }, context) {
    const table = context.weight(weight);
    const [vocabulary, columns] = table.shape as readonly [number, number];
    const out = tensor([ids!.data.length, columns]);
    ids!.data.forEach((id, token) => {
      if (id < 0 || id >= vocabulary) {
        throw new WpError('invalid-argument', `embed: token id ${id} is outside 0 … ${vocabulary - 1}.`, '', {
          actual: id,
          allowed: vocabulary,
        });
      }
      out.data.set(table.data.subarray(id * columns, (id + 1) * columns), token * columns);
    });
    return [out];
  },

  cost([ids], { weight }, context) {
    const vocabulary = context.weightShape(weight)[0]!;
    // A row for each token is read, not the table.
    return { flops: 0, bytes: (context.weightBytes(weight) / vocabulary) * ids![0]! };
  },
};
