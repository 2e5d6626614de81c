// What the kernels share. The two builds differ here and in dot-integer.ts only: the rest is written on top of these.

import { LinearParameters } from './parameters';

/** Rows of a matrix product come in panels of about this many bytes, which stay in the cache while all tokens pass by. */
@inline
export const PANEL_BYTES: u32 = 65536;

/** a × b + c; one rounding where the engine fuses, two where it does not. */
@inline
export function multiplyAdd(a: v128, b: v128, c: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return f32x4.relaxed_madd(a, b, c);
  return f32x4.add(f32x4.mul(a, b), c);
}

/** The sum of the four lanes. */
@inline
export function sumLanes(v: v128): f32 {
  const pairs = f32x4.add(v, v128.shuffle<u32>(v, v, 2, 3, 0, 1));
  return f32x4.extract_lane(pairs, 0) + f32x4.extract_lane(pairs, 1);
}

/** The largest of the four lanes. */
@inline
export function maxLanes(v: v128): f32 {
  const pairs = f32x4.max(v, v128.shuffle<u32>(v, v, 2, 3, 0, 1));
  return max<f32>(f32x4.extract_lane(pairs, 0), f32x4.extract_lane(pairs, 1));
}

/** Stores a block's four rows of a matrix product, with the bias; the last block of a matrix may have fewer. */
@inline
export function storeRows(p: LinearParameters, block: u32, out: usize, sum: v128): void {
  const row = <usize>block * 4;
  if (p.bias) sum = f32x4.add(sum, v128.load(p.bias + row * 4));
  const pointer = out + row * 4;
  const left = p.rows - <u32>row;
  if (left >= 4) {
    v128.store(pointer, sum);
    return;
  }
  f32.store(pointer, f32x4.extract_lane(sum, 0));
  if (left > 1) f32.store(pointer, f32x4.extract_lane(sum, 1), 4);
  if (left > 2) f32.store(pointer, f32x4.extract_lane(sum, 2), 8);
}
