import { convOutput, expectGeometry, imageCount } from './conv-geometry.ts';
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
 * Two-dimensional convolution (cross-correlation, as deep learning has it) with zero padding, stride, dilation and groups:
 * x [images·height·width, channels] → [images·outHeight·outWidth, features], both channels last.
 *
 * The weight is a matrix [features, channels/groups·kernelHeight·kernelWidth] in the order of a checkpoint's OIHW tensor.
 * With more than one group it is a vector of the same numbers: depth-wise kernels are few and small, and stay in f32.
 */
export const conv2d: OperationDefinition<'conv2d'> = {
  name: 'conv2d',
  inputs: ['x'],
  outputs: ['y'],
  weights: ({ weight, bias }) => (bias === undefined ? [weight] : [weight, bias]),
  states: () => [],

  shape(inputs, attributes, context) {
    const { weight, bias, groups, kernelHeight, kernelWidth } = attributes;
    expectInputs('conv2d', inputs.length, 1);
    const [n, channels] = expectMatrix('conv2d', 'x', inputs[0]);
    const out = convOutput(attributes);
    expectGeometry('conv2d', attributes, out);
    const isGrouped = typeof channels === 'number' && groups >= 1 && channels % groups === 0;
    expectThat('conv2d', isGrouped, `${String(channels)} channels are no ${groups} groups.`, { groups });
    const columns = ((channels as number) / groups) * kernelHeight * kernelWidth;
    const shape = context.weightShape(weight);
    const features = groups === 1 ? shape[0]! : shape[0]! / columns;
    if (groups === 1) {
      expectDim('conv2d', `the columns of ${weight}`, expectMatrix('conv2d', weight, shape)[1], columns);
    } else {
      expectVector('conv2d', weight, shape);
      expectThat('conv2d', features % groups === 0, `${features} features are no ${groups} groups.`, {
        features,
        groups,
      });
    }
    if (bias !== undefined) {
      expectDim('conv2d', `the length of ${bias}`, expectVector('conv2d', bias, context.weightShape(bias)), features);
    }
    return [[imageCount('conv2d', n, attributes) * out.height * out.width, features]];
  },

  reference([x], attributes, context) {
    const { weight, bias, groups, height, width, kernelHeight, kernelWidth, stride, padding, dilation } = attributes;
    const [n, channels] = x!.shape as readonly [number, number];
    const kernel = context.weight(weight).data;
    const shifts = bias === undefined ? undefined : context.weight(bias).data;
    const { height: outHeight, width: outWidth } = convOutput(attributes);
    const area = kernelHeight * kernelWidth;
    const groupChannels = channels / groups;
    const features = kernel.length / (groupChannels * area);
    const out = tensor([(n / (height * width)) * outHeight * outWidth, features]);
    for (let row = 0; row < out.shape[0]!; row++) {
      const outX = row % outWidth;
      const outY = Math.floor(row / outWidth) % outHeight;
      const image = Math.floor(row / (outWidth * outHeight));
      for (let feature = 0; feature < features; feature++) {
        const firstChannel = Math.floor(feature / (features / groups)) * groupChannels;
        let sum = shifts?.[feature] ?? 0;
        for (let tap = 0; tap < area; tap++) {
          const y = outY * stride - padding + Math.floor(tap / kernelWidth) * dilation;
          const at = outX * stride - padding + (tap % kernelWidth) * dilation;
          if (y < 0 || y >= height || at < 0 || at >= width) continue;
          const pixel = ((image * height + y) * width + at) * channels + firstChannel;
          for (let c = 0; c < groupChannels; c++) {
            sum += x!.data[pixel + c]! * kernel[(feature * groupChannels + c) * area + tap]!;
          }
        }
        out.data[row * features + feature] = sum;
      }
    }
    return [out];
  },

  cost([x], attributes, context) {
    const { weight, bias, height, width } = attributes;
    const out = convOutput(attributes);
    const images = x![0]! / (height * width);
    const numbers = context.weightShape(weight).reduce((a, b) => a * b, 1);
    const bytes = context.weightBytes(weight) + (bias === undefined ? 0 : context.weightBytes(bias));
    return { flops: 2 * images * out.height * out.width * numbers, bytes };
  },
};
