// Types of ggml that are rows of our own format table: the same codes and the same scales, which only lie elsewhere. A file
// interleaves each block's scales with its codes; our planes keep them apart. Nothing is rounded: what the planes stand for
// is bit for bit what the file stands for. K-quants subtract a minimum and we add it, so that the sign of its f16 is turned.

import { WpError } from '../../errors.ts';
import { FORMATS, formatBytes, type PackedMatrix, type QuantFormat, type QuantFormatName } from '../formats.ts';
import { emptyScaleCodes, writeScaleCodes, type ScaleCodes } from '../scale-codes.ts';
import { int8, uint16, uint32 } from './block.ts';
import { addBits, addFlags, addNibbles, CODE_WORDS, writePlanes } from './code-words.ts';
import { minimum6, scale3, scale6 } from './k-quants.ts';

interface Layout {
  readonly format: QuantFormatName;
  readonly blockBytes: number;
  /** Byte of the block's f16 scale, and of its f16 minimum; `turned` for minimums that the file subtracts. */
  readonly scale: number;
  readonly minimum?: number;
  readonly turned?: true;
  /** Where codes begin: the block is copied so that this byte is the first of a word. Up to three bytes off. */
  readonly codes: number;
  /** Adds the codes of columns 32·run … of the block to `codes`, which are 0. `at` is the word of byte `codes`. */
  readonly read: (codes: Uint32Array, words: Uint32Array, at: number, run: number, bytes: Uint8Array) => void;
  /** The scale codes of a superblock, whose bytes begin at 0. */
  readonly readScales?: (bytes: Uint8Array, codes: ScaleCodes) => void;
}

const sixBits =
  (at: number): Layout['readScales'] =>
  (bytes, { scales, minimums }) => {
    for (let g = 0; g < 8; g++) {
      scales[g] = scale6(bytes, at, g);
      minimums[g] = minimum6(bytes, at, g);
    }
  };

const LAYOUTS: Readonly<Record<string, Layout>> = {
  Q4_0: { format: 'q4g32', blockBytes: 18, scale: 0, codes: 2, read: addNibbles },
  Q4_1: { format: 'q4g32m', blockBytes: 20, scale: 0, minimum: 2, codes: 4, read: addNibbles },
  Q5_0: {
    format: 'q5g32',
    blockBytes: 22,
    scale: 0,
    codes: 6,
    read(codes, words, at, _run, bytes) {
      addNibbles(codes, words, at);
      addFlags(codes, uint32(bytes, 2), 4);
    },
  },
  Q5_1: {
    format: 'q5g32m',
    blockBytes: 24,
    scale: 0,
    minimum: 2,
    codes: 8,
    read(codes, words, at, _run, bytes) {
      addNibbles(codes, words, at);
      addFlags(codes, uint32(bytes, 4), 4);
    },
  },
  // Signed bytes, as our planes have them.
  Q8_0: {
    format: 'q8g32',
    blockBytes: 34,
    scale: 0,
    codes: 2,
    read: (codes, words, at) => addBits(codes, words, at, 0, 8, 0),
  },
  Q2_K: {
    format: 'q2k',
    blockBytes: 84,
    scale: 80,
    minimum: 82,
    turned: true,
    codes: 16,
    read: (codes, words, at, run) => addBits(codes, words, at + (run >> 2) * 8, (run & 3) * 2, 2, 0),
    readScales(bytes, { scales, minimums }) {
      for (let g = 0; g < 16; g++) {
        scales[g] = bytes[g]! & 15;
        minimums[g] = bytes[g]! >> 4;
      }
    },
  },
  Q3_K: {
    format: 'q3k',
    blockBytes: 110,
    scale: 108,
    codes: 0,
    read(codes, words, _at, run) {
      addBits(codes, words, 8 + (run >> 2) * 8, (run & 3) * 2, 2, 0);
      addBits(codes, words, 0, run, 1, 2);
    },
    readScales(bytes, { scales }) {
      for (let g = 0; g < 16; g++) scales[g] = scale3(bytes, 96, g);
    },
  },
  Q4_K: {
    format: 'q4k',
    blockBytes: 144,
    scale: 0,
    minimum: 2,
    turned: true,
    codes: 16,
    read: (codes, words, at, run) => addBits(codes, words, at + (run >> 1) * 8, (run & 1) * 4, 4, 0),
    readScales: sixBits(4),
  },
  Q5_K: {
    format: 'q5k',
    blockBytes: 176,
    scale: 0,
    minimum: 2,
    turned: true,
    codes: 16,
    read(codes, words, at, run) {
      addBits(codes, words, at + 8 + (run >> 1) * 8, (run & 1) * 4, 4, 0);
      addBits(codes, words, at, run, 1, 4);
    },
    readScales: sixBits(4),
  },
  Q6_K: {
    format: 'q6k',
    blockBytes: 210,
    scale: 208,
    codes: 0,
    read(codes, words, _at, run) {
      addBits(codes, words, (run >> 2) * 16 + (run & 1) * 8, ((run >> 1) & 1) * 4, 4, 0);
      addBits(codes, words, 32 + (run >> 2) * 8, (run & 3) * 2, 2, 4);
    },
    readScales(bytes, { scales }) {
      for (let g = 0; g < 16; g++) scales[g] = int8(bytes, 192 + g);
    },
  },
};

