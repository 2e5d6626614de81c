// Integer dot products of four rows of weights with one token's activations, half a block (16 columns) at a time: four vectors of
// codes (unpack.ts), each of which meets four bytes of activations (quantize-activations.ts).
//
// With relaxed SIMD a vector of codes is one operand of i32x4.relaxed_dot_i8x16_i7x16_add_s, whose second operand must be
// 0 … 127 to mean the same on every engine. Codes up to 6 bits are. For 8-bit weights the activations are split into their
// positive and negative parts, both 0 … 127, and the difference is taken: two products, but exact everywhere and with nothing to
// unpack.
//
// Without relaxed SIMD the codes are widened to 16 bits, the even columns and the odd ones, in which order this build's
// activations stand.

import { GROUP_HEADER } from './quantize-activations';

/** Whether the activations come as positive and negative parts. */
@inline
export function hasNegativePart<Codes>(): bool {
  return ASC_FEATURE_RELAXED_SIMD && offsetof<Codes>() == 8;
}

@inline
function evens<Codes>(codes: v128): v128 {
  if (offsetof<Codes>() == 8) return i16x8.shr_s(i16x8.shl(codes, 8), 8);
  return v128.and(codes, i16x8.splat(255));
}

@inline
function odds<Codes>(codes: v128): v128 {
  return offsetof<Codes>() == 8 ? i16x8.shr_s(codes, 8) : i16x8.shr_u(codes, 8);
}

/** Adds four columns of four rows. */
@inline
function dot<Codes>(x: usize, codes: v128, sum: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) {
    return i32x4.relaxed_dot_i8x16_i7x16_add_s(v128.load_splat<u32>(x), codes, sum);
  }
  sum = i32x4.add(sum, i32x4.dot_i16x8_s(v128.load_splat<u32>(x), evens<Codes>(codes)));
  return i32x4.add(sum, i32x4.dot_i16x8_s(v128.load_splat<u32>(x, 4), odds<Codes>(codes)));
}

/** As `dot`, for activations that are the 7-bit operand. */
@inline
function dotParts(x: usize, codes: v128, sum: v128): v128 {
  return i32x4.relaxed_dot_i8x16_i7x16_add_s(codes, v128.load_splat<u32>(x), sum);
}

/** Adds the products of half a block to the sums of one token, whose block of activations is at `x`. */
@inline
export function dotHalf<Codes>(x: usize, half: usize, sum: v128, c0: v128, c1: v128, c2: v128, c3: v128): v128 {
  if (!ASC_FEATURE_RELAXED_SIMD) {
    const at = x + GROUP_HEADER + half * 32;
    sum = dot<Codes>(at, c0, sum);
    sum = dot<Codes>(at + 8, c1, sum);
    sum = dot<Codes>(at + 16, c2, sum);
    return dot<Codes>(at + 24, c3, sum);
  }
  const at = x + GROUP_HEADER + half * 16;
  if (!hasNegativePart<Codes>()) {
    sum = dot<Codes>(at, c0, sum);
    sum = dot<Codes>(at + 4, c1, sum);
    sum = dot<Codes>(at + 8, c2, sum);
    return dot<Codes>(at + 12, c3, sum);
  }
  sum = dotParts(at, c0, sum);
  let negative = dotParts(at + 32, c0, i32x4.splat(0));
  sum = dotParts(at + 4, c1, sum);
  negative = dotParts(at + 36, c1, negative);
  sum = dotParts(at + 8, c2, sum);
  negative = dotParts(at + 40, c2, negative);
  sum = dotParts(at + 12, c3, sum);
  negative = dotParts(at + 44, c3, negative);
  return i32x4.sub(sum, negative);
}
