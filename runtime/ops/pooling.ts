// What makes one vector of a text's or an image's rows. (The first or the last token alone: selectRows.)

import { expectDim, expectInputs, expectMatrix, expectThat, tensor, type OperationDefinition } from './operation.ts';

/** The mean of rows first … end − 1 of x [tokens, columns] for each of ranges [outputs, 2] i32; zeros for an empty range. */
export const meanRows: OperationDefinition<'meanRows'> = {
  name: 'meanRows',
  inputs: ['x', 'ranges'],
  outputs: ['means'],
  weights: () => [],
  states: () => [],

  shape(inputs) {
    expectInputs('meanRows', inputs.length, 2);
    const [, columns] = expectMatrix('meanRows', 'x', inputs[0]);
    const [outputs, two] = expectMatrix('meanRows', 'ranges', inputs[1]);
    expectDim('meanRows', 'the columns of ranges', two, 2);
    return [[outputs, columns]];
  },

  reference([x, ranges]) {
    const columns = x!.shape[1]!;
    const out = tensor([ranges!.shape[0]!, columns]);
    for (let i = 0; i < ranges!.shape[0]!; i++) {
      const [first, end] = [ranges!.data[2 * i]!, ranges!.data[2 * i + 1]!];
      for (let column = 0; column < columns && end > first; column++) {
        let sum = 0;
        for (let row = first; row < end; row++) sum += x!.data[row * columns + column]!;
        out.data[i * columns + column] = sum / (end - first);
      }
    }
    return [out];
  },

  cost: ([x]) => ({ flops: x![0]! * x![1]!, bytes: 0 }),
};

/** Each row of x [n, columns] divided by its length, or by epsilon where it is shorter. */
export const normalizeRows: OperationDefinition<'normalizeRows'> = {
  name: 'normalizeRows',
  inputs: ['x'],
  outputs: ['normalized'],
  weights: () => [],
  states: () => [],

  shape(inputs, { epsilon }) {
    expectInputs('normalizeRows', inputs.length, 1);
    expectThat('normalizeRows', epsilon > 0, `epsilon is ${epsilon}; it must be more than 0.`, { epsilon });
    return [expectMatrix('normalizeRows', 'x', inputs[0])];
  },

  reference([x], { epsilon }) {
    const columns = x!.shape[1]!;
    const out = tensor(x!.shape);
    for (let start = 0; start < x!.data.length; start += columns) {
      const row = x!.data.subarray(start, start + columns);
      let squares = 0;
      for (const value of row) squares += value * value;
      const length = Math.max(Math.sqrt(squares), epsilon);
      row.forEach((value, i) => (out.data[start + i] = value / length));
    }
    return [out];
  },

  cost: ([x]) => ({ flops: 3 * x![0]! * x![1]!, bytes: 0 }),
};
