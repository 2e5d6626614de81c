import { expectDim, expectInputs, expectMatrix, expectVector, tensor, type OperationDefinition } from './operation.ts';

/**
 * Layer norm of each row of x [n, columns]: (x − mean) / sqrt(variance + epsilon) × weight (+ bias); the variance is that of
 * the whole row (divided by columns). Source: Ba et al. 2016, https://arxiv.org/abs/1607.06450.
 */
export const layerNorm: OperationDefinition<'layerNorm'> = {
  name: 'layerNorm',
  inputs: ['x'],
  outputs: ['normed'],
  weights: ({ weight, bias }) => (bias === undefined ? [weight] : [weight, bias]),
  states: () => [],

  shape(inputs, { weight, bias }, context) {
    expectInputs('layerNorm', inputs.length, 1);
    const [n, columns] = expectMatrix('layerNorm', 'x', inputs[0]);
    for (const name of bias === undefined ? [weight] : [weight, bias]) {
      expectDim(
        'layerNorm',
        `the length of ${name}`,
        expectVector('layerNorm', name, context.weightShape(name)),
        columns,
      );
    }
    return [[n, columns]];
  },

  reference([x], { weight, bias, epsilon }, context) {
    const [n, columns] = x!.shape as readonly [number, number];
    const scales = context.weight(weight).data;
    const shifts = bias === undefined ? undefined : context.weight(bias).data;
    const out = tensor(x!.shape);
    for (let row = 0; row < n; row++) {
      const numbers = x!.data.subarray(row * columns, (row + 1) * columns);
      let sum = 0;
      for (const value of numbers) sum += value;
      const mean = sum / columns;
      let squares = 0;
      for (const value of numbers) squares += (value - mean) ** 2;
      const inverse = 1 / Math.sqrt(squares / columns + epsilon);
      numbers.forEach((value, i) => {
        out.data[row * columns + i] = (value - mean) * inverse * scales[i]! + (shifts?.[i] ?? 0);
      });
    }
    return [out];
  },

  cost([x], { weight, bias }, context) {
    const bytes = context.weightBytes(weight) + (bias === undefined ? 0 : context.weightBytes(bias));
    return { flops: 8 * x![0]! * x![1]!, bytes };
  },
};
