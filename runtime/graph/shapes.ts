// Symbols to numbers: what a graph's shapes are once the sizes of a step are known.

import { WpError } from '../errors.ts';
import type { DType, Dim, Dims, Shape, State, SymbolicDim, Value } from './types.ts';

const BYTES: Record<DType, number> = { f32: 4, f16: 2, i32: 4, u32: 4 };

/** The number that a dimension stands for; throws `internal` when `dims` does not name its symbol. */
export function resolveDim(dim: Dim, dims: Dims): number {
  if (typeof dim === 'number') return dim;
  const size = dims[dim];
  if (size !== undefined) return size;
  throw new WpError('internal', `The size of the dimension '${dim}' is not known.`, '', { allowed: Object.keys(dims) });
}

export function resolveShape(shape: Shape, dims: Dims): number[] {
  return shape.map((dim) => resolveDim(dim, dims));
}

export function countElements(shape: Shape, dims: Dims = {}): number {
  return resolveShape(shape, dims).reduce((product, size) => product * size, 1);
}

/** Bytes of a value, or of a state, without any padding. */
export function valueBytes(value: Pick<Value | State, 'dtype' | 'shape'>, dims: Dims): number {
  return countElements(value.shape, dims) * BYTES[value.dtype];
}

export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((dim, i) => dim === b[i]);
}

/** The symbols that occur in a shape. */
export function symbolsOf(shape: Shape): SymbolicDim[] {
  return shape.filter((dim) => typeof dim !== 'number');
}
