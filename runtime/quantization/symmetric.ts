// The scale of one group, for formats whose codes stand around zero: value = scale × (code − 2^(bits−1)).
//
// A scale that maps the largest weight onto the last code wastes the others' precision, so a few scales around it are
// tried and the best is kept: the one with the least squared error, in which a weight counts by its magnitude plus the
// group's mean (no data is needed to know it, and on held-out text it did best among the simple choices). For given codes
// the best scale has a closed form, the weighted least-squares fit; a trial is therefore scored by what the fit explains,
// (Σwxl)² / Σwl², without a second pass. A negative scale is allowed: the code range has one more step below zero than
// above, and the largest weight takes it.

import { f16BitsToF32, f32ToF16Bits } from '../half.ts';

/** From this many bits on the rounding error is so small that the plain largest-weight scale is used. */
const PLAIN_FROM_BITS = 8;

/** Steps by which the trial range is longer or shorter than the code range. */
const TRIALS = [-2, -1.5, -1, -0.5, 0, 0.5, 1, 1.5, 2] as const;

/**
 * Quantises `count` values from `start` on: writes their codes and returns the scale as f16 bits.
 * Returns undefined when a value is not finite or too large for an f16 scale; the codes are then not written.
 */
export function quantizeSymmetric(
  values: Float32Array,
  start: number,
  count: number,
  bits: number,
  codes: Uint8Array,
  codesStart: number,
): number | undefined {
  const half = 2 ** (bits - 1);
  let largest = 0;
  let magnitude = 0;
  let sum = 0;
  for (let i = start; i < start + count; i++) {
    const x = values[i]!;
    const a = Math.abs(x);
    sum += a;
    if (a > magnitude) {
      magnitude = a;
      largest = x;
    }
  }
  if (!Number.isFinite(sum)) return undefined;

  let scale: number;
  if (bits >= PLAIN_FROM_BITS) {
    scale = magnitude / (half - 1);
  } else {
    scale = searchScale(values, start, count, half, largest, sum / count);
  }

  const scaleBits = f32ToF16Bits(scale);
  const stored = f16BitsToF32(scaleBits);
  if (!Number.isFinite(stored)) return undefined;
  if (stored === 0) {
    codes.fill(half, codesStart, codesStart + count);
    return 0;
  }
  const inverse = 1 / stored;
  const lowest = bits >= PLAIN_FROM_BITS ? 1 : 0;
  const highest = 2 * half - 1;
  for (let i = 0; i < count; i++) {
    const code = Math.floor(values[start + i]! * inverse + half + 0.5);
    codes[codesStart + i] = code < lowest ? lowest : code > highest ? highest : code;
  }
  return scaleBits;
}

function searchScale(
  values: Float32Array,
  start: number,
  count: number,
  half: number,
  largest: number,
  mean: number,
): number {
  if (largest === 0) return 0;
  const end = start + count;
  const top = 2 * half - 1;
  const rounding = half + 0.5;
  let best = 0;
  let bestScale = -largest / half;
  for (const trial of TRIALS) {
    if (half + trial <= 0) continue;
    const inverse = -(half + trial) / largest;
    let weightedProduct = 0;
    let weightedSquare = 0;
    for (let i = start; i < end; i++) {
      const x = values[i]!;
      const code = (x * inverse + rounding) | 0;
      const level = (code > top ? top : code < 0 ? 0 : code) - half;
      const weighted = (Math.abs(x) + mean) * level;
      weightedProduct += weighted * x;
      weightedSquare += weighted * level;
    }
    // Compared as fractions: Σwxl² / Σwl² > best.
    if (weightedSquare > 0 && weightedProduct * weightedProduct > best * weightedSquare) {
      best = (weightedProduct * weightedProduct) / weightedSquare;
      bestScale = weightedProduct / weightedSquare;
    }
  }
  return bestScale;
}
