// The other way round from repack.ts: a packed matrix as the blocks of the type of ggml that holds the same numbers. For
// writing GGUF files; nothing is rounded.

import { WpError } from '../../errors.ts';
import { unpackCodes, type QuantizedCodes } from '../codes.ts';
import { isQuantized, type PackedMatrix, type WeightFormat } from '../formats.ts';
import { GGML_TYPES, type GgmlType } from './types.ts';

interface Block {
  /** The type's name, and the sizes that types.ts gives for it. */
  type: string;
  /** Writes the block of the `size` codes from `from` on; `index` is the block's number, of its scales. */
  write(out: Uint8Array, parts: QuantizedCodes, from: number, index: number): void;
}

const putHalf = (out: Uint8Array, at: number, bits: number): void => {
  out[at] = bits & 255;
  out[at + 1] = bits >> 8;
};

function nibbles(out: Uint8Array, at: number, codes: Uint8Array, from: number): void {
  for (let j = 0; j < 16; j++) out[at + j] = (codes[from + j]! & 15) | ((codes[from + j + 16]! & 15) << 4);
}

function fifthBits(out: Uint8Array, at: number, codes: Uint8Array, from: number): void {
  for (let j = 0; j < 32; j++) out[at + (j >> 3)]! |= (codes[from + j]! >> 4) << (j & 7);
}

/** `bits` of each code from bit `shift` on; 256 codes go 32 by 32 into `bytes` bytes a half, run after run upward. */
function runs(
  out: Uint8Array,
  at: number,
  codes: Uint8Array,
  from: number,
  { shift, bits, bytes }: { shift: number; bits: number; bytes: (run: number) => readonly [byte: number, bit: number] },
): void {
  const mask = (1 << bits) - 1;
  for (let run = 0; run < 8; run++) {
    const [byte, bit] = bytes(run);
    for (let i = 0; i < 32; i++) out[at + byte + i]! |= ((codes[from + run * 32 + i]! >> shift) & mask) << bit;
  }
}

const twoBits = (run: number): readonly [number, number] => [(run >> 2) * 32, (run & 3) * 2];
const pairs = (run: number): readonly [number, number] => [(run >> 1) * 32, (run & 1) * 4];

/** Eight scales and minimums of 6 bits: see k-quants.ts. */
function sixBits(out: Uint8Array, at: number, parts: QuantizedCodes, index: number): void {
  for (let g = 0; g < 8; g++) {
    const scale = parts.scaleCodes![index * 8 + g]!;
    const minimum = parts.minimumCodes![index * 8 + g]!;
    if (g < 4) {
      out[at + g]! |= scale;
      out[at + 4 + g]! |= minimum;
    } else {
      out[at + 4 + g] = (scale & 15) | ((minimum & 15) << 4);
      out[at + g - 4]! |= (scale >> 4) << 6;
      out[at + g]! |= (minimum >> 4) << 6;
    }
  }
}

const TURNED = 0x8000;

