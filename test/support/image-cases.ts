// Small graphs of image operations with seeded weights, and what the references make of them: the same cases for each backend.

import { EncoderGraphBuilder } from '../../runtime/graph/encoder-builder.ts';
import type { ConvGeometry, Graph, ValueId } from '../../runtime/graph/types.ts';
import type { FormatName, PackedMatrix } from '../../runtime/quantization/formats.ts';
import { packWeights } from './encoder-goldens.ts';
import { Random } from './random.ts';
import { ReferenceEncoder } from './reference-encoder.ts';

export interface ImageCase {
  name: string;
  images: number;
  height: number;
  width: number;
  channels: number;
  build(b: EncoderGraphBuilder, x: ValueId): ValueId;
}

const geometry = (
  height: number,
  width: number,
  kernel: number,
  options: Partial<ConvGeometry> = {},
): ConvGeometry => ({
  height,
  width,
  kernelHeight: kernel,
  kernelWidth: kernel,
  stride: 1,
  padding: 0,
  dilation: 1,
  ...options,
});

const conv = (
  b: EncoderGraphBuilder,
  x: ValueId,
  name: string,
  channels: number,
  features: number,
  g: ConvGeometry,
) => {
  const shape = [features, channels * g.kernelHeight * g.kernelWidth];
  const bias = b.weight(`${name}.bias`, { shape: [features], role: 'bias' });
  return b.conv2d(x, { ...g, weight: b.weight(name, { shape, role: 'conv' }), bias, groups: 1 });
};

const vector = (b: EncoderGraphBuilder, name: string, length: number) =>
  b.weight(name, { shape: [length], role: 'conv' });

export const IMAGE_CASES: readonly ImageCase[] = [
  {
    name: 'a residual block: three channels in, group norm, activation',
    images: 2,
    height: 9,
    width: 7,
    channels: 3,
    build(b, x) {
      const first = conv(b, x, 'first', 3, 16, geometry(9, 7, 3, { padding: 1 }));
      const norm = { weight: vector(b, 'scale', 16), bias: vector(b, 'shift', 16), groups: 4, epsilon: 1e-5, area: 63 };
      const inner = b.activation(b.groupNorm(first, norm), 'silu');
      const second = conv(b, inner, 'second', 16, 16, geometry(9, 7, 3, { padding: 1 }));
      return b.activation(b.add(first, second), 'relu');
    },
  },
  {
    name: 'strides, dilation, a rectangle, 1 × 1',
    images: 1,
    height: 20,
    width: 18,
    channels: 8,
    build(b, x) {
      const down = conv(b, x, 'down', 8, 12, geometry(20, 18, 3, { stride: 2, padding: 1 }));
      const wide = conv(b, down, 'wide', 12, 20, geometry(10, 9, 3, { dilation: 2, padding: 2, kernelWidth: 1 }));
      return conv(b, wide, 'mix', 20, 8, geometry(10, 13, 1));
    },
  },
  {
    name: 'depth-wise and grouped',
    images: 2,
    height: 6,
    width: 5,
    channels: 8,
    build(b, x) {
      const deep = geometry(6, 5, 3, { padding: 1 });
      const first = b.conv2d(x, {
        ...deep,
        weight: vector(b, 'deep', 8 * 9),
        bias: vector(b, 'deep.bias', 8),
        groups: 8,
      });
      const grouped = geometry(6, 5, 2, { stride: 2, padding: 1 });
      return b.conv2d(first, { ...grouped, weight: vector(b, 'grouped', 12 * 4 * 4), groups: 2 });
    },
  },
  {
    name: 'transposed',
    images: 2,
    height: 4,
    width: 5,
    channels: 8,
    build(b, x) {
      const weight = vector(b, 'up', 8 * 12 * 9);
      const first = geometry(4, 5, 3, { stride: 2, padding: 1 });
      const up = { ...first, weight, bias: vector(b, 'up.bias', 12), groups: 1, features: 12, outputPadding: 1 };
      const y = b.convTranspose2d(x, up);
      const second = geometry(8, 10, 2, { stride: 2 });
      const more = { ...second, weight: vector(b, 'more', 12 * 2 * 4), groups: 4, features: 8, outputPadding: 0 };
      return b.convTranspose2d(y, more);
    },
  },
  {
    name: 'up-sampling, nearest and bilinear',
    images: 2,
    height: 3,
    width: 5,
    channels: 4,
    build(b, x) {
      const twice = b.upsample(x, { height: 3, width: 5, scale: 2, mode: 'nearest' });
      return b.upsample(twice, { height: 6, width: 10, scale: 3, mode: 'bilinear' });
    },
  },
];

export interface PreparedImageCase {
  graph: Graph;
  weights: Map<string, PackedMatrix>;
  inputs: { pixels: Float32Array<ArrayBuffer> };
  expected: Float32Array;
}

export async function prepareImageCase(imageCase: ImageCase, format: FormatName): Promise<PreparedImageCase> {
  const { images, height, width, channels } = imageCase;
  const b = new EncoderGraphBuilder();
  const pixels = b.input('pixels', 'f32', [images * height * width, channels]);
  b.output('image', imageCase.build(b, pixels));
  const graph = b.build();
  const random = new Random(31);
  const tensors = new Map(
    graph.weights.map(({ name, shape }) => [
      name,
      random.floats(
        shape.reduce((a, n) => a * n, 1),
        0.5,
      ),
    ]),
  );
  const weights = packWeights(graph, tensors, format);
  const inputs = { pixels: Float32Array.from(random.floats(images * height * width * channels, 1)) };
  const reference = new ReferenceEncoder(graph);
  for (const [name, matrix] of weights) await reference.setWeight(name, matrix);
  return { graph, weights, inputs, expected: (await reference.run(inputs))['image']! };
}
