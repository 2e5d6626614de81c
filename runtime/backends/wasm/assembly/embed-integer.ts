// Rows of an embedding table in any quantised format, from the same blocks of four rows that the products read, so that a tied
// table is held once. A few rows a step: the width and the scales are looked at as it runs. `from` and `to` are tokens; ids are
// in range.

import { Codes2, Codes3, Codes4, Codes5, Codes6, Codes8 } from './codes';
import { halfToFloat } from './half';
import { EmbedParameters } from './parameters';
import { unpackAt } from './unpack';

/** The table's row and what belongs to it. */
let block: u32 = 0;
let lane: usize = 0;

/** Number `index` of the row, of an array of halves with `count` a row. */
function half(array: usize, count: u32, index: u32): f32 {
  return halfToFloat(load<u16>(array + (<usize>(block * count + index) * 4 + lane) * 2));
}

/** 32 bits of the row's scale codes, of which there are `count` words a row. */
function word(p: EmbedParameters, count: u32, index: u32): u32 {
  return load<u32>(p.scaleCodes + (<usize>(block * count + index) * 4 + lane) * 4);
}

/** Six bits: nibble `g` of one word, and two bits of another. */
function sixBits(low: u32, high: u32, g: u32, highShift: u32): i32 {
  return ((low >> (4 * (g & 7))) & 15) | (((high >> highShift) & 3) << 4);
}

/** The scale of group `g`; groups have p.groupColumns columns. */
function scaleOf(p: EmbedParameters, g: u32): f32 {
  const groups = p.columns / p.groupColumns;
  if (p.scaleCodes == 0) return half(p.scales, groups, g);
  const superblocks = p.columns / 256;
  const perSuperblock = 256 / p.groupColumns;
  const superblock = g / perSuperblock;
  const scale = half(p.scales, superblocks, superblock);
  const within = g % perSuperblock;
  if (p.bits == 2) return scale * <f32>((word(p, groups / 4, g / 4) >> (8 * (g & 3))) & 15);
  if (p.bits == 6) return scale * <f32>(<i8>(word(p, groups / 4, g / 4) >> (8 * (g & 3))));
  const words = superblocks * 3;
  const high = word(p, words, superblock * 3 + 2);
  if (p.bits == 3) {
    return scale * <f32>(sixBits(word(p, words, superblock * 3 + within / 8), high, within, 2 * within) - 32);
  }
  return scale * <f32>sixBits(word(p, words, superblock * 3), high, within, 2 * within);
}

function minimumOf(p: EmbedParameters, g: u32): f32 {
  if (p.minimums == 0) return 0;
  const groups = p.columns / p.groupColumns;
  if (p.scaleCodes == 0) return half(p.minimums, groups, g);
  const superblocks = p.columns / 256;
  const perSuperblock = 256 / p.groupColumns;
  const superblock = g / perSuperblock;
  const minimum = half(p.minimums, superblocks, superblock);
  if (p.bits == 2) return minimum * <f32>((word(p, groups / 4, g / 4) >> (8 * (g & 3) + 4)) & 15);
  const words = superblocks * 3;
  const within = g % perSuperblock;
  const low = word(p, words, superblock * 3 + 1);
  return minimum * <f32>sixBits(low, word(p, words, superblock * 3 + 2), within, 16 + 2 * within);
}

function unpackVector(bits: u32, w: usize, i: u32): v128 {
  if (bits == 2) return unpackAt<Codes2>(w, i);
  if (bits == 3) return unpackAt<Codes3>(w, i);
  if (bits == 4) return unpackAt<Codes4>(w, i);
  if (bits == 5) return unpackAt<Codes5>(w, i);
  if (bits == 6) return unpackAt<Codes6>(w, i);
  return unpackAt<Codes8>(w, i);
}

export function embedInteger(parameters: usize, from: u32, to: u32): void {
  const p = changetype<EmbedParameters>(parameters);
  const blocks = p.columns / 32;
  const isSigned = p.bits == 8;
  const half = min<u32>(p.groupColumns, 32);
  const corrections = i32x4.splat(p.correction);
  let out = p.output + <usize>from * p.columns * 4;
  for (let token = from; token < to; token++) {
    const id = load<u32>(p.ids + <usize>token * 4);
    block = id >> 2;
    lane = <usize>(id & 3);
    // Moves the row's four bytes of a vector to the front.
    const front = i8x16.add(i8x16(0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3), i8x16.splat(<i8>(lane * 4)));
    for (let b: u32 = 0; b < blocks; b++) {
      const w = p.weights + <usize>(block * blocks + b) * (p.bits * 16);
      for (let start: u32 = 0; start < 32; start += half) {
        const g = (b * 32 + start) / p.groupColumns;
        const scale = f32x4.splat(scaleOf(p, g) * p.unit);
        const minimum = f32x4.splat(minimumOf(p, g) * p.unit);
        for (let column = start; column < start + half; column += 4) {
          const bytes = i8x16.swizzle(unpackVector(p.bits, w, column / 4), front);
          const words = isSigned
            ? i32x4.extend_low_i16x8_s(i16x8.extend_low_i8x16_s(bytes))
            : i32x4.extend_low_i16x8_u(i16x8.extend_low_i8x16_u(bytes));
          const numbers = f32x4.convert_i32x4_s(i32x4.add(words, corrections));
          v128.store(out, f32x4.add(f32x4.mul(numbers, scale), minimum));
          out += 16;
        }
      }
    }
  }
}
