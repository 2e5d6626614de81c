// What every decoder of a block is.

import { f16BitsToF32 } from '../../half.ts';

/**
 * Decodes the block at byte `at` to `values` from `to` on. Products of an f16 scale, a small integer scale and a code fit
 * the 24 bits of a float, and a sum is rounded once when it is stored: the results are those of float32 arithmetic.
 */
export type BlockDecoder = (bytes: Uint8Array, at: number, values: Float32Array, to: number) => void;

/** The little-endian half at byte `at`. */
export function half(bytes: Uint8Array, at: number): number {
  return f16BitsToF32(bytes[at]! | (bytes[at + 1]! << 8));
}

export function uint16(bytes: Uint8Array, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8);
}

export function uint32(bytes: Uint8Array, at: number): number {
  return (uint16(bytes, at) | (uint16(bytes, at + 2) << 16)) >>> 0;
}

export function int8(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 24) >> 24;
}
