// Numbers to packed matrices and back, for every row of the format table. What a scale is good for is decided in
// symmetric.ts and affine.ts; how codes become bytes in planes.ts. Runs while a checkpoint streams in: one pass over the
// numbers, one row of scratch.

import { WpError } from '../errors.ts';
import { fromF16 } from '../half.ts';
import { quantizeAffine } from './affine.ts';
import { BLOCK, codeBits, formatBytes, formatLimit, hasScaleCodes, isQuantized, SUPERBLOCK } from './formats.ts';
import type { PackedMatrix, QuantFormat, WeightFormat } from './formats.ts';
import { packPlain, unpackPlain } from './plain.ts';
import { packPlanes, unpackPlanes } from './planes.ts';
import { emptyScaleCodes, readScaleCodes } from './scale-codes.ts';
import { quantizeSymmetric } from './symmetric.ts';

/**
 * Packs a matrix [rows, columns], row-major, in a format.
 * Throws `unsupported-format` when the format does not fit the width, `corrupt-file` when a weight is not finite (or too
 * large for f16) and the format cannot say so.
 */
export function packMatrix(values: Float32Array, rows: number, columns: number, format: WeightFormat): PackedMatrix {
  if (values.length !== rows * columns) {
    throw new WpError('invalid-argument', `A matrix of ${rows} × ${columns} has ${values.length} numbers.`, '', {
      actual: values.length,
      expected: rows * columns,
    });
  }
  if (!isQuantized(format)) return packPlain(values, rows, columns, format);
  requireFit(format, columns);
  if (format.scale !== 'f16') {
    throw new WpError('unsupported-format', `${format.name} has two-level scales, which are not packed here.`, '', {
      actual: format.scale,
      allowed: 'f16',
    });
  }

  const sizes = formatBytes(format, rows, columns);
  const planes = sizes.planes.map((bytes) => new Uint8Array(bytes));
  const scales = new Uint16Array(sizes.scales / 2);
  const minimums = new Uint16Array(sizes.minimums / 2);
  const bits = codeBits(format);
  const { groupSize } = format;
  const codes = new Uint8Array(columns);
  const isSignedByte = hasSignedBytes(format);

  let group = 0;
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column += groupSize, group++) {
      const start = row * columns + column;
      if (format.offset === 'symmetric') {
        const scale = quantizeSymmetric(values, start, groupSize, bits, codes, column);
        if (scale === undefined) throw notFinite(values, row, column, groupSize, columns);
        scales[group] = scale;
      } else {
        const line = quantizeAffine(values, start, groupSize, bits, codes, column);
        if (line === undefined) throw notFinite(values, row, column, groupSize, columns);
        scales[group] = line.scale;
        minimums[group] = line.minimum;
      }
    }
    if (isSignedByte) flipSign(codes, columns);
    packPlanes(codes, columns, format.planes, planes, (row * columns) / BLOCK);
  }
  return { format, rows, columns, planes, scales, minimums };
}

/** The numbers that a packed matrix stands for, [rows, columns] row-major. */
export function unpackMatrix(matrix: PackedMatrix): Float32Array {
  const { format, rows, columns } = matrix;
  requireBytes(matrix);
  if (!isQuantized(format)) return unpackPlain(matrix);
  const result = new Float32Array(rows * columns);
  const codes = new Uint8Array(columns);
  const isSignedByte = hasSignedBytes(format);
  const zero = format.offset === 'symmetric' ? 2 ** (codeBits(format) - 1) : 0;
  const { scales, minimums } = groupScales(matrix, format);
  const { groupSize } = format;
  let group = 0;
  for (let row = 0; row < rows; row++) {
    unpackPlanes(matrix.planes, format.planes, (row * columns) / BLOCK, codes, columns);
    if (isSignedByte) flipSign(codes, columns);
    for (let column = 0; column < columns; column += groupSize, group++) {
      const scale = scales[group]!;
      const minimum = minimums[group] ?? 0;
      for (let i = column; i < column + groupSize; i++) {
        result[row * columns + i] = scale * (codes[i]! - zero) + minimum;
      }
    }
  }
  return result;
}

