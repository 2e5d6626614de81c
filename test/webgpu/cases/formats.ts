// Every row of the format table through every kernel that reads weights, at the smallest shapes that show how it lies: rows
// that are odd in number and in what they are multiples of, a piece of a table. q4g32 and q8g32 have more in linear.ts.

import { FORMATS, isQuantized, type QuantFormat, type QuantFormatName } from '../../../runtime/quantization/formats.ts';
import type { KernelCase } from '../kernel-case.ts';
import { integerCase, MATRIX_TILES, matmulCase, matrixCase, matvecCase } from './linear.ts';
import { embedCase } from './rows.ts';

const PIECE = { firstRow: 32, rows: 5 };

const QUANTIZED = Object.values(FORMATS).filter(isQuantized);

function formatCases(format: QuantFormat, f: number): KernelCase[] {
  const name = format.name as QuantFormatName;
  const span = format.scale === 'f16' ? Math.max(32, format.groupSize) : format.scale.superblock;
  const threads = { lanes: 4, rowsPerThread: 1 + (f % 2), workgroupSize: 64, reduction: 'workgroup' } as const;
  const hasBias = f % 3 === 0;
  return [
    matvecCase(name, { rows: 3, columns: 3 * span, hasBias }, threads),
    // 2 bits are read 64 columns at a time where rows have a multiple of 64.
    ...(span === 32 && format.planes[0] === 2 ? [matvecCase(name, { rows: 5, columns: 192, hasBias }, threads)] : []),
    matmulCase(name, { tokens: 3, rows: 70, columns: span, hasBias, piece: PIECE }, 'software'),
    integerCase(name, { tokens: 3, rows: 70, columns: span, hasBias, piece: PIECE }, 'exact', 'small'),
    embedCase(name, 3 * span, PIECE),
  ];
}

export const FORMAT_CASES: readonly KernelCase[] = QUANTIZED.flatMap(formatCases);

/** Subgroup matrices, as in linear.ts. */
export const FORMAT_MATRIX_CASES: readonly KernelCase[] = QUANTIZED.map((format, f) => {
  const span = format.scale === 'f16' ? 64 : format.scale.superblock;
  const sizes = {
    tokens: 17,
    rows: 70,
    columns: 3 * Math.max(span, format.groupSize),
    hasBias: f % 2 === 0,
    piece: PIECE,
  };
  return matrixCase(format.name as QuantFormatName, sizes, MATRIX_TILES[f % MATRIX_TILES.length]!);
});
