// Matrices that are not quantised: the numbers themselves, in f32 or f16. Apart from pack.ts, because every model has
// some of them, and a model that is stored as it was planned needs no more than this.

import { WpError } from '../errors.ts';
import { fromF16, toF16 } from '../half.ts';
import { isQuantized, type PackedMatrix, type WeightFormat } from './formats.ts';

const none = new Uint16Array(0);

/** The numbers [rows, columns] in f32 or f16. Throws `internal` for a quantised format. */
export function packPlain(values: Float32Array, rows: number, columns: number, format: WeightFormat): PackedMatrix {
  requirePlain(format);
  const numbers = format.name === 'f32' ? values.slice() : toF16(values);
  const bytes = new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength);
  return { format, rows, columns, planes: [bytes], scales: none, minimums: none };
}

/** The numbers of a matrix in f32 or f16. Throws `internal` for a quantised one. */
export function unpackPlain({ format, planes }: PackedMatrix): Float32Array {
  requirePlain(format);
  const bytes = planes[0]!.slice(); // a copy is aligned
  return format.name === 'f32' ? new Float32Array(bytes.buffer) : fromF16(new Uint16Array(bytes.buffer));
}

function requirePlain(format: WeightFormat): void {
  if (isQuantized(format)) throw new WpError('internal', `${format.name} is quantised: pack.ts packs and unpacks it.`);
}
