// Operations on images: rows [images·height·width, channels], which WebNN calls nhwc. What contexts do differently or lack
// (resampling, transposed and grouped convolutions) is composed: of products, and of plain convolutions.

import type { ConvGeometry, OperationAttributes } from '../../graph/types.ts';
import { convOutput, convTransposeOutput, type ImageSize } from '../../ops/conv-geometry.ts';
import type { CheckedBuilder } from './checked-builder.ts';
import type { Constants } from './constants.ts';
import type { MLOperand } from './ml-api.ts';

type Attributes<Name extends keyof OperationAttributes> = OperationAttributes[Name];

export class Images {
  constructor(
    private readonly b: CheckedBuilder,
    private readonly constants: Constants,
  ) {}

  /** What a kernel sees at each place, in the order (channel, y, x). */
  unfold(x: MLOperand, geometry: ConvGeometry): MLOperand {
    const { b } = this;
    const { kernelHeight, kernelWidth, stride, padding, dilation } = geometry;
    const out = convOutput(geometry);
    const channels = x.shape[1]!;
    const image = this.#image(x, geometry);
    const images = image.shape[0]!;
    const rows = images * out.height * out.width;
    if (stride === kernelHeight && stride === kernelWidth && padding === 0 && dilation === 1) {
      const used = b.slice(b.slice(image, 1, 0, out.height * stride), 2, 0, out.width * stride);
      // Rows of patches first, so that no more than five dimensions are turned at once.
      const apart = b.reshape(used, [images * out.height, stride, out.width, stride, channels]);
      return b.reshape(b.transpose(apart, [0, 2, 4, 1, 3]), [rows, channels * stride * stride]);
    }
    const padded = b.pad(image, [0, padding, padding, 0], [0, padding, padding, 0]);
    const taps: MLOperand[] = [];
    for (let y = 0; y < kernelHeight; y++) {
      for (let at = 0; at < kernelWidth; at++) {
        const lines = b.slice(padded, 1, y * dilation, out.height, stride);
        taps.push(b.reshape(b.slice(lines, 2, at * dilation, out.width, stride), [rows, channels, 1]));
      }
    }
    return b.reshape(b.concat(taps, 2), [rows, channels * taps.length]);
  }

  conv2d(x: MLOperand, { weight, bias, groups, ...geometry }: Attributes<'conv2d'>): MLOperand {
    const { kernelHeight, kernelWidth, stride, padding, dilation } = geometry;
    const area = kernelHeight * kernelWidth;
    const inputs = x.shape[1]! / groups;
    const features = this.constants.length(weight) / (inputs * area);
    const filter: Filter = { weight, features, inputs, groups, order: 'features-first', kernelHeight, kernelWidth };
    const sides = { top: padding, bottom: padding, left: padding, right: padding };
    const y = this.#convolve(this.#image(x, geometry), filter, stride, dilation, sides);
    return this.#rows(y, bias);
  }

  /** Zeros between the pixels, then a convolution with the kernel turned round. */
  convTranspose2d(x: MLOperand, attributes: Attributes<'convTranspose2d'>): MLOperand {
    const { b } = this;
    const { weight, bias, groups, features, kernelHeight, kernelWidth, stride, padding, dilation } = attributes;
    const spread = this.#spread(this.#spread(this.#image(x, attributes), 1, stride), 2, stride);
    const inputs = x.shape[1]! / groups;
    const before = (kernel: number) => dilation * (kernel - 1) - padding;
    const [top, left] = [before(kernelHeight), before(kernelWidth)];
    const { outputPadding } = attributes;
    const around = b.pad(spread, [0, top, left, 0], [0, top + outputPadding, left + outputPadding, 0]);
    const filter: Filter = { weight, features, inputs, groups, order: 'inputs-first', kernelHeight, kernelWidth };
    const y = this.#convolve(around, filter, 1, dilation, { top: 0, bottom: 0, left: 0, right: 0 });
    const out = convTransposeOutput(attributes);
    const cut = b.slice(b.slice(y, 1, 0, out.height), 2, 0, out.width);
    return this.#rows(cut, bias);
  }

  groupNorm(x: MLOperand, { weight, bias, groups, epsilon, area }: Attributes<'groupNorm'>): MLOperand {
    const { b, constants } = this;
    const [rows, channels] = x.shape as [number, number];
    const apart = b.reshape(x, [rows / area, area, groups, channels / groups]);
    const normed = b.reshape(b.standardize(apart, [1, 3], epsilon), [rows, channels]);
    return b.add(b.mul(normed, constants.vector(weight)), constants.vector(bias));
  }

  /** A product along either side: each new line is a mixture of old ones. */
  upsample(x: MLOperand, { height, width, scale, mode }: Attributes<'upsample'>): MLOperand {
    const { b } = this;
    const channels = x.shape[1]!;
    const images = x.shape[0]! / (height * width);
    const along = (size: number) => b.numbers([1, size * scale, size], mixture(size, scale, mode));
    const tall = this.#product(along(height), b.reshape(x, [images, height, width * channels]));
    const lines = b.reshape(tall, [images * height * scale, width, channels]);
    return b.reshape(this.#product(along(width), lines), [images * height * scale * width * scale, channels]);
  }

  #product(mixing: MLOperand, x: MLOperand): MLOperand {
    const [, rows, columns] = mixing.shape as [number, number, number];
    return this.b.binary('matmul', this.b.expand(mixing, [x.shape[0]!, rows, columns]), x);
  }

