// The weights of a program on the device. Planes and scales stay apart, as quantization/formats.ts has them: the kernels
// read its bytes as they are. A matrix whose plane exceeds one storage binding (128 MiB in Firefox) is cut into pieces of
// whole rows. Vectors (norms, biases) are few and small, and kept in f32.

import { WpError } from '../../errors.ts';
import type { Weight } from '../../graph/types.ts';
import { formatBytes, type FormatName, FORMATS, isQuantized, type PackedMatrix } from '../../quantization/formats.ts';
import { unpackMatrix } from '../../quantization/pack.ts';
import type { CompileOptions } from '../backend.ts';
import { type BufferLedger } from './buffers.ts';
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

interface PieceBuffers {
  plane: GPUBuffer;
  scales: GPUBuffer | undefined;
}

/** Pieces begin at multiples of this, so that their scales begin at whole words. */
const PIECE_ROW_MULTIPLE = 32;

export class WeightStore {
  readonly #ledger: BufferLedger;
  readonly #weights: ReadonlyMap<string, Weight>;
  readonly #formats: CompileOptions['formats'];
  readonly #maxPieceBytes: number;
  readonly #matrices = new Map<string, PieceBuffers[]>();
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
    const rowBytes = formatBytes(FORMATS[format], 1, columns).planes[0]!;
    return { format, rows, columns, pieces: cut(rows, Math.floor(this.#maxPieceBytes / rowBytes), name) };
  }

  async set(name: string, matrix: PackedMatrix): Promise<void> {
    const weight = this.#weight(name);
    this.#checkSizes(weight, matrix);
    this.#free(name);
    if (weight.shape.length === 1) {
      const numbers = unpackMatrix(matrix);
      this.#vectors.set(name, await this.#upload(name, bytesOf(numbers)));
      return;
    }
    const { format, columns, pieces } = this.layout(name);
    const buffers: PieceBuffers[] = [];
    this.#matrices.set(name, buffers);
    for (const { firstRow, rows } of pieces) {
      const rowBytes = matrix.planes[0]!.byteLength / matrix.rows;
      const plane = await this.#upload(
        name,
        matrix.planes[0]!.subarray(firstRow * rowBytes, (firstRow + rows) * rowBytes),
      );
      const description = FORMATS[format];
      if (!isQuantized(description)) {
        buffers.push({ plane, scales: undefined });
        continue;
      }
      const rowScales = columns / description.groupSize;
      const scales = matrix.scales.subarray(firstRow * rowScales, (firstRow + rows) * rowScales);
      buffers.push({ plane, scales: await this.#upload(`${name} scales`, bytesOf(scales)) });
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

  plane(name: string, piece: number): GPUBuffer {
    return this.#matrices.get(name)![piece]!.plane;
  }

  scales(name: string, piece: number): GPUBuffer {
    return this.#matrices.get(name)![piece]!.scales!;
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
    for (const { plane, scales } of this.#matrices.get(name) ?? []) {
      this.#ledger.destroy(plane);
      if (scales) this.#ledger.destroy(scales);
    }
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
    const hasBytes = matrix.planes.every((plane, i) => plane.byteLength === expected.planes[i]);
    const hasScales = matrix.scales.byteLength === expected.scales;
    if (matrix.rows === rows && matrix.columns === columns && isPlanned && hasBytes && hasScales) return;
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
