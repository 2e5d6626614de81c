// What a block's sums are multiplied by: type arguments that name where the scales of 32 columns × four rows come from. Scales
// are read as f16 × 2^-112 (half.ts); the small integers of two-level scales (scale-codes.ts) stand with their words interleaved
// by rows, as codes do, so that a lane belongs to a row.

import { loadHalfFolded } from './half';

/** One f16 for 32, 64 or 128 columns. */
@unmanaged
export class WideScales {
  kind: u8;
}

/** One f16 for 16 columns. */
@unmanaged
export class NarrowScales {
  kind: u16;
}

/** Q2_K: 4 bits for 16 columns, beside a minimum's. */
@unmanaged
export class ScaleCodes4 {
  kind: u16;
  more: u8;
}

/** Q3_K: 6 bits, signed, for 16 columns. */
@unmanaged
export class ScaleCodes6 {
  kind: u32;
}

/** Q4_K and Q5_K: 6 bits for 32 columns, beside a minimum's. */
@unmanaged
export class WideScaleCodes6 {
  kind: u32;
  more: u8;
}

/** Q6_K: 8 bits, signed, for 16 columns. */
@unmanaged
export class ScaleCodes8 {
  kind: u32;
  more: u16;
}

/** Whether columns 0 … 15 and 16 … 31 of a block have scales of their own. */
@inline
export function hasHalves<Scales>(): bool {
  return !(isWide<Scales>() || offsetof<Scales>() == offsetof<WideScaleCodes6>());
}

@inline
export function isWide<Scales>(): bool {
  return offsetof<Scales>() == offsetof<WideScales>();
}

@inline
export function isNarrow<Scales>(): bool {
  return offsetof<Scales>() == offsetof<NarrowScales>();
}

/** Bytes of the scale codes of 256 columns × four rows. */
@inline
export function scaleCodeBytes<Scales>(): usize {
  if (isWide<Scales>() || isNarrow<Scales>()) return 0;
  const isSixBits = offsetof<Scales>() == offsetof<ScaleCodes6>() || offsetof<Scales>() == offsetof<WideScaleCodes6>();
  return isSixBits ? 48 : 64;
}

@inline
function field(v: v128, shift: i32, mask: i32): v128 {
  return v128.and(i32x4.shr_u(v, shift), i32x4.splat(mask));
}

@inline
function times(base: v128, codes: v128): v128 {
  return f32x4.mul(base, f32x4.convert_i32x4_s(codes));
}

/**
 * The code of block `g` and `half` in the low byte of four lanes, where a word has four: loaded from the byte where it begins,
 * which costs nothing, rather than shifted there.
 */
@inline
function byteOf(codes: usize, g: u32, half: i32): v128 {
  return v128.load(codes + <usize>(g >> 1) * 16 + (g & 1) * 2 + half);
}

/**
 * The scale of columns 0 … 15 (`half` 0) or 16 … 31 (1) of block `g`; without halves, of all. `base` is the last f16 scale at or
 * before the block; `scales` and `codes` are those of the four rows. `half` is a constant.
 */
@inline
export function scaleOf<Scales>(base: v128, scales: usize, codes: usize, g: u32, half: i32): v128 {
  if (isWide<Scales>()) return base;
  if (isNarrow<Scales>()) return loadHalfFolded(scales + <usize>g * 16 + <usize>half * 8);
  if (offsetof<Scales>() == offsetof<ScaleCodes4>()) {
    return times(base, v128.and(byteOf(codes, g, half), i32x4.splat(15)));
  }
  if (offsetof<Scales>() == offsetof<ScaleCodes8>()) {
    return times(base, i32x4.shr_s(i32x4.shl(byteOf(codes, g, half), 24), 24));
  }
  const at = codes + <usize>(g >> 3) * 48;
  const b = <i32>(g & 7);
  if (offsetof<Scales>() == offsetof<WideScaleCodes6>()) {
    const low = field(v128.load(at), b * 4, 15);
    return times(base, v128.or(low, i32x4.shl(field(v128.load(at, 32), b * 2, 3), 4)));
  }
  const low = field(v128.load(at + <usize>(b >> 2) * 16 + (b & 3)), half * 4, 15);
  const code = v128.or(low, i32x4.shl(field(v128.load(at, 32), b * 4 + half * 2, 3), 4));
  return times(base, i32x4.sub(code, i32x4.splat(32)));
}
