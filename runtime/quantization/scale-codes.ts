// The small integers of two-level scales, and their bytes: see formats.ts for the layouts. Only loaders, quantisers and
// tests come here; kernels read the bytes as they are.

import { SUPERBLOCK, scaleCodeBytes, type QuantFormat } from './formats.ts';

/** Of one superblock: a code a group. `minimums` stays untouched for symmetric formats. */
export interface ScaleCodes {
  scales: Int16Array;
  minimums: Int16Array;
}

/** Room for the codes of one superblock. */
export function emptyScaleCodes({ groupSize }: QuantFormat): ScaleCodes {
  const groups = SUPERBLOCK / groupSize;
  return { scales: new Int16Array(groups), minimums: new Int16Array(groups) };
}

/** Reads the codes of superblock `index` from `bytes` into `codes`. The format has two-level scales. */
export function readScaleCodes(format: QuantFormat, bytes: Uint8Array, index: number, codes: ScaleCodes): void {
  const at = index * scaleCodeBytes(format);
  const groups = SUPERBLOCK / format.groupSize;
  const bits = scaleBits(format);
  for (let g = 0; g < groups; g++) {
    if (bits === 8) codes.scales[g] = (bytes[at + g]! << 24) >> 24;
    else if (bits === 4) {
      codes.scales[g] = bytes[at + g]! & 15;
      codes.minimums[g] = bytes[at + g]! >> 4;
    } else if (format.offset === 'min') {
      codes.scales[g] = nibble(bytes, at, g) | (pair(bytes, at + 8, g) << 4);
      codes.minimums[g] = nibble(bytes, at + 4, g) | (pair(bytes, at + 10, g) << 4);
    } else {
      codes.scales[g] = (nibble(bytes, at, g) | (pair(bytes, at + 8, g) << 4)) - 32;
    }
  }
}

/** Writes the codes of superblock `index` to `bytes`, whose place is zero. */
export function writeScaleCodes(format: QuantFormat, bytes: Uint8Array, index: number, codes: ScaleCodes): void {
  const at = index * scaleCodeBytes(format);
  const groups = SUPERBLOCK / format.groupSize;
  const bits = scaleBits(format);
  for (let g = 0; g < groups; g++) {
    const scale = codes.scales[g]!;
    if (bits === 8) bytes[at + g] = scale;
    else if (bits === 4) bytes[at + g] = scale | (codes.minimums[g]! << 4);
    else {
      const isMin = format.offset === 'min';
      setSixBits(bytes, at, at + 8, g, isMin ? scale : scale + 32);
      if (isMin) setSixBits(bytes, at + 4, at + 10, g, codes.minimums[g]!);
    }
  }
}

function scaleBits({ scale }: QuantFormat): number {
  return scale === 'f16' ? 0 : scale.bits;
}

// Nibble g of the words at `at`, and the pair of bits g: little-endian words are bytes from the low end up.
function nibble(bytes: Uint8Array, at: number, g: number): number {
  return (bytes[at + (g >> 1)]! >> (4 * (g & 1))) & 15;
}

function pair(bytes: Uint8Array, at: number, g: number): number {
  return (bytes[at + (g >> 2)]! >> (2 * (g & 3))) & 3;
}

function setSixBits(bytes: Uint8Array, low: number, high: number, g: number, code: number): void {
  bytes[low + (g >> 1)]! |= (code & 15) << (4 * (g & 1));
  bytes[high + (g >> 2)]! |= (code >> 4) << (2 * (g & 3));
}
