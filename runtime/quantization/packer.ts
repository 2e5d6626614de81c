// Which packer a set of formats needs. Those that quantise are in chunks that are fetched when one is wanted: a model that
// is stored as it was planned, as the embedded ones are, starts without them.

import { hasScaleCodes, isQuantized, type PackedMatrix, type QuantFormat, type WeightFormat } from './formats.ts';
import { packPlain } from './plain.ts';

/** Packs a matrix [rows, columns], row-major: see `packMatrix` for what it throws. */
export type Packer = (values: Float32Array, rows: number, columns: number, format: WeightFormat) => PackedMatrix;

/** A packer for all of these formats. */
export async function loadPacker(formats: Iterable<WeightFormat>): Promise<Packer> {
  const wanted = [...formats];
  if (!wanted.some(isQuantized)) return packPlain;
  const { packMatrix } = await import('./pack.ts');
  if (!wanted.some(hasScaleCodes)) return packMatrix;
  const { packTwoLevel } = await import('./two-level.ts');
  return (values, rows, columns, format) =>
    hasScaleCodes(format)
      ? packTwoLevel(values, rows, columns, format as QuantFormat)
      : packMatrix(values, rows, columns, format);
}
