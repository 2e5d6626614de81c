// The scale and minimum of one group, for formats with an offset: value = scale × code + minimum.
//
// As in symmetric.ts a few scales are tried; for the codes of each trial the best scale and minimum are the weighted
// least-squares line through (code, value), and the trial with the least weighted error is kept. A weight counts by its
// distance from zero, plus the group's mean, so that small weights still count.

import { f16BitsToF32, f32ToF16Bits } from '../half.ts';

/** Steps by which the trial range is longer or shorter than the code range. */
const TRIALS = [-0.75, -0.5, -0.25, 0, 0.25, 0.5, 0.75] as const;

export interface AffineGroup {
  /** f16 bits. */
  scale: number;
  minimum: number;
}

/**
 * Quantises `count` values from `start` on: writes their codes and returns scale and minimum as f16 bits.
 * Returns undefined when a value is not finite or too large for f16; the codes are then not written.
 */
export function quantizeAffine(
  values: Float32Array,
  start: number,
  count: number,
  bits: number,
  codes: Uint8Array,
  codesStart: number,
): AffineGroup | undefined {
  const end = start + count;
  let least = Infinity;
  let greatest = -Infinity;
  let total = 0;
  for (let i = start; i < end; i++) {
    const x = values[i]!;
    total += Math.abs(x);
    if (x < least) least = x;
    if (x > greatest) greatest = x;
  }
  if (!Number.isFinite(total)) return undefined;

  const highest = 2 ** bits - 1;
  const line = searchLine(values, start, end, highest, least, greatest, total / count);
  const group = { scale: f32ToF16Bits(line.scale), minimum: f32ToF16Bits(line.minimum) };
  const scale = f16BitsToF32(group.scale);
  const minimum = f16BitsToF32(group.minimum);
  if (!Number.isFinite(scale) || !Number.isFinite(minimum)) return undefined;
  const inverse = scale === 0 ? 0 : 1 / scale;
  for (let i = 0; i < count; i++) {
    const code = Math.floor((values[start + i]! - minimum) * inverse + 0.5);
    codes[codesStart + i] = code < 0 ? 0 : code > highest ? highest : code;
  }
  return group;
}

function searchLine(
  values: Float32Array,
  start: number,
  end: number,
  highest: number,
  least: number,
  greatest: number,
  mean: number,
): { scale: number; minimum: number } {
  const range = greatest - least;
  if (range === 0) return { scale: 0, minimum: least };
  let best = { scale: range / highest, minimum: least };
  let bestError = Infinity;
  for (const trial of TRIALS) {
    const inverse = (highest + trial) / range;
    let w = 0;
    let wx = 0;
    let wl = 0;
    let wll = 0;
    let wxl = 0;
    let wxx = 0;
    for (let i = start; i < end; i++) {
      const x = values[i]!;
      const level = Math.min(highest, Math.floor((x - least) * inverse + 0.5));
      const weight = Math.abs(x) + mean;
      w += weight;
      wx += weight * x;
      wl += weight * level;
      wll += weight * level * level;
      wxl += weight * x * level;
      wxx += weight * x * x;
    }
    const determinant = w * wll - wl * wl;
    if (determinant <= 0) continue;
    const scale = (w * wxl - wx * wl) / determinant;
    const minimum = (wll * wx - wl * wxl) / determinant;
    const error = wxx - scale * wxl - minimum * wx;
    if (error < bestError) {
      bestError = error;
      best = { scale, minimum };
    }
  }
  return best;
}
