// Stored numbers to floats, and blocks of rows into the matrix that they belong to.

import { WpError } from '../errors.ts';
import { fromF16 } from '../half.ts';
import { formatBytes, type PackedMatrix, type WeightFormat } from '../quantization/formats.ts';

/** The numbers of F32, F16 or BF16 bytes. May be a view of `bytes`. */
export function toFloats(bytes: Uint8Array, format: 'f32' | 'f16' | 'bf16'): Float32Array {
  if (format === 'f32') {
    const whole = aligned(bytes, 4);
    return new Float32Array(whole.buffer, whole.byteOffset, whole.length / 4);
  }
  const halves = toHalves(bytes);
  if (format === 'f16') return fromF16(halves);
  // bfloat16 is the upper half of a float.
  const bits = new Uint32Array(halves.length);
  for (let i = 0; i < halves.length; i++) bits[i] = halves[i]! << 16;
  return new Float32Array(bits.buffer);
}

export function toHalves(bytes: Uint8Array): Uint16Array {
  const whole = aligned(bytes, 2);
  return new Uint16Array(whole.buffer, whole.byteOffset, whole.length / 2);
}

/** The same bytes where a typed array of `size`-byte numbers may begin; a copy only when it must be. */
export function aligned(bytes: Uint8Array, size: number): Uint8Array {
  return bytes.byteOffset % size === 0 ? bytes : bytes.slice();
}

export function allocateMatrix(format: WeightFormat, rows: number, columns: number): PackedMatrix {
  const sizes = formatBytes(format, rows, columns);
  return {
    format,
    rows,
    columns,
    planes: sizes.planes.map((bytes) => new Uint8Array(bytes)),
    scales: new Uint16Array(sizes.scales / 2),
    minimums: new Uint16Array(sizes.minimums / 2),
    ...(sizes.scaleCodes > 0 && { scaleCodes: new Uint8Array(sizes.scaleCodes) }),
  };
}

/** Copies the rows of `block` to rows `firstRow` … of `target`; formats and columns are equal. */
export function setRows(target: PackedMatrix, firstRow: number, block: PackedMatrix): void {
  const at = (whole: ArrayLike<number>): number => (whole.length / target.rows) * firstRow;
  target.planes.forEach((plane, i) => plane.set(block.planes[i]!, at(plane)));
  target.scales.set(block.scales, at(target.scales));
  target.minimums.set(block.minimums, at(target.minimums));
  if (block.scaleCodes) target.scaleCodes!.set(block.scaleCodes, at(target.scaleCodes!));
}

/** Rows [first, last) of a matrix, as views. */
export function rowsOf(matrix: PackedMatrix, first: number, last: number): PackedMatrix {
  const cut = <T extends Uint8Array | Uint16Array>(whole: T): T => {
    const width = whole.length / matrix.rows;
    return whole.subarray(width * first, width * last) as T;
  };
  return {
    format: matrix.format,
    rows: last - first,
    columns: matrix.columns,
    planes: matrix.planes.map(cut),
    scales: cut(matrix.scales),
    minimums: cut(matrix.minimums),
    ...(matrix.scaleCodes && { scaleCodes: cut(matrix.scaleCodes) }),
  };
}

/** Throws when a finite number would become infinite in f16, whose largest is 65,504. */
export function expectFitsF16(values: Float32Array, tensor: string): void {
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    if (Math.abs(value) < 65_520 || !Number.isFinite(value)) continue;
    throw new WpError(
      'unsupported-format',
      `Tensor "${tensor}" holds ${value}, which f16 cannot: its largest number is 65504.`,
      'Load the model with another precision, or keep this weight in f32.',
      { tensor, actual: value, allowed: 65_504 },
    );
  }
}
