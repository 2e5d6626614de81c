// ggml's I-quants: 4 or 8 numbers are one entry of a fixed grid (grids.ts), with signs and a small scale beside it.
// Signs of the "xxs" and "xs" types take 7 bits for 8 numbers: the eighth makes their count even.

import { half, uint16, uint32, type BlockDecoder } from './block.ts';
import { grid, type GridName } from './grids.ts';
import { IQ4_LEVELS } from './simple.ts';

/** 7 sign bits and the one that makes the number of set bits even. */
function evenSigns(bits: number): number {
  let parity = bits;
  parity ^= parity >> 4;
  parity ^= parity >> 2;
  parity ^= parity >> 1;
  return bits | ((parity & 1) << 7);
}

/** Writes `count` numbers of a grid's entry × scale; sign bit i belongs to number i. */
function putSigned(
  name: GridName,
  entry: number,
  count: number,
  scale: number,
  signs: number,
  values: Float32Array,
  to: number,
): void {
  const entries = grid(name);
  for (let i = 0; i < count; i++) {
    const value = scale * entries[entry * count + i]!;
    values[to + i] = (signs >> i) & 1 ? -value : value;
  }
}

/** d f16, 8 × (4 bytes of entries, 4 × 7 sign bits and a scale of 4 bits) */
export const iq2_xxs: BlockDecoder = (bytes, at, values, to) => {
  const d = half(bytes, at);
  for (let group = 0; group < 8; group++) {
    const source = at + 2 + group * 8;
    const word = uint32(bytes, source + 4);
    const scale = d * (0.5 + (word >>> 28)) * 0.25;
    for (let i = 0; i < 4; i++) {
      const signs = evenSigns((word >>> (7 * i)) & 127);
      putSigned('iq2_xxs', bytes[source + i]!, 8, scale, signs, values, to + group * 32 + i * 8);
    }
  }
};

/** d f16, 32 × (entry of 9 bits, 7 sign bits), 16 scales of 4 bits */
export const iq2_xs: BlockDecoder = (bytes, at, values, to) => {
  const d = half(bytes, at);
  for (let i = 0; i < 32; i++) {
    const word = uint16(bytes, at + 2 + i * 2);
    const scale = d * (0.5 + nibble(bytes, at + 66, i >> 1)) * 0.25;
    putSigned('iq2_xs', word & 511, 8, scale, evenSigns(word >> 9), values, to + i * 8);
  }
};

/** d f16, 32 bytes of entries, 32 bytes of signs, 8 bytes with two high bits of each entry, 16 scales of 4 bits */
export const iq2_s: BlockDecoder = (bytes, at, values, to) => {
  const d = half(bytes, at);
  for (let i = 0; i < 32; i++) {
    const high = (bytes[at + 66 + (i >> 2)]! >> ((i & 3) * 2)) & 3;
    const scale = d * (0.5 + nibble(bytes, at + 74, i >> 1)) * 0.25;
    putSigned('iq2_s', bytes[at + 2 + i]! | (high << 8), 8, scale, bytes[at + 34 + i]!, values, to + i * 8);
  }
};

/** d f16, 64 bytes of entries (of 4 numbers each), 8 × (4 × 7 sign bits and a scale of 4 bits) */
export const iq3_xxs: BlockDecoder = (bytes, at, values, to) => {
  const d = half(bytes, at);
  for (let group = 0; group < 8; group++) {
    const word = uint32(bytes, at + 66 + group * 4);
    const scale = d * (0.5 + (word >>> 28)) * 0.5;
    for (let i = 0; i < 8; i++) {
      const signs = evenSigns((word >>> (7 * (i >> 1))) & 127) >> ((i & 1) * 4);
      putSigned('iq3_xxs', bytes[at + 2 + group * 8 + i]!, 4, scale, signs, values, to + group * 32 + i * 4);
    }
  }
};

/** d f16, 64 bytes of entries, 8 bytes with their ninth bits, 32 bytes of signs, 8 scales of 4 bits */
export const iq3_s: BlockDecoder = (bytes, at, values, to) => {
  const d = half(bytes, at);
  for (let i = 0; i < 64; i++) {
    const high = (bytes[at + 66 + (i >> 3)]! >> (i & 7)) & 1;
    const signs = bytes[at + 74 + (i >> 1)]! >> ((i & 1) * 4);
    const scale = d * (1 + 2 * nibble(bytes, at + 106, i >> 3));
    putSigned('iq3_s', bytes[at + 2 + i]! | (high << 8), 4, scale, signs, values, to + i * 4);
  }
};

/** Shifts every number of an entry of the 1-bit types. */
const DELTA = 0.125;

function putShifted(entry: number, scale: number, delta: number, values: Float32Array, to: number): void {
  const entries = grid('iq1');
  for (let i = 0; i < 8; i++) values[to + i] = scale * (entries[entry * 8 + i]! + delta);
}

/** d f16, 32 bytes of entries, 8 × (4 × three high bits, a scale of 3 bits, the sign of the shift) */
export const iq1_s: BlockDecoder = (bytes, at, values, to) => {
  const d = half(bytes, at);
  for (let i = 0; i < 32; i++) {
    const word = uint16(bytes, at + 34 + (i >> 2) * 2);
    const entry = bytes[at + 2 + i]! | (((word >> (3 * (i & 3))) & 7) << 8);
    const scale = d * (2 * ((word >> 12) & 7) + 1);
    putShifted(entry, scale, word & 0x8000 ? -DELTA : DELTA, values, to + i * 8);
  }
};

/** 32 bytes of entries, 16 bytes with their three high bits and the sign of the shift, 16 scales of 3 bits with d between */
export const iq1_m: BlockDecoder = (bytes, at, values, to) => {
  // The four bits above each four scales are a quarter of d.
  let bits = 0;
  for (let i = 0; i < 4; i++) bits |= (uint16(bytes, at + 48 + i * 2) >> 12) << (4 * i);
  const d = half(Uint8Array.of(bits & 255, bits >> 8), 0);
  for (let i = 0; i < 32; i++) {
    const high = nibble(bytes, at + 32, i);
    const group = i >> 1;
    const scale = d * (2 * ((uint16(bytes, at + 48 + (group >> 2) * 2) >> (3 * (group & 3))) & 7) + 1);
    putShifted(bytes[at + i]! | ((high & 7) << 8), scale, high & 8 ? -DELTA : DELTA, values, to + i * 8);
  }
};

/** d f16, high bits of 8 scales, their low bits, 128 bytes of codes: d·(scale − 32) × level */
export const iq4_xs: BlockDecoder = (bytes, at, values, to) => {
  const d = half(bytes, at);
  const high = uint16(bytes, at + 2);
  for (let group = 0; group < 8; group++) {
    const scale = d * ((nibble(bytes, at + 4, group) | (((high >> (2 * group)) & 3) << 4)) - 32);
    for (let j = 0; j < 16; j++) {
      const byte = bytes[at + 8 + group * 16 + j]!;
      values[to + group * 32 + j] = scale * IQ4_LEVELS[byte & 15]!;
      values[to + group * 32 + j + 16] = scale * IQ4_LEVELS[byte >> 4]!;
    }
  }
};

/** Nibble `i` from byte `at` on, low ones first. */
function nibble(bytes: Uint8Array, at: number, i: number): number {
  return (bytes[at + (i >> 1)]! >> ((i & 1) * 4)) & 15;
}
