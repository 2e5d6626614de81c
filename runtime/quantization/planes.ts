// Codes to bit planes and back, for every row of the format table. The layout is the one that formats.ts describes: in
// each block of 32 columns a plane of `b` bits takes 4·b bytes, and byte j holds the columns j, j + 4b, j + 8b, … from
// the low bits up. Rows are whole blocks, so that a matrix is one run of blocks and nothing here knows rows.

import { BLOCK, type PlaneBits } from './formats.ts';

/**
 * Splits `count` codes (a multiple of 32, each below 2^sum(planeBits)) into the planes' bytes.
 * `firstBlock` says where in the planes the first block goes.
 */
export function packPlanes(
  codes: Uint8Array,
  count: number,
  planeBits: readonly PlaneBits[],
  planes: readonly Uint8Array[],
  firstBlock: number,
): void {
  const width = BLOCK;
  let shift = planeBits.reduce<number>((sum, bits) => sum + bits, 0);
  for (let p = 0; p < planeBits.length; p++) {
    const bits = planeBits[p]!;
    const plane = planes[p]!;
    shift -= bits;
    if (bits === 8) {
      plane.set(codes.subarray(0, count), firstBlock * width); // the only plane: codes are bytes
      continue;
    }
    const bytesPerBlock = (width / 8) * bits;
    const mask = (1 << bits) - 1;
    let at = firstBlock * bytesPerBlock;
    for (let block = 0; block < count; block += width) {
      for (let j = 0; j < bytesPerBlock; j++) {
        let byte = 0;
        for (let column = j, up = 0; column < width; column += bytesPerBlock, up += bits) {
          byte |= ((codes[block + column]! >> shift) & mask) << up;
        }
        plane[at++] = byte;
      }
    }
  }
}

/** Joins `count` codes (a multiple of 32) from the planes, beginning at block `firstBlock`. */
export function unpackPlanes(
  planes: readonly Uint8Array[],
  planeBits: readonly PlaneBits[],
  firstBlock: number,
  codes: Uint8Array,
  count: number,
): void {
  codes.fill(0, 0, count);
  const width = BLOCK;
  let shift = planeBits.reduce<number>((sum, bits) => sum + bits, 0);
  for (let p = 0; p < planeBits.length; p++) {
    const bits = planeBits[p]!;
    const plane = planes[p]!;
    shift -= bits;
    if (bits === 8) {
      codes.set(plane.subarray(firstBlock * width, firstBlock * width + count));
      continue;
    }
    const bytesPerBlock = (width / 8) * bits;
    const mask = (1 << bits) - 1;
    let at = firstBlock * bytesPerBlock;
    for (let block = 0; block < count; block += width) {
      for (let j = 0; j < bytesPerBlock; j++) {
        const byte = plane[at++]!;
        for (let column = j, up = 0; column < width; column += bytesPerBlock, up += bits) {
          codes[block + column]! |= ((byte >> up) & mask) << shift;
        }
      }
    }
  }
}
