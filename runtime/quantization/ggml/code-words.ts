// Codes of 32 consecutive weights as eight words, one code a byte (byte j of the run is column j, words being
// little-endian): the form between a file's blocks and our planes. Four codes move with each shift and mask.

import type { PlaneBits } from '../formats.ts';

/** Words of 32 codes. */
export const CODE_WORDS = 8;

const byteMask = (bits: number): number => Math.imul((1 << bits) - 1, 0x01010101);

/**
 * Adds `bits` bits of each of 32 bytes, from bit `from` of the byte on, to the codes at bit `to`. `words` are the file's,
 * from word `at` on.
 */
export function addBits(
  codes: Uint32Array,
  words: Uint32Array,
  at: number,
  from: number,
  bits: number,
  to: number,
): void {
  const mask = byteMask(bits);
  for (let i = 0; i < CODE_WORDS; i++) codes[i]! |= ((words[at + i]! >>> from) & mask) << to;
}

/** The low bits of Q4_0 and its kin: 16 bytes hold columns 0 to 15 in their low nibbles, 16 to 31 in their high ones. */
export function addNibbles(codes: Uint32Array, words: Uint32Array, at: number): void {
  for (let i = 0; i < 4; i++) {
    codes[i]! |= words[at + i]! & 0x0f0f0f0f;
    codes[i + 4]! |= (words[at + i]! >>> 4) & 0x0f0f0f0f;
  }
}

/** Bit j of a word is bit `to` of code j. */
export function addFlags(codes: Uint32Array, flags: number, to: number): void {
  for (let i = 0; i < CODE_WORDS; i++) {
    // The four bits land 7 apart each: bit n of the nibble at bit 8n.
    codes[i]! |= ((((flags >>> (4 * i)) & 15) * 0x00204081) & 0x01010101) << to;
  }
}

/** Writes the codes to the planes (words, most significant first) as block `block`: see formats.ts for the layout. */
export function writePlanes(
  codes: Uint32Array,
  planeBits: readonly PlaneBits[],
  planes: readonly Uint32Array[],
  block: number,
): void {
  let shift = planeBits.reduce<number>((sum, bits) => sum + bits, 0);
  for (let p = 0; p < planeBits.length; p++) {
    const bits = planeBits[p]!;
    shift -= bits;
    const mask = byteMask(bits);
    // Byte j holds columns j, j + 4·bits, …: word t holds those of the words t, t + bits, …
    for (let t = 0; t < bits; t++) {
      let word = 0;
      for (let i = t, up = 0; i < CODE_WORDS; i += bits, up += bits) word |= ((codes[i]! >>> shift) & mask) << up;
      planes[p]![block * bits + t] = word;
    }
  }
}
