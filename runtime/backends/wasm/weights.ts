// Weights in linear memory: where each stands, and how it gets there. Matrices stand in blocks of four interleaved rows
// (assembly/repack.ts), vectors (norms and biases) as f32. A matrix is repacked strip by strip through a staging area, so that
// loading needs no memory beside the caller's arrays and the place where the weight stays.

import { WpError } from '../../errors.ts';
import type { Weight } from '../../graph/types.ts';
import { formatLimit, isQuantized, type FormatName, type PackedMatrix, type WeightFormat } from '../../quantization/formats.ts';
import { fromF16 } from '../../half.ts';
import type { Arena } from './arena.ts';
import type { KernelExports } from './kernels.ts';
import { BLOCK_ROWS } from './layouts.ts';

/** The formats that there are kernels for. */
const WASM_FORMATS = ['f32', 'f16', 'q8g32', 'q4g32'] as const satisfies readonly FormatName[];
export type WasmFormat = (typeof WASM_FORMATS)[number];

export interface PlacedWeight {
  name: string;
  format: WasmFormat;
  /** A vector has one row. */
  rows: number;
  columns: number;
  isMatrix: boolean;
  /** Codes or numbers. */
  address: number;
  /** f16 scales of a quantised matrix, else 0. */
  scales: number;
}

/** Bytes of one row's codes or numbers. */
export function rowBytes(format: WasmFormat, columns: number): number {
  return { q4g32: columns / 2, q8g32: columns, f16: columns * 2, f32: columns * 4 }[format];
}

export function placeWeight(weight: Weight, format: WeightFormat | undefined, arena: Arena): PlacedWeight {
  if (!format) throw new WpError('internal', `The plan names no format for the weight ${weight.name}.`);
  if (!WASM_FORMATS.some((name) => name === format.name)) {
    throw new WpError(
      'unsupported-format',
      `The WASM backend has no kernels for ${format.name} (${weight.name}).`,
      `It has ${WASM_FORMATS.join(', ')}.`,
      { actual: format.name, allowed: WASM_FORMATS },
    );
  }
  const name = format.name as WasmFormat;
  const isMatrix = weight.shape.length > 1;
  const columns = weight.shape.at(-1)!;
  const rows = isMatrix ? weight.shape[0]! : 1;
  const placed = { name: weight.name, format: name, rows, columns, isMatrix };
  if (!isMatrix) {
    if (isQuantized(format)) throw new WpError('unsupported-format', `The vector ${weight.name} comes as ${name}.`);
    // Kernels read whole vectors of four.
    return { ...placed, address: arena.take(Math.ceil(columns / 4) * 16, 'weights'), scales: 0 };
  }
  const limit = formatLimit(format, columns);
  if (limit) throw new WpError('unsupported-format', `${weight.name}: ${limit}.`);
  const wholeRows = Math.ceil(rows / BLOCK_ROWS) * BLOCK_ROWS;
  const address = arena.take(wholeRows * rowBytes(name, columns), 'weights');
  const scales = isQuantized(format) ? arena.take((wholeRows * columns * 2) / format.groupSize, 'weights') : 0;
  return { ...placed, address, scales };
}

/** Where strips of rows wait to be repacked. */
export interface Staging {
  address: number;
  bytes: number;
}

/** Bytes of staging that a weight needs at least: a block of rows. */
export function leastStagingBytes({ isMatrix, format, columns }: PlacedWeight): number {
  return isMatrix ? BLOCK_ROWS * rowBytes(format, columns) : 0;
}

/** Largest halves, as bits, that × 2^10 are finite: below 2^6. Subnormal ones become normal. */
const SCALABLE_HALF = (15 + 6) << 10;
const HALF_FACTOR = 2 ** 10;

/**
 * Checks that a matrix is the one that was planned, and copies it to its place. Returns the unit of the stored numbers: what
 * kernels multiply them by.
 */
export function uploadWeight(
  placed: PlacedWeight,
  matrix: PackedMatrix,
  memory: WebAssembly.Memory,
  kernels: KernelExports,
  staging: Staging,
): number {
  const { name, format, rows, columns } = placed;
  if (matrix.format.name !== format || matrix.rows !== rows || matrix.columns !== columns) {
    throw new WpError(
      'invalid-argument',
      `${name} comes as ${matrix.rows} × ${matrix.columns} in ${matrix.format.name}; ` +
        `the plan says ${rows} × ${columns} in ${format}.`,
    );
  }
  const numbers = matrix.planes[0]!;
  const expectedBytes = rows * rowBytes(format, columns);
  if (numbers.byteLength !== expectedBytes) {
    throw new WpError('invalid-argument', `${name} has ${numbers.byteLength} bytes, expected ${expectedBytes}.`);
  }
  if (!placed.isMatrix) {
    uploadVector(placed, numbers, memory);
    return 1;
  }
  const bytes = new Uint8Array(memory.buffer);
  const isHalf = format === 'f16';
  const stride = rowBytes(format, columns);
  let largest = 0;
  interleave(numbers, stride, rows, placed.address, bytes, staging, (source, out, count) => {
    if (!isHalf) {
      kernels.interleaveWords(source, out, count, stride / 4);
      return;
    }
    largest = Math.max(largest, kernels.largestHalf(source, count * columns));
    kernels.interleaveHalves(source, out, count, columns);
  });
  if (isHalf && largest < SCALABLE_HALF) {
    const wholeRows = Math.ceil(rows / BLOCK_ROWS) * BLOCK_ROWS;
    kernels.scaleHalves(placed.address, wholeRows * columns, HALF_FACTOR);
    return 1 / HALF_FACTOR;
  }
  if (placed.scales === 0) return 1;
  const { scales } = matrix;
  const groups = scales.length / rows;
  const scaleBytes = new Uint8Array(scales.buffer, scales.byteOffset, scales.byteLength);
  interleave(scaleBytes, groups * 2, rows, placed.scales, bytes, staging, (source, out, count) =>
    kernels.interleaveHalves(source, out, count, groups),
  );
  return 1;
}

function uploadVector(placed: PlacedWeight, numbers: Uint8Array, memory: WebAssembly.Memory): void {
  // A copy first: the caller's bytes may stand at an odd address.
  const { buffer } = numbers.slice();
  const vector = placed.format === 'f16' ? fromF16(new Uint16Array(buffer)) : new Float32Array(buffer);
  new Float32Array(memory.buffer, placed.address, vector.length).set(vector);
}

function interleave(
  source: Uint8Array,
  stride: number,
  rows: number,
  target: number,
  memory: Uint8Array,
  staging: Staging,
  repack: (source: number, out: number, rows: number) => void,
): void {
  const strip = Math.floor(staging.bytes / (stride * BLOCK_ROWS)) * BLOCK_ROWS;
  if (strip === 0) throw new WpError('internal', `The staging area (${staging.bytes} bytes) holds no block of rows.`);
  for (let row = 0; row < rows; row += strip) {
    const count = Math.min(strip, rows - row);
    memory.set(source.subarray(row * stride, (row + count) * stride), staging.address);
    repack(staging.address, target + row * stride, count);
  }
}
