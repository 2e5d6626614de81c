// The weights of convolutions on the device: [features, channels·area] of a checkpoint become [area][channels][features], four
// features a vector, so that neighbouring threads read neighbouring numbers. They are kept in f32, whatever format was planned:
// a convolution multiplies a weight with thousands of pixels, so that its bytes do not matter.

import type { Graph } from '../../../graph/types.ts';
import type { PackedMatrix } from '../../../quantization/formats.ts';
import { unpackMatrix } from '../../../quantization/pack.ts';

/** The kernel area of each weight of a convolution of one group, by the weight's name. */
export function convAreas(graph: Graph): Map<string, number> {
  const areas = new Map<string, number>();
  for (const operation of graph.operations) {
    if (operation.op !== 'conv2d' || operation.attributes.groups > 1) continue;
    const { weight, kernelHeight, kernelWidth } = operation.attributes;
    areas.set(weight, kernelHeight * kernelWidth);
  }
  return areas;
}

export function convWeights(matrix: PackedMatrix, area: number): Float32Array<ArrayBuffer> {
  const numbers = unpackMatrix(matrix);
  const { rows: features, columns } = matrix;
  const channels = columns / area;
  const width = Math.ceil(features / 4) * 4;
  const out = new Float32Array(area * channels * width);
  for (let feature = 0; feature < features; feature++) {
    for (let channel = 0; channel < channels; channel++) {
      for (let tap = 0; tap < area; tap++) {
        out[(tap * channels + channel) * width + feature] = numbers[feature * columns + channel * area + tap]!;
      }
    }
  }
  return out;
}
