// Bytes of a graph's weights in the formats of a plan.

import { WpError } from '../errors.ts';
import type { Graph, Weight } from '../graph/types.ts';
import { formatBytes, type WeightFormat } from '../quantization/formats.ts';

export type Formats = ReadonlyMap<string, WeightFormat>;

/** A weight as packers see it: a vector is one row; what follows the first dimension of a tensor is a row's columns. */
export function matrixSize({ shape }: Pick<Weight, 'shape'>): { rows: number; columns: number } {
  if (shape.length === 1) return { rows: 1, columns: shape[0]! };
  return { rows: shape[0]!, columns: shape.slice(1).reduce((product, size) => product * size, 1) };
}

export function isMatrix({ shape }: Pick<Weight, 'shape'>): boolean {
  return shape.length > 1;
}

export function weightBytes(weight: Weight, formats: Formats): number {
  const format = formats.get(weight.name);
  if (!format) throw new WpError('internal', `No format was planned for the weight ${weight.name}.`);
  const { rows, columns } = matrixSize(weight);
  return formatBytes(format, rows, columns).total;
}

/** Bytes of the largest array that a weight is stored in: what must fit one buffer of a device. */
export function largestPlaneBytes(weight: Weight, formats: Formats): number {
  const { rows, columns } = matrixSize(weight);
  const { planes, scales } = formatBytes(formats.get(weight.name)!, rows, columns);
  return Math.max(scales, ...planes);
}

/** Bits a weight of all matrices, scales included; 0 when there is no matrix. */
export function averageBits(graph: Graph, formats: Formats): number {
  let bytes = 0;
  let numbers = 0;
  for (const weight of graph.weights.filter(isMatrix)) {
    const { rows, columns } = matrixSize(weight);
    bytes += weightBytes(weight, formats);
    numbers += rows * columns;
  }
  return numbers === 0 ? 0 : (8 * bytes) / numbers;
}
