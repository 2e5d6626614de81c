// Integer dot products of four rows of weights with one token's activations, a group of 32 columns at a time.
//
// Weights stand in blocks of four rows (repack.ts): of every sixteen bytes, four belong to each row. A dot product of adjacent
// bytes (or of adjacent 16-bit halves) so leaves one row's sum in one 32-bit lane, and nothing is ever summed across lanes.
//   4 bits: 64 bytes a group; in vector k, row r's byte j holds columns 4k + j (low nibble) and 4k + j + 16 (high nibble)
//   8 bits: 128 bytes a group; in vector k, row r's byte j holds column 4k + j
//
// With relaxed SIMD a vector of codes is one operand of i32x4.relaxed_dot_i8x16_i7x16_add_s, whose second operand must be
// 0 … 127 to mean the same on every engine. 4-bit codes are. For 8-bit weights the activations are split into their positive and
// negative parts, both 0 … 127, and the difference is taken: two products, but exact everywhere and with nothing to unpack.
//
// Without relaxed SIMD the codes are widened to 16 bits by shifts alone, which leave columns in the order that
// quantize-activations.ts stores for this build.
//
// Either way a group comes in passes of eight vectors, each of which meets the next four bytes of activations.

import { GROUP_HEADER } from './quantize-activations';

/** Bytes of a group's codes for four rows. */
// @ts-ignore: decorator
@inline
export function codeBytes<Codes>(): usize {
  return offsetof<Codes>() * 16;
}

/** Whether a group needs a second pass of eight vectors. */
// @ts-ignore: decorator
@inline
export function hasSecondPass(): bool {
  return !ASC_FEATURE_RELAXED_SIMD;
}

/** Whether the activations come as positive and negative parts. */
// @ts-ignore: decorator
@inline
export function hasNegativePart<Codes>(): bool {
  return ASC_FEATURE_RELAXED_SIMD && offsetof<Codes>() == 8;
}

/** What a group's sum starts from: the correction for 4-bit codes. */
// @ts-ignore: decorator
@inline
export function initialSum<Codes>(x: usize): v128 {
  if (offsetof<Codes>() == 4) return v128.load_splat<u32>(x, 4);
  return i32x4.splat(0);
}

/** Vector `i` (0 … 7) of a pass (0 or 1) over the codes at `w`. */
// @ts-ignore: decorator
@inline
export function unpack<Codes>(w: usize, pass: usize, i: usize): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) {
    if (offsetof<Codes>() == 8) return v128.load(w + i * 16);
    if (i < 4) return v128.and(v128.load(w + i * 16), i8x16.splat(15));
    return v128.and(i16x8.shr_u(v128.load(w + (i - 4) * 16), 4), i8x16.splat(15));
  }
  if (offsetof<Codes>() == 8) {
    const bytes = v128.load(w + pass * 64 + (i >> 1) * 16);
    if ((i & 1) == 0) return i16x8.shr_s(i16x8.shl(bytes, 8), 8);
    return i16x8.shr_s(bytes, 8);
  }
  const nibbles = v128.load(w + pass * 32 + (i >> 2) * 16);
  const shift = <i32>(i & 3) * 4;
  if (shift == 0) return v128.and(nibbles, i16x8.splat(15));
  if (shift == 12) return i16x8.shr_u(nibbles, 12);
  return v128.and(i16x8.shr_u(nibbles, shift), i16x8.splat(15));
}

// @ts-ignore: decorator
@inline
function dot(x: usize, codes: v128, sum: v128): v128 {
  const activations = v128.load_splat<u32>(x);
  if (ASC_FEATURE_RELAXED_SIMD) {
    return i32x4.relaxed_dot_i8x16_i7x16_add_s(activations, codes, sum);
  }
  return i32x4.add(sum, i32x4.dot_i16x8_s(activations, codes));
}

/** As `dot`, for activations that are the 7-bit operand. */
// @ts-ignore: decorator
@inline
function dotParts(x: usize, codes: v128, sum: v128): v128 {
  return i32x4.relaxed_dot_i8x16_i7x16_add_s(codes, v128.load_splat<u32>(x), sum);
}

/** Adds the products of one pass to the sums of one token. `x` is the token's group. */
// @ts-ignore: decorator
@inline
export function dotPass<Codes>(
  x: usize,
  pass: usize,
  sum: v128,
  c0: v128,
  c1: v128,
  c2: v128,
  c3: v128,
  c4: v128,
  c5: v128,
  c6: v128,
  c7: v128,
): v128 {
  const at = x + GROUP_HEADER + pass * 32;
  if (!hasNegativePart<Codes>()) {
    sum = dot(at, c0, sum);
    sum = dot(at + 4, c1, sum);
    sum = dot(at + 8, c2, sum);
    sum = dot(at + 12, c3, sum);
    sum = dot(at + 16, c4, sum);
    sum = dot(at + 20, c5, sum);
    sum = dot(at + 24, c6, sum);
    return dot(at + 28, c7, sum);
  }
  sum = dotParts(at, c0, sum);
  let negative = dotParts(at + 32, c0, i32x4.splat(0));
  sum = dotParts(at + 4, c1, sum);
  negative = dotParts(at + 36, c1, negative);
  sum = dotParts(at + 8, c2, sum);
  negative = dotParts(at + 40, c2, negative);
  sum = dotParts(at + 12, c3, sum);
  negative = dotParts(at + 44, c3, negative);
  sum = dotParts(at + 16, c4, sum);
  negative = dotParts(at + 48, c4, negative);
  sum = dotParts(at + 20, c5, sum);
  negative = dotParts(at + 52, c5, negative);
  sum = dotParts(at + 24, c6, sum);
  negative = dotParts(at + 56, c6, negative);
  sum = dotParts(at + 28, c7, sum);
  negative = dotParts(at + 60, c7, negative);
  return i32x4.sub(sum, negative);
}
