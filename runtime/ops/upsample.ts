import { imageCount } from './conv-geometry.ts';
import { expectInputs, expectMatrix, expectThat, tensor, type OperationDefinition } from './operation.ts';

/**
 * Images made `scale` times larger: x [images·height·width, channels] → [images·height·scale·width·scale, channels].
 * `nearest` repeats pixels. `bilinear` takes an output pixel's centre, (i + ½)/scale − ½ in the input, between its four
 * neighbours, the edges repeated: PyTorch's align_corners = false.
 */
export const upsample: OperationDefinition<'upsample'> = {
  name: 'upsample',
  inputs: ['x'],
  outputs: ['y'],
  weights: () => [],
  states: () => [],

  shape(inputs, attributes) {
    const { scale } = attributes;
    expectInputs('upsample', inputs.length, 1);
    const [n, channels] = expectMatrix('upsample', 'x', inputs[0]);
    imageCount('upsample', n, attributes);
    expectThat(
      'upsample',
      Number.isInteger(scale) && scale >= 1,
      `scale is ${scale}; it must be a whole number from 1 on.`,
    );
    return [[(n as number) * scale * scale, channels]];
  },

  reference([x], { height, width, scale, mode }) {
    const [n, channels] = x!.shape as readonly [number, number];
    const out = tensor([n * scale * scale, channels]);
    const [outHeight, outWidth] = [height * scale, width * scale];
    /** The two neighbours of an output place, and the second one's share. */
    const between = (at: number, size: number): [number, number, number] => {
      if (mode === 'nearest') return [Math.floor(at / scale), Math.floor(at / scale), 0];
      const place = Math.max(0, (at + 0.5) / scale - 0.5);
      const first = Math.floor(place);
      return [first, Math.min(first + 1, size - 1), place - first];
    };
    for (let row = 0; row < out.shape[0]!; row++) {
      const image = Math.floor(row / (outHeight * outWidth));
      const [y0, y1, dy] = between(Math.floor(row / outWidth) % outHeight, height);
      const [x0, x1, dx] = between(row % outWidth, width);
      const pixel = (y: number, at: number) => ((image * height + y) * width + at) * channels;
      for (let c = 0; c < channels; c++) {
        const along = (y: number) => x!.data[pixel(y, x0) + c]! * (1 - dx) + x!.data[pixel(y, x1) + c]! * dx;
        out.data[row * channels + c] = along(y0) * (1 - dy) + along(y1) * dy;
      }
    }
    return [out];
  },

  cost: ([x], { scale }) => ({ flops: 8 * x![0]! * x![1]! * scale * scale, bytes: 0 }),
};
