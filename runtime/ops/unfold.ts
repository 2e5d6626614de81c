import { convOutput, expectGeometry, imageCount } from './conv-geometry.ts';
import { expectInputs, expectMatrix, expectThat, tensor, type OperationDefinition } from './operation.ts';

/**
 * What a kernel sees at each of its places (im2col): x [images·height·width, channels] → [images·outHeight·outWidth,
 * channels·kernelHeight·kernelWidth], a row's numbers in the order (channel, y, x) of a checkpoint's kernels; zeros in the
 * padding. With `linear` behind it, a convolution in any format that `linear` has: for kernels that do not overlap (the
 * patches of a vision transformer) it moves no more numbers than there are.
 */
export const unfold: OperationDefinition<'unfold'> = {
  name: 'unfold',
  inputs: ['x'],
  outputs: ['patches'],
  weights: () => [],
  states: () => [],

  shape(inputs, attributes) {
    expectInputs('unfold', inputs.length, 1);
    const [n, channels] = expectMatrix('unfold', 'x', inputs[0]);
    const out = convOutput(attributes);
    expectGeometry('unfold', attributes, out);
    expectThat('unfold', typeof channels === 'number', 'the number of channels must be known.');
    const images = imageCount('unfold', n, attributes);
    const { kernelHeight, kernelWidth } = attributes;
    return [[images * out.height * out.width, (channels as number) * kernelHeight * kernelWidth]];
  },

  reference([x], attributes) {
    const { height, width, kernelHeight, kernelWidth, stride, padding, dilation } = attributes;
    const [n, channels] = x!.shape as readonly [number, number];
    const { height: outHeight, width: outWidth } = convOutput(attributes);
    const area = kernelHeight * kernelWidth;
    const images = n / (height * width);
    const out = tensor([images * outHeight * outWidth, channels * area]);
    for (let row = 0; row < out.shape[0]!; row++) {
      const outX = row % outWidth;
      const outY = Math.floor(row / outWidth) % outHeight;
      const image = Math.floor(row / (outWidth * outHeight));
      for (let i = 0; i < channels * area; i++) {
        const y = outY * stride - padding + Math.floor((i % area) / kernelWidth) * dilation;
        const at = outX * stride - padding + (i % kernelWidth) * dilation;
        if (y < 0 || y >= height || at < 0 || at >= width) continue;
        out.data[row * channels * area + i] =
          x!.data[((image * height + y) * width + at) * channels + Math.floor(i / area)]!;
      }
    }
    return [out];
  },

  cost: () => ({ flops: 0, bytes: 0 }),
};
