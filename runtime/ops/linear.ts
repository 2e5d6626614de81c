import { expectDim, expectInputs, expectMatrix, expectVector, tensor, type OperationDefinition } from './operation.ts';

/**
 * x [n, columns] × the transpose of weight [rows, columns] (+ bias [rows]) → [n, rows]. The weight is as checkpoints
 * store it: a row is an output feature. Backends may round x to 8 bits on the way; the reference does not.
 */
export const linear: OperationDefinition<'linear'> = {
  name: 'linear',
  inputs: ['x'],
  outputs: ['y'],
  weights: ({ weight, bias }) => (bias === undefined ? [weight] : [weight, bias]),
  states: () => [],

  shape(inputs, { weight, bias }, context) {
    expectInputs('linear', inputs.length, 1);
    const [n, columns] = expectMatrix('linear', 'x', inputs[0]);
    const [rows, weightColumns] = expectMatrix('linear', weight, context.weightShape(weight));
    expectDim('linear', `the columns of x, for ${weight},`, columns, weightColumns);
    if (bias !== undefined) {
      expectDim('linear', `the length of ${bias}`, expectVector('linear', bias, context.weightShape(bias)), rows);
    }
    return [[n, rows]];
  },

  reference([x], { weight, bias }, context) {
    const matrix = context.weight(weight);
    const biasData = bias === undefined ? undefined : context.weight(bias).data;
    const [rows, columns] = matrix.shape as readonly [number, number];
    const n = x!.shape[0]!;
    const out = tensor([n, rows]);
    const xData = x!.data;
    const weightData = matrix.data;
    for (let i = 0; i < n; i++) {
      for (let row = 0; row < rows; row++) {
        let sum = biasData?.[row] ?? 0;
        for (let column = 0; column < columns; column++) {
          sum += xData[i * columns + column]! * weightData[row * columns + column]!;
        }
        out.data[i * rows + row] = sum;
      }
    }
    return [out];
  },

  cost([x], { weight, bias }, context) {
    const [rows, columns] = context.weightShape(weight) as readonly [number, number];
    const bytes = context.weightBytes(weight) + (bias === undefined ? 0 : context.weightBytes(bias));
    return { flops: 2 * x![0]! * rows * columns, bytes };
  },
};