const BLOCKS: Readonly<Record<string, Block>> = {
  q4g32: {
    type: 'Q4_0',
    write(out, { codes, scales }, from, index) {
      putHalf(out, 0, scales[index]!);
      nibbles(out, 2, codes, from);
    },
  },
  q4g32m: {
    type: 'Q4_1',
    write(out, { codes, scales, minimums }, from, index) {
      putHalf(out, 0, scales[index]!);
      putHalf(out, 2, minimums![index]!);
      nibbles(out, 4, codes, from);
    },
  },
  q5g32: {
    type: 'Q5_0',
    write(out, { codes, scales }, from, index) {
      putHalf(out, 0, scales[index]!);
      fifthBits(out, 2, codes, from);
      nibbles(out, 6, codes, from);
    },
  },
  q5g32m: {
    type: 'Q5_1',
    write(out, { codes, scales, minimums }, from, index) {
      putHalf(out, 0, scales[index]!);
      putHalf(out, 2, minimums![index]!);
      fifthBits(out, 4, codes, from);
      nibbles(out, 8, codes, from);
    },
  },
  q8g32: {
    type: 'Q8_0',
    write(out, { codes, scales }, from, index) {
      putHalf(out, 0, scales[index]!);
      for (let j = 0; j < 32; j++) out[2 + j] = codes[from + j]! ^ 0x80;
    },
  },
  q2k: {
    type: 'Q2_K',
    write(out, { codes, scales, minimums, scaleCodes, minimumCodes }, from, index) {
      for (let g = 0; g < 16; g++) out[g] = scaleCodes![index * 16 + g]! | (minimumCodes![index * 16 + g]! << 4);
      runs(out, 16, codes, from, { shift: 0, bits: 2, bytes: twoBits });
      putHalf(out, 80, scales[index]!);
      putHalf(out, 82, minimums![index]! ^ TURNED);
    },
  },
  q3k: {
    type: 'Q3_K',
    write(out, { codes, scales, scaleCodes }, from, index) {
      runs(out, 0, codes, from, { shift: 2, bits: 1, bytes: (run) => [0, run] });
      runs(out, 32, codes, from, { shift: 0, bits: 2, bytes: twoBits });
      for (let g = 0; g < 16; g++) {
        const scale = scaleCodes![index * 16 + g]! + 32;
        out[96 + (g & 7)]! |= (scale & 15) << (g >> 3 ? 4 : 0);
        out[104 + (g & 3)]! |= (scale >> 4) << ((g >> 2) * 2);
      }
      putHalf(out, 108, scales[index]!);
    },
  },
  q4k: {
    type: 'Q4_K',
    write(out, parts, from, index) {
      putHalf(out, 0, parts.scales[index]!);
      putHalf(out, 2, parts.minimums![index]! ^ TURNED);
      sixBits(out, 4, parts, index);
      runs(out, 16, parts.codes, from, { shift: 0, bits: 4, bytes: pairs });
    },
  },
  q5k: {
    type: 'Q5_K',
    write(out, parts, from, index) {
      putHalf(out, 0, parts.scales[index]!);
      putHalf(out, 2, parts.minimums![index]! ^ TURNED);
      sixBits(out, 4, parts, index);
      runs(out, 16, parts.codes, from, { shift: 4, bits: 1, bytes: (run) => [0, run] });
      runs(out, 48, parts.codes, from, { shift: 0, bits: 4, bytes: pairs });
    },
  },
  q6k: {
    type: 'Q6_K',
    write(out, { codes, scales, scaleCodes }, from, index) {
      const low = (run: number) => [(run >> 2) * 64 + (run & 1) * 32, ((run >> 1) & 1) * 4] as const;
      runs(out, 0, codes, from, { shift: 0, bits: 4, bytes: low });
      runs(out, 128, codes, from, { shift: 4, bits: 2, bytes: twoBits });
      for (let g = 0; g < 16; g++) out[192 + g] = scaleCodes![index * 16 + g]!;
      putHalf(out, 208, scales[index]!);
    },
  },
};

const PLAIN = { f16: 'F16', f32: 'F32' } as const;

/** The type of ggml that holds a format's numbers, with its number in files; undefined when there is none. */
export function ggmlTypeOf(format: WeightFormat): { number: number; type: GgmlType } | undefined {
  const name = isQuantized(format)
    ? Object.hasOwn(BLOCKS, format.name)
      ? BLOCKS[format.name]!.type
      : undefined
    : PLAIN[format.name];
  for (const [number, type] of GGML_TYPES) if (type.name === name) return { number, type };
  return undefined;
}

/** A matrix in the bytes of `ggmlTypeOf(matrix.format)`. Throws `unsupported-format` when there is no such type. */
export function encodeBlocks(matrix: PackedMatrix): Uint8Array {
  const { format, rows, columns } = matrix;
  if (!isQuantized(format)) return matrix.planes[0]!;
  const found = ggmlTypeOf(format);
  if (!found) {
    throw new WpError('unsupported-format', `No type of GGUF holds ${format.name}.`, 'Write safetensors instead.', {
      actual: format.name,
      allowed: Object.keys(BLOCKS),
    });
  }
  const { blockSize, blockBytes } = found.type;
  const { write } = BLOCKS[format.name]!;
  const parts = unpackCodes(matrix);
  const blocks = (rows * columns) / blockSize;
  const bytes = new Uint8Array(blocks * blockBytes);
  for (let i = 0; i < blocks; i++) write(bytes.subarray(i * blockBytes, (i + 1) * blockBytes), parts, i * blockSize, i);
  return bytes;
}
