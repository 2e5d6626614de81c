import { expectDim, expectInputs, expectMatrix, expectThat, tensor, type OperationDefinition } from './operation.ts';

/**
 * Rotates the first `heads` heads of each row of x [tokens, columns] by the row of rotary [tokens, headDim] (cos in its first
 * half, sin in its second) and copies the other columns: of stacked queries, keys and values the first two. Halves are paired
 * (i, i + headDim/2) as rotaryCache does. Source: Su et al. 2021, https://arxiv.org/abs/2104.09864.
 */
export const rotate: OperationDefinition<'rotate'> = {
  name: 'rotate',
  inputs: ['x', 'rotary'],
  outputs: ['rotated'],
  weights: () => [],
  states: () => [],

  shape(inputs, { heads, headDim }) {
    expectInputs('rotate', inputs.length, 2);
    const [n, columns] = expectMatrix('rotate', 'x', inputs[0]);
    const [rotaryRows, rotaryColumns] = expectMatrix('rotate', 'rotary', inputs[1]);
    expectDim('rotate', 'the rows of rotary', rotaryRows, n);
    expectDim('rotate', 'the columns of rotary', rotaryColumns, headDim);
    expectThat('rotate', headDim % 2 === 0, `headDim is ${headDim}; it must be even.`, { headDim });
    expectThat(
      'rotate',
      typeof columns === 'number' && heads * headDim <= columns,
      `x has ${String(columns)} columns, too few for ${heads} heads of ${headDim}.`,
    );
    return [[n, columns]];
  },

  reference([x, rotary], { heads, headDim }) {
    const [n, columns] = x!.shape as readonly [number, number];
    const half = headDim / 2;
    const out = tensor(x!.shape, Float32Array.from(x!.data));
    for (let row = 0; row < n; row++) {
      for (let head = 0; head < heads; head++) {
        const at = row * columns + head * headDim;
        for (let i = 0; i < half; i++) {
          const cos = rotary!.data[row * headDim + i]!;
          const sin = rotary!.data[row * headDim + half + i]!;
          const [a, b] = [x!.data[at + i]!, x!.data[at + half + i]!];
          out.data[at + i] = a * cos - b * sin;
          out.data[at + half + i] = b * cos + a * sin;
        }
      }
    }
    return [out];
  },

  cost: ([x], { heads, headDim }) => ({ flops: 3 * x![0]! * heads * headDim, bytes: 0 }),
};