  #image(x: MLOperand, { height, width }: ImageSize): MLOperand {
    const [rows, channels] = x.shape as [number, number];
    return this.b.reshape(x, [rows / (height * width), height, width, channels]);
  }

  #rows(image: MLOperand, bias: string | undefined): MLOperand {
    const [images, height, width, channels] = image.shape as [number, number, number, number];
    const rows = this.b.reshape(image, [images * height * width, channels]);
    return bias === undefined ? rows : this.b.add(rows, this.constants.vector(bias));
  }

  /** size → (size − 1)·stride + 1 along an axis. */
  #spread(image: MLOperand, axis: 1 | 2, stride: number): MLOperand {
    if (stride === 1) return image;
    const { b } = this;
    const size = image.shape[axis]!;
    const before = image.shape.slice(0, axis).reduce((product, n) => product * n, 1);
    const behind = image.shape.slice(axis + 1).reduce((product, n) => product * n, 1);
    const pixels = b.reshape(image, [before, size, 1, behind]);
    const zeros = b.numbers(
      [before, size, stride - 1, behind],
      new Float32Array(before * size * (stride - 1) * behind),
    );
    const shape = image.shape.map((n, i) => (i === axis ? n * stride : n));
    return b.slice(b.reshape(b.concat([pixels, zeros], 2), shape), axis, 0, (size - 1) * stride + 1);
  }

  #convolve(
    image: MLOperand,
    filter: Filter,
    stride: number,
    dilation: number,
    { top, bottom, left, right }: Record<'top' | 'bottom' | 'left' | 'right', number>,
  ): MLOperand {
    const { b, constants } = this;
    const { weight, features, inputs, groups, kernelHeight, kernelWidth } = filter;
    const options = {
      padding: [top, bottom, left, right] as const,
      strides: [stride, stride] as const,
      dilations: [dilation, dilation] as const,
      inputLayout: 'nhwc' as const,
    };
    if (groups > 1 && inputs === 1 && features === groups) {
      const shape = [1, kernelHeight, kernelWidth, features];
      const kernel = constants.arranged(weight, 'depth-wise', shape, (numbers) => deepFilter(numbers, filter));
      return b.conv2d(image, kernel, { ...options, groups, filterLayout: 'ihwo' });
    }
    const each = features / groups;
    const parts = Array.from({ length: groups }, (_, group) => {
      const kernel = constants.arranged(
        weight,
        `group ${group}`,
        [each, kernelHeight, kernelWidth, inputs],
        (numbers) => groupFilter(numbers, filter, group),
      );
      const part = b.slice(image, 3, group * inputs, inputs);
      return b.conv2d(part, kernel, { ...options, groups: 1, filterLayout: 'ohwi' });
    });
    return b.concat(parts, 3);
  }
}

interface Filter {
  weight: string;
  /** Of all groups. */
  features: number;
  /** Channels of a group. */
  inputs: number;
  groups: number;
  /**
   * As a checkpoint has it: [features, inputs, y, x], or, of a transposed convolution, [groups·inputs, features/groups, y, x] with
   * the kernel turned round.
   */
  order: 'features-first' | 'inputs-first';
  kernelHeight: number;
  kernelWidth: number;
}

/** [features/groups, y, x, inputs] of one group. */
function groupFilter(numbers: Float32Array, filter: Filter, group: number): Float32Array<ArrayBuffer> {
  const { features, inputs, groups, kernelHeight, kernelWidth } = filter;
  const [each, area] = [features / groups, kernelHeight * kernelWidth];
  const out = new Float32Array(each * area * inputs);
  for (let feature = 0; feature < each; feature++) {
    for (let input = 0; input < inputs; input++) {
      for (let tap = 0; tap < area; tap++) {
        out[(feature * area + tap) * inputs + input] = numbers[placeOf(filter, group, feature, input, tap)]!;
      }
    }
  }
  return out;
}

/** [1, y, x, features] where every channel has a kernel of its own. */
function deepFilter(numbers: Float32Array, filter: Filter): Float32Array<ArrayBuffer> {
  const { features, kernelHeight, kernelWidth } = filter;
  const area = kernelHeight * kernelWidth;
  const out = new Float32Array(area * features);
  for (let feature = 0; feature < features; feature++) {
    for (let tap = 0; tap < area; tap++) out[tap * features + feature] = numbers[placeOf(filter, feature, 0, 0, tap)]!;
  }
  return out;
}

function placeOf(filter: Filter, group: number, feature: number, input: number, tap: number): number {
  const { features, inputs, groups, order, kernelHeight, kernelWidth } = filter;
  const [each, area] = [features / groups, kernelHeight * kernelWidth];
  if (order === 'features-first') return ((group * each + feature) * inputs + input) * area + tap;
  return ((group * inputs + input) * each + feature) * area + (area - 1 - tap);
}

/** [size·scale, size]: how much of each old line a new one takes; bilinear as align_corners = false has it. */
function mixture(size: number, scale: number, mode: 'nearest' | 'bilinear'): Float32Array<ArrayBuffer> {
  const out = new Float32Array(size * scale * size);
  for (let line = 0; line < size * scale; line++) {
    if (mode === 'nearest') {
      out[line * size + Math.floor(line / scale)] = 1;
      continue;
    }
    const at = Math.max(0, (line + 0.5) / scale - 0.5);
    const first = Math.floor(at);
    out[line * size + first]! += 1 - (at - first);
    out[line * size + Math.min(first + 1, size - 1)]! += at - first;
  }
  return out;
}