/** Scale and minimum of every group, in order: what the scales of one or two levels come to. */
function groupScales(matrix: PackedMatrix, format: QuantFormat): { scales: Float32Array; minimums: Float32Array } {
  const superScales = fromF16(matrix.scales);
  const superMinimums = fromF16(matrix.minimums);
  if (!hasScaleCodes(format)) return { scales: superScales, minimums: superMinimums };
  const groups = SUPERBLOCK / format.groupSize;
  const scales = new Float32Array(superScales.length * groups);
  const minimums = new Float32Array(superMinimums.length * groups);
  const codes = emptyScaleCodes(format);
  for (let i = 0; i < superScales.length; i++) {
    readScaleCodes(format, matrix.scaleCodes!, i, codes);
    for (let g = 0; g < groups; g++) {
      scales[i * groups + g] = superScales[i]! * codes.scales[g]!;
      if (minimums.length > 0) minimums[i * groups + g] = superMinimums[i]! * codes.minimums[g]!;
    }
  }
  return { scales, minimums };
}

/** The parts' rows, one under another, as one matrix. All parts have one format and width. */
export function stackMatrices(parts: readonly PackedMatrix[]): PackedMatrix {
  const first = parts[0];
  if (!first) throw new WpError('invalid-argument', 'There is nothing to stack: the list of matrices is empty.');
  for (const part of parts) {
    if (part.format.name === first.format.name && part.columns === first.columns) continue;
    throw new WpError(
      'invalid-argument',
      `Matrices of ${first.columns} columns in ${first.format.name} and of ${part.columns} columns in ${part.format.name} cannot be stacked.`,
      'Plan one format for all parts of a stacked weight.',
      { actual: part.format.name, expected: first.format.name },
    );
  }
  if (parts.length === 1) return first;
  return {
    format: first.format,
    rows: parts.reduce((rows, part) => rows + part.rows, 0),
    columns: first.columns,
    planes: first.planes.map((_, p) => concatBytes(parts.map((part) => part.planes[p]!))),
    scales: concatHalves(parts.map((part) => part.scales)),
    minimums: concatHalves(parts.map((part) => part.minimums)),
    ...(first.scaleCodes && { scaleCodes: concatBytes(parts.map((part) => part.scaleCodes!)) }),
  };
}

/** 8 bits are stored as signed bytes: the code with its top bit turned over. */
function hasSignedBytes(format: QuantFormat): boolean {
  return codeBits(format) === 8;
}

function flipSign(codes: Uint8Array, count: number): void {
  for (let i = 0; i < count; i++) codes[i]! ^= 0x80;
}

function requireFit(format: QuantFormat, columns: number): void {
  const limit = formatLimit(format, columns);
  if (limit) {
    throw new WpError('unsupported-format', `${limit}.`, 'Keep this matrix in f16.', {
      actual: columns,
      format: format.name,
    });
  }
}

function requireBytes(matrix: PackedMatrix): void {
  const { format, rows, columns } = matrix;
  if (isQuantized(format)) requireFit(format, columns);
  const expected = formatBytes(format, rows, columns);
  const actual = {
    planes: matrix.planes.map((plane) => plane.byteLength),
    scales: matrix.scales.byteLength,
    minimums: matrix.minimums.byteLength,
    scaleCodes: matrix.scaleCodes?.byteLength ?? 0,
  };
  const isRight =
    actual.planes.length === expected.planes.length &&
    actual.planes.every((bytes, p) => bytes === expected.planes[p]) &&
    actual.scales === expected.scales &&
    actual.minimums === expected.minimums &&
    actual.scaleCodes === expected.scaleCodes;
  if (isRight) return;
  throw new WpError(
    'corrupt-file',
    `A ${format.name} matrix of ${rows} × ${columns} has the wrong number of bytes.`,
    '',
    {
      actual,
      expected,
    },
  );
}

function notFinite(values: Float32Array, row: number, column: number, groupSize: number, columns: number): WpError {
  const group = [...values.subarray(row * columns + column, row * columns + column + groupSize)];
  const worst = group.find((x) => !Number.isFinite(x)) ?? group.reduce((a, b) => (Math.abs(b) > Math.abs(a) ? b : a));
  return new WpError(
    'corrupt-file',
    `A weight in row ${row}, columns ${column} to ${column + groupSize - 1}, is ${worst}: it cannot be quantised.`,
    'The checkpoint is damaged, or was saved after a training run that diverged.',
    { actual: worst, row, column },
  );
}

function concatBytes(parts: readonly Uint8Array[]): Uint8Array {
  const result = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    result.set(part, at);
    at += part.length;
  }
  return result;
}

function concatHalves(parts: readonly Uint16Array[]): Uint16Array {
  const result = new Uint16Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    result.set(part, at);
    at += part.length;
  }
  return result;
}
