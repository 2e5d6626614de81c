// The weights of a program on the device; device-matrix.ts says how a matrix lies there. One that exceeds a storage binding
// (128 MiB in Firefox) is cut into pieces of whole rows. Vectors (norms, biases) are few and small, and kept in f32.

import { WpError } from '../../errors.ts';
import type { Weight } from '../../graph/types.ts';
import { formatBytes, formatLimit, type FormatName, FORMATS, type PackedMatrix } from '../../quantization/formats.ts';
import { unpackPlain } from '../../quantization/plain.ts';
import type { CompileOptions } from '../backend.ts';
import { type BufferLedger } from './buffers.ts';
import { deviceMatrix } from './device-matrix.ts';
import type { DeviceProfile } from './device-profile.ts';

/** Rows firstRow … firstRow + rows − 1 of a matrix: one set of bindings, one dispatch. */
export interface MatrixPiece {
  index: number;
  firstRow: number;
  rows: number;
}

export interface MatrixLayout {
  format: FormatName;
  rows: number;
  columns: number;
  pieces: readonly MatrixPiece[];
}

/** Pieces begin at multiples of this, so that their scales begin at whole words. */
const PIECE_ROW_MULTIPLE = 32;

export class WeightStore {
  readonly #ledger: BufferLedger;
  readonly #weights: ReadonlyMap<string, Weight>;
  readonly #formats: CompileOptions['formats'];
  readonly #maxPieceBytes: number;
  readonly #matrices = new Map<string, GPUBuffer[][]>();
  readonly #vectors = new Map<string, GPUBuffer>();

  constructor(
    ledger: BufferLedger,
    weights: readonly Weight[],
    formats: CompileOptions['formats'],
    profile: DeviceProfile,
  ) {
    this.#ledger = ledger;
    this.#weights = new Map(weights.map((weight) => [weight.name, weight]));
    this.#formats = formats;
    this.#maxPieceBytes = Math.min(profile.maxStorageBindingBytes, profile.maxBufferBytes);
  }

  /** How a matrix lies on the device: known before it arrives. */
  layout(name: string): MatrixLayout {
    const weight = this.#weight(name);
    const [rows, columns] = weight.shape;
    if (rows === undefined || columns === undefined || weight.shape.length !== 2) {
      throw new WpError('internal', `The weight ${name} is not a matrix.`, '', { shape: weight.shape });
    }
    const format = this.#format(name);
    const limit = formatLimit(FORMATS[format], columns);
    if (limit) throw new WpError('unsupported-operation', limit, '', { actual: columns, name });
    const { planes, total } = formatBytes(FORMATS[format], 1, columns);
    const scales = total - planes.reduce((sum, bytes) => sum + bytes);
    const maxRows = Math.floor(this.#maxPieceBytes / Math.max(...planes, scales));
    return { format, rows, columns, pieces: cut(rows, maxRows, name) };
  }

  async set(name: string, matrix: PackedMatrix): Promise<void> {
    const weight = this.#weight(name);
    this.#checkSizes(weight, matrix);
    this.#free(name);
    if (weight.shape.length === 1) {
      const numbers = unpackPlain(matrix);
      this.#vectors.set(name, await this.#upload(name, bytesOf(numbers)));
      return;
    }
    const buffers: GPUBuffer[][] = [];
    this.#matrices.set(name, buffers);
    for (const { index, firstRow, rows } of this.layout(name).pieces) {
      const { planes, scales } = deviceMatrix(matrix, firstRow, rows);
      const parts: GPUBuffer[] = (buffers[index] = []);
      for (const plane of planes) parts.push(await this.#upload(name, plane));
      if (scales) parts.push(await this.#upload(`${name} scales`, bytesOf(scales)));
    }
  }

  /** Throws `missing-tensor` if a weight has not been set. */
  checkComplete(): void {
    const missing = [...this.#weights.keys()].filter((name) => !this.#matrices.has(name) && !this.#vectors.has(name));
    if (missing.length === 0) return;
    throw new WpError(
      'missing-tensor',
      `${missing.length} weights were not set, the first of them ${missing[0]!}.`,
      'The checkpoint does not have all tensors that the architecture needs.',
      { missing: missing.slice(0, 20) },
    );
  }

  /** The buffers of a piece: its planes, then its scales if it has any. */
  matrix(name: string, piece: number): readonly GPUBuffer[] {
    return this.#matrices.get(name)![piece]!;
  }

  vector(name: string): GPUBuffer {
    return this.#vectors.get(name)!;
  }

  #upload(label: string, contents: Uint8Array): Promise<GPUBuffer> {
    return this.#ledger.createWith('weights', label, contents, GPUBufferUsage.STORAGE);
  }

  #free(name: string): void {
    const vector = this.#vectors.get(name);
    if (vector) this.#ledger.destroy(vector);
    this.#vectors.delete(name);
    for (const buffer of (this.#matrices.get(name) ?? []).flat()) this.#ledger.destroy(buffer);
    this.#matrices.delete(name);
  }

  #weight(name: string): Weight {
    const weight = this.#weights.get(name);
    if (weight) return weight;
    throw new WpError('invalid-argument', `The graph has no weight ${name}.`, '', { actual: name });
  }

  #format(name: string): FormatName {
    const format = this.#formats.get(name);
    if (format && format.name in FORMATS) return format.name as FormatName;
    throw new WpError(
      'unsupported-format',
      `The WebGPU backend has no kernels for ${name} in the format ${format?.name ?? '(none planned)'}.`,
      `It reads ${Object.keys(FORMATS).join(', ')}.`,
      { actual: format?.name, allowed: Object.keys(FORMATS) },
    );
  }

  #checkSizes({ name, shape }: Weight, matrix: PackedMatrix): void {
    const [rows, columns] = shape.length === 1 ? [1, shape[0]!] : shape;
    const planned = this.#formats.get(name)?.name;
    const isPlanned = shape.length === 1 || matrix.format.name === planned;
    const expected = formatBytes(matrix.format, matrix.rows, matrix.columns);
    const hasBytes =
      matrix.planes.length === expected.planes.length &&
      matrix.planes.every((plane, i) => plane.byteLength === expected.planes[i]) &&
      matrix.scales.byteLength === expected.scales &&
      matrix.minimums.byteLength === expected.minimums &&
      (matrix.scaleCodes?.byteLength ?? 0) === expected.scaleCodes;
    if (matrix.rows === rows && matrix.columns === columns && isPlanned && hasBytes) return;
    throw new WpError(
      'invalid-argument',
      `The weight ${name} arrived as ${matrix.rows} × ${matrix.columns} in ${matrix.format.name}; planned is ${rows!} × ${columns!} in ${planned!}.`,
      '',
      { name, actual: [matrix.rows, matrix.columns, matrix.format.name], allowed: [rows, columns, planned] },
    );
  }
}

/** Runs of rows of at most `maxRows`. */
function cut(rows: number, maxRows: number, name: string): MatrixPiece[] {
  if (rows <= maxRows) return [{ index: 0, firstRow: 0, rows }];
  const step = Math.floor(maxRows / PIECE_ROW_MULTIPLE) * PIECE_ROW_MULTIPLE;
  if (step === 0) {
    throw new WpError('unsupported-operation', `A row of ${name} is too long for this GPU's storage bindings.`);
  }
  const count = Math.ceil(rows / step);
  return Array.from({ length: count }, (_, index) => ({
    index,
    firstRow: index * step,
    rows: Math.min(step, rows - index * step),
  }));
}

function bytesOf({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}
