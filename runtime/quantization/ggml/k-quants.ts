// ggml's K-quants: 256 numbers share one or two f16 scales, and each 16 or 32 of them have a scale (and perhaps a minimum) of
// 4 to 8 bits relative to those. Codes above 4 bits are split into low bits and high bits, which lie apart.

import { half, int8, type BlockDecoder } from './block.ts';

/** 16 × (scale, minimum) of 4 bits, 64 bytes of codes, d f16, dmin f16: d·scale × code − dmin·minimum */
export const q2_k: BlockDecoder = (bytes, at, values, to) => {
  const d = half(bytes, at + 80);
  const dmin = half(bytes, at + 82);
  for (let group = 0; group < 16; group++) {
    const packed = bytes[at + group]!;
    const scale = d * (packed & 15);
    const minimum = dmin * (packed >> 4);
    // 128 numbers take 32 bytes; of each byte two bits belong to one run of 32 numbers, which is two groups.
    const source = at + 16 + (group >> 3) * 32 + (group & 1) * 16;
    const shift = ((group >> 1) & 3) * 2;
    for (let i = 0; i < 16; i++) {
      values[to + group * 16 + i] = scale * ((bytes[source + i]! >> shift) & 3) - minimum;
    }
  }
};

/** 32 bytes of third bits (set: no offset), 64 bytes of low bits, 16 scales of 6 bits, d f16: d·(scale − 32) × (code − 4) */
export const q3_k: BlockDecoder = (bytes, at, values, to) => {
  const d = half(bytes, at + 108);
  for (let group = 0; group < 16; group++) {
    const scale = d * scale3(bytes, at + 96, group);
    const half128 = group >> 3;
    const source = at + 32 + half128 * 32 + (group & 1) * 16;
    const run = (group >> 1) & 3;
    const mask = at + (group & 1) * 16;
    const bit = half128 * 4 + run;
    for (let i = 0; i < 16; i++) {
      const code = ((bytes[source + i]! >> (run * 2)) & 3) - (((bytes[mask + i]! >> bit) & 1) ^ 1) * 4;
      values[to + group * 16 + i] = scale * code;
    }
  }
};

/** Scale `i` of the sixteen of a Q3_K block, of the 12 bytes from `at` on: 6 bits, −32 to 31. */
export function scale3(bytes: Uint8Array, at: number, i: number): number {
  const low = (bytes[at + (i & 7)]! >> (i >> 3 ? 4 : 0)) & 15;
  const high = (bytes[at + 8 + (i & 3)]! >> ((i >> 2) * 2)) & 3;
  return (low | (high << 4)) - 32;
}

/** Scale `i` of eight, of the 12 bytes from `at` on: 6 bits, whose upper ones are spread over the others' bytes. */
export function scale6(bytes: Uint8Array, at: number, i: number): number {
  if (i < 4) return bytes[at + i]! & 63;
  return (bytes[at + 4 + i]! & 15) | ((bytes[at + i - 4]! >> 6) << 4);
}

/** Minimum `i` of eight. */
export function minimum6(bytes: Uint8Array, at: number, i: number): number {
  if (i < 4) return bytes[at + 4 + i]! & 63;
  return (bytes[at + 4 + i]! >> 4) | ((bytes[at + i]! >> 6) << 4);
}

/** d f16, dmin f16, 8 × (scale, minimum) of 6 bits, 128 bytes of codes: d·scale × code − dmin·minimum */
export const q4_k: BlockDecoder = (bytes, at, values, to) => {
  const d = half(bytes, at);
  const dmin = half(bytes, at + 2);
  for (let group = 0; group < 8; group++) {
    const scale = d * scale6(bytes, at + 4, group);
    const minimum = dmin * minimum6(bytes, at + 4, group);
    const source = at + 16 + (group >> 1) * 32;
    const shift = (group & 1) * 4;
    for (let i = 0; i < 32; i++) {
      values[to + group * 32 + i] = scale * ((bytes[source + i]! >> shift) & 15) - minimum;
    }
  }
};

/** As Q4_K with 32 bytes of fifth bits before the codes: bit g of byte i is that of number i of group g. */
export const q5_k: BlockDecoder = (bytes, at, values, to) => {
  const d = half(bytes, at);
  const dmin = half(bytes, at + 2);
  for (let group = 0; group < 8; group++) {
    const scale = d * scale6(bytes, at + 4, group);
    const minimum = dmin * minimum6(bytes, at + 4, group);
    const source = at + 48 + (group >> 1) * 32;
    const shift = (group & 1) * 4;
    for (let i = 0; i < 32; i++) {
      const high = (bytes[at + 16 + i]! >> group) & 1;
      values[to + group * 32 + i] = scale * (((bytes[source + i]! >> shift) & 15) | (high << 4)) - minimum;
    }
  }
};

/** 128 bytes of low bits, 64 bytes of two high bits, 16 signed scales of 8 bits, d f16: d·scale × (code − 32) */
export const q6_k: BlockDecoder = (bytes, at, values, to) => {
  const d = half(bytes, at + 208);
  for (let run = 0; run < 8; run++) {
    const half128 = run >> 2;
    // Of 128 numbers, the first 64 are the low nibbles of 64 bytes and the last 64 their high nibbles.
    const low = at + half128 * 64 + (run & 1) * 32;
    const lowShift = ((run >> 1) & 1) * 4;
    const high = at + 128 + half128 * 32;
    const highShift = (run & 3) * 2;
    for (let i = 0; i < 32; i++) {
      const scale = d * int8(bytes, at + 192 + run * 2 + (i >> 4));
      const code = ((bytes[low + i]! >> lowShift) & 15) | (((bytes[high + i]! >> highShift) & 3) << 4);
      values[to + run * 32 + i] = scale * (code - 32);
    }
  }
};
