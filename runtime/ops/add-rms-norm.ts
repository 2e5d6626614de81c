import { add } from './add.ts';
import { expectInputs, tensor, type OperationDefinition } from './operation.ts';
import { normRows, rmsNorm } from './rms-norm.ts';

/**
 * The residual and the norm after it in one step: (x, residual), both [n, columns] → (sum, normed), both [n, columns];
 * sum = x + residual, normed = rmsNorm(sum). Families write `add` and `rmsNorm`; the pass fuse-residual-norm makes this.
 */
export const addRmsNorm: OperationDefinition<'addRmsNorm'> = {
  name: 'addRmsNorm',
  inputs: ['x', 'residual'],
  outputs: ['sum', 'normed'],
  weights: ({ weight }) => [weight],
  states: () => [],

  shape(inputs, attributes, context) {
    expectInputs('addRmsNorm', inputs.length, 2);
    const [sum] = add.shape(inputs, {}, context);
    const [normed] = rmsNorm.shape([sum!], attributes, context);
    return [sum!, normed!];
  },

  reference([x, residual], { weight, epsilon }, context) {
    const sum = tensor(x!.shape);
    const normed = tensor(x!.shape);
    // The norm sees the sum as it is stored, in f32.
    for (let i = 0; i < sum.data.length; i++) sum.data[i] = x!.data[i]! + residual!.data[i]!;
    normRows(sum.data, context.weight(weight).data, epsilon, normed.data);
    return [sum, normed];
  },

  cost([x], { weight }, context) {
    return { flops: 5 * x![0]! * x![1]!, bytes: context.weightBytes(weight) };
  },
};
