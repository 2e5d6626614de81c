// Checkpoint order → kernel order. Four rows are interleaved, word by word, so that one sixteen-byte load feeds four rows:
//   out[block][word][row of the block] = source[4 × block + row][word]
// A "word" is four bytes: eight 4-bit codes (four columns and the same columns plus 16), four 8-bit codes or an f32; for f16
// numbers and for scales it is two bytes. The missing rows of a last block are zeros.

import { halfToFloat, toHalfBits } from './half';

/** The largest magnitude of `count` halves, as bits. */
export function largestHalf(source: usize, count: u32): u32 {
  let largest: u32 = 0;
  for (let i: usize = 0; i < count; i++) largest = max<u32>(largest, load<u16>(source + i * 2) & 0x7fff);
  return largest;
}

/**
 * Multiplies `count` halves by `factor`, a power of two that neither overflows nor rounds. Arithmetic with subnormal numbers
 * takes a hundred times as long on many processors, and trained weights hold many of them: a larger unit leaves none.
 */
export function scaleHalves(address: usize, count: u32, factor: f32): void {
  for (let i: usize = 0; i < count; i++) {
    const number = halfToFloat(load<u16>(address + i * 2)) * factor;
    store<u16>(address + i * 2, <u16>i32x4.extract_lane(toHalfBits(f32x4.splat(number)), 0));
  }
}

/** Interleaves `rows` rows of `words` 32-bit words. */
export function interleaveWords(source: usize, out: usize, rows: u32, words: u32): void {
  const stride = <usize>words * 4;
  for (let row: u32 = 0; row < rows; row += 4) {
    for (let lane: u32 = 0; lane < 4; lane++) {
      const isThere = row + lane < rows;
      let from = source + <usize>lane * stride;
      let to = out + <usize>lane * 4;
      for (let word: u32 = 0; word < words; word++) {
        store<u32>(to, isThere ? load<u32>(from) : 0);
        from += 4;
        to += 16;
      }
    }
    source += 4 * stride;
    out += 4 * stride;
  }
}

/** Interleaves `rows` rows of `halves` 16-bit words. */
export function interleaveHalves(source: usize, out: usize, rows: u32, halves: u32): void {
  const stride = <usize>halves * 2;
  for (let row: u32 = 0; row < rows; row += 4) {
    for (let lane: u32 = 0; lane < 4; lane++) {
      const isThere = row + lane < rows;
      let from = source + <usize>lane * stride;
      let to = out + <usize>lane * 2;
      for (let half: u32 = 0; half < halves; half++) {
        store<u16>(to, isThere ? load<u16>(from) : 0);
        from += 2;
        to += 8;
      }
    }
    source += 4 * stride;
    out += 4 * stride;
  }
}