/** The row of the format table that holds exactly the same numbers in the same number of bytes, or undefined. */
export function equalFormat(typeName: string): QuantFormatName | undefined {
  return Object.hasOwn(LAYOUTS, typeName) ? LAYOUTS[typeName]!.format : undefined;
}

/**
 * Whole rows of a matrix of the type `typeName`, in the format that `equalFormat` names, without loss.
 * Throws `corrupt-file` when the bytes are not those of so many rows.
 */
export function repack(typeName: string, bytes: Uint8Array, rows: number, columns: number): PackedMatrix {
  const layout = LAYOUTS[typeName];
  if (!layout) throw new WpError('internal', `${typeName} is no row of the format table.`);
  const { blockBytes, read, readScales } = layout;
  const format: QuantFormat = FORMATS[layout.format];
  const sizes = formatBytes(format, rows, columns);
  const blocks = sizes.scales / 2;
  if (bytes.length !== blocks * blockBytes) {
    throw new WpError(
      'corrupt-file',
      `${rows} rows of ${columns} weights in ${typeName} take ${blocks * blockBytes} bytes, not ${bytes.length}.`,
      '',
      { actual: bytes.length, expected: blocks * blockBytes },
    );
  }
  const planes = sizes.planes.map((size) => new Uint8Array(size));
  const planeWords = planes.map((plane) => new Uint32Array(plane.buffer));
  const scales = new Uint16Array(blocks);
  const minimums = new Uint16Array(sizes.minimums / 2);
  const scaleCodes = new Uint8Array(sizes.scaleCodes);

  // One block at a time, copied to where its codes can be read by words.
  const lead = -layout.codes & 3;
  const scratch = new Uint8Array(Math.ceil((lead + blockBytes) / 4) * 4);
  const words = new Uint32Array(scratch.buffer);
  const block = scratch.subarray(lead, lead + blockBytes);
  const at = (lead + layout.codes) / 4;
  const codes = new Uint32Array(CODE_WORDS);
  const groupCodes = readScales && emptyScaleCodes(format);
  const runs = (rows * columns) / blocks / 32;
  for (let b = 0; b < blocks; b++) {
    block.set(bytes.subarray(b * blockBytes, (b + 1) * blockBytes));
    scales[b] = uint16(block, layout.scale);
    if (layout.minimum !== undefined) minimums[b] = uint16(block, layout.minimum) ^ (layout.turned ? 0x8000 : 0);
    if (groupCodes) {
      readScales(block, groupCodes);
      writeScaleCodes(format, scaleCodes, b, groupCodes);
    }
    for (let run = 0; run < runs; run++) {
      codes.fill(0);
      read(codes, words, at, run, block);
      writePlanes(codes, format.planes, planeWords, b * runs + run);
    }
  }
  return { format, rows, columns, planes, scales, minimums, ...(groupCodes && { scaleCodes }) };
}
