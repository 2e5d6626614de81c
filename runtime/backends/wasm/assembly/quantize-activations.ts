// Activations for the integer kernels: each block of 32 numbers of a row becomes int8 with one scale. In memory a block is
//
//   scale f32, corrections i32 of all columns, of the first 16 and of the last 16, and the integers:
//     relaxed:              32 × i8
//     relaxed, in parts:    32 × max(x, 0) as i8, 32 × max(−x, 0) as i8          for weights of 8 bits
//     plain:                32 × i16; of every four columns the even two, then the odd two
//
// A correction is the sum of the integers × p.correction: what the codes are off from the numbers that they stand for (−8 for
// symmetric codes of 4 bits). The scale carries 2^96 (HALF_FOLD), which the f16 scale of the weights is short of. Where weights
// have minimums, p.sums gets the sums of the rounded activations, × 2^96 as well, one for p.sumColumns columns.

import { HALF_FOLD } from './half';
import { LinearParameters } from './parameters';
import { maxLanes } from './simd';

/** Columns that share an activation's scale. */
@inline
export const GROUP: u32 = 32;
@inline
export const GROUP_HEADER: usize = 16;

/** Bytes of one block of activations. */
@inline
export function groupBytes(isInParts: bool): usize {
  return GROUP_HEADER + (ASC_FEATURE_RELAXED_SIMD && !isInParts ? 32 : 64);
}

@inline
function toIntegers(pointer: usize, inverse: v128): v128 {
  const low = i32x4.trunc_sat_f32x4_s(f32x4.nearest(f32x4.mul(v128.load(pointer), inverse)));
  const high = i32x4.trunc_sat_f32x4_s(f32x4.nearest(f32x4.mul(v128.load(pointer, 16), inverse)));
  return i16x8.narrow_i32x4_s(low, high);
}

@inline
function largestMagnitude(x: usize): f32 {
  let largest = f32x4.abs(v128.load(x));
  largest = f32x4.max(largest, f32x4.abs(v128.load(x, 16)));
  largest = f32x4.max(largest, f32x4.abs(v128.load(x, 32)));
  largest = f32x4.max(largest, f32x4.abs(v128.load(x, 48)));
  largest = f32x4.max(largest, f32x4.abs(v128.load(x, 64)));
  largest = f32x4.max(largest, f32x4.abs(v128.load(x, 80)));
  largest = f32x4.max(largest, f32x4.abs(v128.load(x, 96)));
  largest = f32x4.max(largest, f32x4.abs(v128.load(x, 112)));
  return maxLanes(largest);
}

/** The sum of sixteen integers. */
@inline
function sumOf(a: v128, b: v128): i32 {
  const sums = i32x4.extadd_pairwise_i16x8_s(i16x8.add(a, b));
  const pairs = i32x4.add(sums, v128.shuffle<u32>(sums, sums, 2, 3, 0, 1));
  return i32x4.extract_lane(pairs, 0) + i32x4.extract_lane(pairs, 1);
}

/** Of every four 16-bit columns the even two, then the odd two. */
@inline
function storeEvenOdd(out: usize, eight: v128): void {
  v128.store(out, v128.shuffle<u16>(eight, eight, 0, 2, 1, 3, 4, 6, 5, 7));
}

@inline
function storeIntegers(out: usize, a: v128, b: v128, c: v128, d: v128, isInParts: bool): void {
  if (!ASC_FEATURE_RELAXED_SIMD) {
    storeEvenOdd(out, a);
    storeEvenOdd(out + 16, b);
    storeEvenOdd(out + 32, c);
    storeEvenOdd(out + 48, d);
    return;
  }
  const low = i8x16.narrow_i16x8_s(a, b);
  const high = i8x16.narrow_i16x8_s(c, d);
  if (!isInParts) {
    v128.store(out, low);
    v128.store(out, high, 16);
    return;
  }
  const zero = i8x16.splat(0);
  v128.store(out, i8x16.max_s(low, zero));
  v128.store(out, i8x16.max_s(high, zero), 16);
  v128.store(out, i8x16.max_s(i8x16.neg(low), zero), 32);
  v128.store(out, i8x16.max_s(i8x16.neg(high), zero), 48);
}

@inline
function quantize(p: LinearParameters, from: u32, to: u32, isInParts: bool): void {
  const blocks = p.columns / GROUP;
  const sumColumns = p.sumColumns;
  let x = p.input + <usize>from * p.columns * 4;
  let out = p.prepared + <usize>from * blocks * groupBytes(isInParts);
  let sums = p.sums + (sumColumns ? <usize>from * (p.columns / sumColumns) * 4 : 0);
  for (let row = from; row < to; row++) {
    let total: f32 = 0;
    for (let block: u32 = 0; block < blocks; block++) {
      const largest = largestMagnitude(x);
      const inverse = f32x4.splat(largest > 0 ? 127 / largest : 0);
      const a = toIntegers(x, inverse);
      const b = toIntegers(x + 32, inverse);
      const c = toIntegers(x + 64, inverse);
      const d = toIntegers(x + 96, inverse);
      const scale: f32 = (largest / 127) * HALF_FOLD;
      const first = sumOf(a, b);
      const last = sumOf(c, d);
      store<f32>(out, scale);
      store<i32>(out, p.correction * (first + last), 4);
      store<i32>(out, p.correction * first, 8);
      store<i32>(out, p.correction * last, 12);
      storeIntegers(out + GROUP_HEADER, a, b, c, d, isInParts);
      x += GROUP * 4;
      out += groupBytes(isInParts);
      if (sumColumns == 0) continue;
      if (sumColumns == 16) {
        store<f32>(sums, scale * <f32>first);
        store<f32>(sums, scale * <f32>last, 4);
        sums += 8;
        continue;
      }
      total += scale * <f32>(first + last);
      if (((block + 1) * GROUP) % sumColumns == 0) {
        store<f32>(sums, total);
        sums += 4;
        total = 0;
      }
    }
  }
}

/** Rows `from` … `to` of the activations, for weights of up to 6 bits. */
export function quantizeActivations(parameters: usize, from: u32, to: u32): void {
  quantize(changetype<LinearParameters>(parameters), from, to, false);
}

/** The same in positive and negative parts where this build wants them, for weights of 8 bits. */
export function splitActivations(parameters: usize, from: u32, to: u32): void {
  quantize(changetype<LinearParameters>(parameters), from, to, true);
}
