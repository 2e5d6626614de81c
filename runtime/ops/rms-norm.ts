import { expectDim, expectInputs, expectMatrix, expectVector, tensor, type OperationDefinition } from './operation.ts';

/**
 * Root-mean-square norm of each row of x [n, columns]: x / sqrt(mean(x²) + epsilon) × weight.
 * The weight [columns] multiplies as it stands (Llama's convention; not Gemma's 1 + weight).
 * Source: Zhang and Sennrich 2019, https://arxiv.org/abs/1910.07467.
 */
export const rmsNorm: OperationDefinition<'rmsNorm'> = {
  name: 'rmsNorm',
  inputs: ['x'],
  outputs: ['normed'],
  weights: ({ weight }) => [weight],
  states: () => [],

  shape(inputs, { weight }, context) {
    expectInputs('rmsNorm', inputs.length, 1);
    const [n, columns] = expectMatrix('rmsNorm', 'x', inputs[0]);
    expectDim(
      'rmsNorm',
      `the length of ${weight}`,
      expectVector('rmsNorm', weight, context.weightShape(weight)),
      columns,
    );
    return [[n, columns]];
  },

  reference([x], { weight, epsilon }, context) {
    const out = tensor(x!.shape);
    normRows(x!.data, context.weight(weight).data, epsilon, out.data);
    return [out];
  },

  cost([x], { weight }, context) {
    return { flops: 4 * x![0]! * x![1]!, bytes: context.weightBytes(weight) };
  },
};

/** Norms each run of `weight.length` numbers of `x` into `out` (which may be `x`). Sums in float64. */
export function normRows(
  x: ArrayLike<number>,
  weight: ArrayLike<number>,
  epsilon: number,
  out: { [index: number]: number },
): void {
  const columns = weight.length;
  for (let start = 0; start < x.length; start += columns) {
    let squares = 0;
    for (let i = 0; i < columns; i++) squares += x[start + i]! ** 2;
    const scale = 1 / Math.sqrt(squares / columns + epsilon);
    for (let i = 0; i < columns; i++) out[start + i] = x[start + i]! * scale * weight[i]!;
  }
}
