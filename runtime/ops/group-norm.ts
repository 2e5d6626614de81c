import { imageCount } from './conv-geometry.ts';
import {
  expectDim,
  expectInputs,
  expectMatrix,
  expectThat,
  expectVector,
  tensor,
  type OperationDefinition,
} from './operation.ts';

/**
 * Group norm of x [images·area, channels]: the mean and variance of each image's area × a group's channels, then × weight +
 * bias of each channel. Source: Wu and He 2018, https://arxiv.org/abs/1803.08494.
 */
export const groupNorm: OperationDefinition<'groupNorm'> = {
  name: 'groupNorm',
  inputs: ['x'],
  outputs: ['normed'],
  weights: ({ weight, bias }) => [weight, bias],
  states: () => [],

  shape(inputs, { weight, bias, groups, area }, context) {
    expectInputs('groupNorm', inputs.length, 1);
    const [n, channels] = expectMatrix('groupNorm', 'x', inputs[0]);
    imageCount('groupNorm', n, { height: area, width: 1 });
    const isGrouped = typeof channels === 'number' && groups >= 1 && channels % groups === 0;
    expectThat('groupNorm', isGrouped, `${String(channels)} channels are no ${groups} groups.`, { groups });
    for (const name of [weight, bias]) {
      expectDim('groupNorm', name, expectVector('groupNorm', name, context.weightShape(name)), channels);
    }
    return [[n, channels]];
  },

  reference([x], { weight, bias, groups, epsilon, area }, context) {
    const [n, channels] = x!.shape as readonly [number, number];
    const scales = context.weight(weight).data;
    const shifts = context.weight(bias).data;
    const size = channels / groups;
    const out = tensor(x!.shape);
    for (let image = 0; image < n / area; image++) {
      for (let group = 0; group < groups; group++) {
        const start = image * area * channels + group * size;
        const each = (visit: (at: number, channel: number) => void): void => {
          for (let pixel = 0; pixel < area; pixel++) {
            for (let c = 0; c < size; c++) visit(start + pixel * channels + c, group * size + c);
          }
        };
        let sum = 0;
        each((at) => (sum += x!.data[at]!));
        const mean = sum / (area * size);
        let squares = 0;
        each((at) => (squares += (x!.data[at]! - mean) ** 2));
        const inverse = 1 / Math.sqrt(squares / (area * size) + epsilon);
        each((at, c) => (out.data[at] = (x!.data[at]! - mean) * inverse * scales[c]! + shifts[c]!));
      }
    }
    return [out];
  },

  cost: ([x], { weight, bias }, context) => ({
    flops: 8 * x![0]! * x![1]!,
    bytes: context.weightBytes(weight) + context.weightBytes(bias),
  }),
};
