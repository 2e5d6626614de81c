// A quantised matrix as whoever decides about it sees it (a quantiser that chose codes and scales itself, a writer of
// another file format): one unsigned code a weight, one small integer a group where scales have two levels. pack.ts packs
// numbers and decides for itself; here nothing is decided.

import { WpError } from '../errors.ts';
import {
  codeBits,
  formatBytes,
  formatLimit,
  scaleSpan,
  SUPERBLOCK,
  type PackedMatrix,
  type QuantFormat,
} from './formats.ts';
import { packPlanes, unpackPlanes } from './planes.ts';
import { emptyScaleCodes, readScaleCodes, writeScaleCodes } from './scale-codes.ts';

/** All arrays are row-major. What a code is worth: see formats.ts. */
export interface QuantizedCodes {
  /** [rows, columns], each from 0 to 2^bits − 1; 8-bit codes too, whose zero is 128. */
  codes: Uint8Array;
  /** f16 bits, one a group; one a superblock of 256 columns for scales of two levels. */
  scales: Uint16Array;
  /** As `scales`, for formats with minimums. */
  minimums?: Uint16Array;
  /** Two-level scales only, one a group: unsigned with minimums, else signed. */
  scaleCodes?: Int16Array;
  /** Two-level scales with minimums only, one a group, unsigned. */
  minimumCodes?: Int16Array;
}

/** The least and greatest scale code of a format with two-level scales; minimums' codes have the same range. */
export function scaleCodeRange({ scale, offset }: QuantFormat): { least: number; greatest: number } {
  if (scale === 'f16') return { least: 1, greatest: 1 };
  const levels = 2 ** scale.bits;
  return offset === 'min' ? { least: 0, greatest: levels - 1 } : { least: -levels / 2, greatest: levels / 2 - 1 };
}

/**
 * The matrix of these codes. Throws `unsupported-format` when the format does not fit the width, `invalid-argument` for
 * arrays of another length and for codes out of range.
 */
export function packCodes(format: QuantFormat, rows: number, columns: number, parts: QuantizedCodes): PackedMatrix {
  const limit = formatLimit(format, columns);
  if (limit) {
    throw new WpError('unsupported-format', `${limit}.`, 'Keep this matrix in f16.', {
      actual: columns,
      format: format.name,
    });
  }
  const sizes = formatBytes(format, rows, columns);
  const groups = (rows * columns) / format.groupSize;
  const isMin = format.offset === 'min';
  const isTwoLevel = format.scale !== 'f16';
  const bits = codeBits(format);
  const scaleRange = scaleCodeRange(format);
  expectNumbers(format, 'codes', parts.codes, rows * columns, 0, 2 ** bits - 1);
  expectNumbers(format, 'scales', parts.scales, sizes.scales / 2);
  expectNumbers(format, 'minimums', parts.minimums, sizes.minimums / 2);
  expectNumbers(format, 'scaleCodes', parts.scaleCodes, isTwoLevel ? groups : 0, scaleRange.least, scaleRange.greatest);
  expectNumbers(format, 'minimumCodes', parts.minimumCodes, isTwoLevel && isMin ? groups : 0, 0, scaleRange.greatest);

  const planes = sizes.planes.map((bytes) => new Uint8Array(bytes));
  // 8 bits are stored as signed bytes.
  const codes = bits === 8 ? parts.codes.map((code) => code ^ 0x80) : parts.codes;
  packPlanes(codes, rows * columns, format.planes, planes, 0);
  const matrix: PackedMatrix = {
    format,
    rows,
    columns,
    planes,
    scales: parts.scales.slice(),
    minimums: parts.minimums?.slice() ?? new Uint16Array(0),
  };
  if (!isTwoLevel) return matrix;
  const bytes = new Uint8Array(sizes.scaleCodes);
  const perSuperblock = SUPERBLOCK / format.groupSize;
  for (let i = 0; i < parts.scales.length; i++) {
    const range = [i * perSuperblock, (i + 1) * perSuperblock] as const;
    const scales = parts.scaleCodes!.subarray(...range);
    writeScaleCodes(format, bytes, i, { scales, minimums: parts.minimumCodes?.subarray(...range) ?? scales });
  }
  return { ...matrix, scaleCodes: bytes };
}

/** The codes of a quantised matrix: what `packCodes` makes it of. */
export function unpackCodes(matrix: PackedMatrix): QuantizedCodes {
  const format = matrix.format as QuantFormat;
  const { rows, columns } = matrix;
  const count = rows * columns;
  let codes: Uint8Array = new Uint8Array(count);
  unpackPlanes(matrix.planes, format.planes, 0, codes, count);
  if (codeBits(format) === 8) codes = codes.map((code) => code ^ 0x80);
  const isMin = format.offset === 'min';
  const parts: QuantizedCodes = { codes, scales: matrix.scales, ...(isMin && { minimums: matrix.minimums }) };
  if (!matrix.scaleCodes) return parts;
  const groups = count / format.groupSize;
  const perSuperblock = scaleSpan(format) / format.groupSize;
  const scaleCodes = new Int16Array(groups);
  const minimumCodes = new Int16Array(isMin ? groups : 0);
  const block = emptyScaleCodes(format);
  for (let i = 0; i < matrix.scales.length; i++) {
    readScaleCodes(format, matrix.scaleCodes, i, block);
    scaleCodes.set(block.scales, i * perSuperblock);
    if (isMin) minimumCodes.set(block.minimums, i * perSuperblock);
  }
  return { ...parts, scaleCodes, ...(isMin && { minimumCodes }) };
}

function expectNumbers(
  format: QuantFormat,
  what: string,
  numbers: ArrayLike<number> | undefined,
  count: number,
  least = 0,
  greatest = 0xffff,
): void {
  const length = numbers?.length ?? 0;
  if (length !== count) {
    throw new WpError(
      'invalid-argument',
      `${format.name} needs ${count} numbers of ${what}; ${length} were given.`,
      '',
      {
        actual: length,
        expected: count,
      },
    );
  }
  for (let i = 0; i < count; i++) {
    const number = numbers![i]!;
    if (number >= least && number <= greatest) continue;
    throw new WpError(
      'invalid-argument',
      `${what}[${i}] is ${number}; ${format.name} allows ${least} to ${greatest}.`,
      '',
      { actual: number, allowed: [least, greatest] },
    );
  }
}
