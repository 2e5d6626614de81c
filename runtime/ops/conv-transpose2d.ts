import { convTransposeOutput, expectGeometry, imageCount } from './conv-geometry.ts';
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
 * Transposed convolution: each pixel of x [images·height·width, channels] adds its kernel to the output at stride times its
 * place; → [images·outHeight·outWidth, features]. The weight is a vector in the order of a checkpoint's tensor [channels,
 * features/groups, kernelHeight, kernelWidth], in f32.
 */
export const convTranspose2d: OperationDefinition<'convTranspose2d'> = {
  name: 'convTranspose2d',
  inputs: ['x'],
  outputs: ['y'],
  weights: ({ weight, bias }) => (bias === undefined ? [weight] : [weight, bias]),
  states: () => [],

  shape(inputs, attributes, context) {
    const { weight, bias, groups, features, kernelHeight, kernelWidth, outputPadding, stride, dilation } = attributes;
    expectInputs('convTranspose2d', inputs.length, 1);
    const [n, channels] = expectMatrix('convTranspose2d', 'x', inputs[0]);
    const out = convTransposeOutput(attributes);
    expectGeometry('convTranspose2d', attributes, out);
    expectThat(
      'convTranspose2d',
      outputPadding >= 0 && outputPadding < Math.max(stride, dilation),
      `outputPadding is ${outputPadding}; it must be less than the stride or the dilation.`,
    );
    const isGrouped = typeof channels === 'number' && channels % groups === 0 && features % groups === 0;
    expectThat(
      'convTranspose2d',
      isGrouped,
      `${String(channels)} channels and ${features} features are no ${groups} groups.`,
    );
    const numbers = (channels as number) * (features / groups) * kernelHeight * kernelWidth;
    expectDim('convTranspose2d', weight, expectVector('convTranspose2d', weight, context.weightShape(weight)), numbers);
    if (bias !== undefined) {
      expectDim('convTranspose2d', bias, expectVector('convTranspose2d', bias, context.weightShape(bias)), features);
    }
    return [[imageCount('convTranspose2d', n, attributes) * out.height * out.width, features]];
  },

  reference([x], attributes, context) {
    const { weight, bias, groups, features, height, width, kernelHeight, kernelWidth } = attributes;
    const { stride, padding, dilation } = attributes;
    const [n, channels] = x!.shape as readonly [number, number];
    const kernel = context.weight(weight).data;
    const { height: outHeight, width: outWidth } = convTransposeOutput(attributes);
    const groupFeatures = features / groups;
    const images = n / (height * width);
    const sums = new Float64Array(images * outHeight * outWidth * features);
    for (let row = 0; row < n; row++) {
      const image = Math.floor(row / (height * width));
      for (let ky = 0; ky < kernelHeight; ky++) {
        const y = (Math.floor(row / width) % height) * stride - padding + ky * dilation;
        if (y < 0 || y >= outHeight) continue;
        for (let kx = 0; kx < kernelWidth; kx++) {
          const at = (row % width) * stride - padding + kx * dilation;
          if (at < 0 || at >= outWidth) continue;
          for (let channel = 0; channel < channels; channel++) {
            const group = Math.floor(channel / (channels / groups));
            for (let f = 0; f < groupFeatures; f++) {
              const factor = kernel[((channel * groupFeatures + f) * kernelHeight + ky) * kernelWidth + kx]!;
              const target = ((image * outHeight + y) * outWidth + at) * features + group * groupFeatures + f;
              sums[target]! += x!.data[row * channels + channel]! * factor;
            }
          }
        }
      }
    }
    const shifts = bias === undefined ? undefined : context.weight(bias).data;
    const data = Float32Array.from(sums, (sum, i) => sum + (shifts?.[i % features] ?? 0));
    return [tensor([images * outHeight * outWidth, features], data)];
  },

  cost([x], { weight, bias, groups, features, kernelHeight, kernelWidth }, context) {
    const bytes = context.weightBytes(weight) + (bias === undefined ? 0 : context.weightBytes(bias));
    return { flops: (2 * x![0]! * x![1]! * features * kernelHeight * kernelWidth) / groups, bytes };
  },
};
