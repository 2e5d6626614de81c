// Which packer a set of formats needs. Two-level scales have a larger one, in a chunk that is fetched when it is wanted.

import { hasScaleCodes, type PackedMatrix, type QuantFormat, type WeightFormat } from './formats.ts';
import { packMatrix } from './pack.ts';

/** Packs a matrix [rows, columns], row-major: see `packMatrix` for what it throws. */
export type Packer = (values: Float32Array, rows: number, columns: number, format: WeightFormat) => PackedMatrix;

/** A packer for all of these formats. */
export async function loadPacker(formats: Iterable<WeightFormat>): Promise<Packer> {
  if (![...formats].some(hasScaleCodes)) return packMatrix;
  const { packTwoLevel } = await import('./two-level.ts');
  return (values, rows, columns, format) =>
    hasScaleCodes(format)
      ? packTwoLevel(values, rows, columns, format as QuantFormat)
      : packMatrix(values, rows, columns, format);
}
