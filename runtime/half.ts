// IEEE 754 half precision, for engines without Float16Array. A leaf like errors.ts: it imports nothing, so that
// operations, loaders and quantisers round in one and the same way.

const scratchFloat = new Float32Array(1);
const scratchBits = new Uint32Array(scratchFloat.buffer);

const F32_INFINITY = 0x7f800000;
/** 65520: halfway between the largest half (65504) and the next power of two; from here on the half is infinite. */
const OVERFLOW = 0x477ff000;
/** 2^-14, the smallest normal half. */
const SMALLEST_NORMAL = 0x38800000;
/** The difference of the two exponents' biases (127 − 15), in place. */
const REBIAS = 0x38000000;

/** Bits of the half nearest to a float given by its bits; ties go to the even one. */
function halfBits(bits: number): number {
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude >= SMALLEST_NORMAL) {
    if (magnitude < OVERFLOW) {
      // Adding just under half a unit, plus the lowest kept bit, rounds to nearest even; a carry raises the exponent.
      return sign | ((magnitude + 0xfff + ((magnitude >>> 13) & 1) - REBIAS) >>> 13);
    }
    if (magnitude <= F32_INFINITY) return sign | 0x7c00;
    // Not a number: keep the payload's upper bits and stay quiet.
    return sign | 0x7e00 | ((magnitude >>> 13) & 0x3ff);
  }
  // Subnormal halves are multiples of 2^-24, the unit in the last place of floats in [0.5, 1): one addition rounds.
  scratchBits[0] = magnitude;
  scratchFloat[0] = scratchFloat[0]! + 0.5;
  return sign | (scratchBits[0]! - 0x3f000000);
}

/** Bits of the float that a half stands for: every half is a float, so nothing is rounded. */
function floatBits(half: number): number {
  const sign = (half & 0x8000) << 16;
  const magnitude = half & 0x7fff;
  if (magnitude >= 0x7c00) return sign | F32_INFINITY | ((magnitude & 0x3ff) << 13);
  if (magnitude >= 0x0400) return sign | ((magnitude << 13) + REBIAS);
  scratchFloat[0] = magnitude * 2 ** -24;
  return sign | scratchBits[0]!;
}

/** Bits of the half nearest to `x`, after `x` is a float; ties go to even, from 65520 on to infinity. */
export function f32ToF16Bits(x: number): number {
  scratchFloat[0] = x;
  return halfBits(scratchBits[0]!);
}

/** The number that a half's 16 bits stand for. */
export function f16BitsToF32(bits: number): number {
  scratchBits[0] = floatBits(bits);
  return scratchFloat[0]!;
}

/** Halves of floats, as bits: a fresh array, or `target` (of at least that length) when it is given. */
export function toF16(source: Float32Array, target = new Uint16Array(source.length)): Uint16Array {
  const bits = new Uint32Array(source.buffer, source.byteOffset, source.length);
  for (let i = 0; i < bits.length; i++) target[i] = halfBits(bits[i]!);
  return target;
}

/** Floats of halves: a fresh array, or `target` (of at least that length) when it is given. */
export function fromF16(source: Uint16Array, target = new Float32Array(source.length)): Float32Array {
  const bits = new Uint32Array(target.buffer, target.byteOffset, source.length);
  for (let i = 0; i < source.length; i++) bits[i] = floatBits(source[i]!);
  return target;
}

/** `x` rounded to the nearest half, as a number. */
export function roundToF16(x: number): number {
  return f16BitsToF32(f32ToF16Bits(x));
}
