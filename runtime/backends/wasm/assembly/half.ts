// Half precision in SIMD: WebAssembly has no f16 type, so the bits are moved by hand.
//
// Shifting an f16's exponent and mantissa into the places of an f32 gives the number times 2^-112 (the two biases differ by
// 112). Loops that multiply by the result anyway leave it so and fold the missing power into their other factor: see
// HALF_FOLD. Infinities and NaN do not occur in weights and caches (they would come out as finite numbers above 65504).

/** The other factor of a product is scaled by this … */
@inline
export const HALF_FOLD: f32 = 79228162514264337593543950336.0; // 2^96: leaves room for factors up to 2^31

/** … and the finished sum by this, which makes 2^112 in all. */
@inline
export const HALF_UNFOLD: f32 = 65536.0; // 2^16

/** Four f16 at `pointer` as f32 × 2^-112. */
@inline
export function loadHalfFolded(pointer: usize): v128 {
  // Sign extension fills bits 28 … 30 with copies of the sign: the mask clears them.
  return v128.and(i32x4.shl(v128.load_ext<i16>(pointer, 0), 13), i32x4.splat(0x8fffe000));
}

/** Four f16 at `pointer` as f32. Exact, subnormals included. */
@inline
export function loadHalf(pointer: usize): v128 {
  return f32x4.mul(loadHalfFolded(pointer), f32x4.splat(5192296858534827628530496329220096.0)); // 2^112
}

/** One f16's bits as f32. */
@inline
export function halfToFloat(bits: u32): f32 {
  const folded = ((<i32>(<i16>bits)) << 13) & 0x8fffe000;
  return reinterpret<f32>(folded) * <f32>5192296858534827628530496329220096.0;
}

/** Four f32 as f16 bits in the low halves of four 32-bit lanes; rounds to nearest, ties to even. */
@inline
export function toHalfBits(value: v128): v128 {
  const sign = v128.and(value, i32x4.splat(0x80000000));
  const magnitude = v128.xor(value, sign);
  // Normal results: add half a unit of the last f16 place (less one when the place is even) and let the carry ripple up.
  const isOdd = v128.and(i32x4.shr_u(magnitude, 13), i32x4.splat(1));
  const rebiased = i32x4.add(i32x4.add(magnitude, i32x4.splat(0xc8000fff)), isOdd);
  const normal = i32x4.shr_u(rebiased, 13);
  // Subnormal results: adding 0.5 aligns the f32's last place with the f16's, and the addition itself rounds to even.
  const half = f32x4.splat(0.5);
  const subnormal = i32x4.sub(f32x4.add(magnitude, half), half);
  // From 65520 on the result is infinity; NaN stays NaN.
  const infinity = v128.bitselect(
    i32x4.splat(0x7e00),
    i32x4.splat(0x7c00),
    i32x4.gt_s(magnitude, i32x4.splat(0x7f800000)),
  );
  const isSubnormal = i32x4.lt_s(magnitude, i32x4.splat(0x38800000)); // 2^-14
  const isInfinite = i32x4.ge_s(magnitude, i32x4.splat(0x477ff000)); // 65520
  const finite = v128.bitselect(subnormal, normal, isSubnormal);
  return v128.or(v128.bitselect(infinity, finite, isInfinite), i32x4.shr_u(sign, 16));
}

/** Stores the low 16 bits of four lanes side by side. */
@inline
export function storeHalves(pointer: usize, bits: v128): void {
  // Lanes may exceed 32767, which a saturating narrow would clip: choose the bytes instead.
  v128.store64_lane(pointer, v128.shuffle<u8>(bits, bits, 0, 1, 4, 5, 8, 9, 12, 13, 0, 1, 4, 5, 8, 9, 12, 13), 0);
}
