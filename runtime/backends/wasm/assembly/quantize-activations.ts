// Activations for the integer kernels: each group of 32 numbers of a row becomes int8 with one scale. What a group looks
// like in memory depends on how the build multiplies integers (see integer-dot.ts):
//
//   relaxed, 4-bit weights: scale f32, correction i32, 32 × i8
//   relaxed, 8-bit weights: scale f32, 0, 32 × max(x, 0) as i8, 32 × max(−x, 0) as i8
//   plain:                  scale f32, correction i32, 32 × i16 in the order of the shifts
//
// The scale carries 2^96 (HALF_FOLD), which the f16 scale of the weights is short of. The correction is −8 × the sum of the
// group: 4-bit codes stand for code − 8.

import { Codes4, Codes8 } from './codes';
import { HALF_FOLD } from './half';
import { LinearParameters } from './parameters';
import { maxLanes } from './simd';

// @ts-ignore: decorator
@inline
export const GROUP: u32 = 32;
// @ts-ignore: decorator
@inline
export const GROUP_HEADER: usize = 8;

/** Bytes of one group of activations. */
// @ts-ignore: decorator
@inline
export function groupBytes<Codes>(): usize {
  return ASC_FEATURE_RELAXED_SIMD && offsetof<Codes>() == 4 ? 40 : 72;
}

// @ts-ignore: decorator
@inline
function toIntegers(pointer: usize, inverse: v128): v128 {
  const low = i32x4.trunc_sat_f32x4_s(f32x4.nearest(f32x4.mul(v128.load(pointer), inverse)));
  const high = i32x4.trunc_sat_f32x4_s(f32x4.nearest(f32x4.mul(v128.load(pointer, 16), inverse)));
  return i16x8.narrow_i32x4_s(low, high);
}

// @ts-ignore: decorator
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

// @ts-ignore: decorator
@inline
function correctionOf(a: v128, b: v128, c: v128, d: v128): i32 {
  const sums = i32x4.extadd_pairwise_i16x8_s(i16x8.add(i16x8.add(a, b), i16x8.add(c, d)));
  const sum =
    i32x4.extract_lane(sums, 0) +
    i32x4.extract_lane(sums, 1) +
    i32x4.extract_lane(sums, 2) +
    i32x4.extract_lane(sums, 3);
  return -8 * sum;
}

/** Even and odd 16-bit elements of two vectors, as the shifts of the plain kernels meet them. */
// @ts-ignore: decorator
@inline
function evens(a: v128, b: v128): v128 {
  return v128.shuffle<u16>(a, b, 0, 2, 4, 6, 8, 10, 12, 14);
}

// @ts-ignore: decorator
@inline
function odds(a: v128, b: v128): v128 {
  return v128.shuffle<u16>(a, b, 1, 3, 5, 7, 9, 11, 13, 15);
}

/** Rows `from` … `to` of the activations, for weights in q4g32. */
export function quantizeActivations4(parameters: usize, from: u32, to: u32): void {
  const p = changetype<LinearParameters>(parameters);
  const groups = <usize>(p.columns / GROUP);
  let x = p.input + from * groups * GROUP * 4;
  let out = p.prepared + from * groups * groupBytes<Codes4>();
  const end = p.input + to * groups * GROUP * 4;
  while (x < end) {
    const largest = largestMagnitude(x);
    const inverse = f32x4.splat(largest > 0 ? 127 / largest : 0);
    const a = toIntegers(x, inverse);
    const b = toIntegers(x + 32, inverse);
    const c = toIntegers(x + 64, inverse);
    const d = toIntegers(x + 96, inverse);
    f32.store(out, (largest / 127) * HALF_FOLD);
    i32.store(out, correctionOf(a, b, c, d), 4);
    if (ASC_FEATURE_RELAXED_SIMD) {
      v128.store(out, i8x16.narrow_i16x8_s(a, b), 8);
      v128.store(out, i8x16.narrow_i16x8_s(c, d), 24);
    } else {
      // Byte j of the weights holds columns j and j + 16. Shifting 16-bit lanes right by 0, 4, 8 and 12 meets, per four
      // bytes: columns (0, 2), (16, 18), (1, 3), (17, 19).
      const lowEvens = evens(a, b); // 0 2 4 6 8 10 12 14
      const lowOdds = odds(a, b);
      const highEvens = evens(c, d);
      const highOdds = odds(c, d);
      const even0 = v128.shuffle<u32>(lowEvens, highEvens, 0, 4, 1, 5); // (0,2) (16,18) (4,6) (20,22)
      const even1 = v128.shuffle<u32>(lowEvens, highEvens, 2, 6, 3, 7);
      const odd0 = v128.shuffle<u32>(lowOdds, highOdds, 0, 4, 1, 5);
      const odd1 = v128.shuffle<u32>(lowOdds, highOdds, 2, 6, 3, 7);
      v128.store(out, v128.shuffle<u64>(even0, odd0, 0, 2), 8);
      v128.store(out, v128.shuffle<u64>(even0, odd0, 1, 3), 24);
      v128.store(out, v128.shuffle<u64>(even1, odd1, 0, 2), 40);
      v128.store(out, v128.shuffle<u64>(even1, odd1, 1, 3), 56);
    }
    x += GROUP * 4;
    out += groupBytes<Codes4>();
  }
}

/** Rows `from` … `to` of the activations, for weights in q8g32. */
export function quantizeActivations8(parameters: usize, from: u32, to: u32): void {
  const p = changetype<LinearParameters>(parameters);
  const groups = <usize>(p.columns / GROUP);
  let x = p.input + from * groups * GROUP * 4;
  let out = p.prepared + from * groups * groupBytes<Codes8>();
  const end = p.input + to * groups * GROUP * 4;
  while (x < end) {
    const largest = largestMagnitude(x);
    const inverse = f32x4.splat(largest > 0 ? 127 / largest : 0);
    const a = toIntegers(x, inverse);
    const b = toIntegers(x + 32, inverse);
    const c = toIntegers(x + 64, inverse);
    const d = toIntegers(x + 96, inverse);
    f32.store(out, (largest / 127) * HALF_FOLD);
    i32.store(out, 0, 4);
    if (ASC_FEATURE_RELAXED_SIMD) {
      const zero = i8x16.splat(0);
      const low = i8x16.narrow_i16x8_s(a, b);
      const high = i8x16.narrow_i16x8_s(c, d);
      v128.store(out, i8x16.max_s(low, zero), 8);
      v128.store(out, i8x16.max_s(high, zero), 24);
      v128.store(out, i8x16.max_s(i8x16.neg(low), zero), 40);
      v128.store(out, i8x16.max_s(i8x16.neg(high), zero), 56);
    } else {
      // Per four bytes of weights: columns (0, 2), then (1, 3).
      storeEvenOdd(out + 8, a);
      storeEvenOdd(out + 24, b);
      storeEvenOdd(out + 40, c);
      storeEvenOdd(out + 56, d);
    }
    x += GROUP * 4;
    out += groupBytes<Codes8>();
  }
}

// @ts-ignore: decorator
@inline
function storeEvenOdd(out: usize, eight: v128): void {
  v128.store(out, v128.shuffle<u16>(eight, eight, 0, 2, 1, 3, 4, 6, 5, 7));
}
