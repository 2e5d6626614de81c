// Weights in linear memory: where each stands, and how it gets there. Matrices stand in blocks of four interleaved rows
// (assembly/repack.ts, assembly/unpack.ts), vectors (norms and biases) as f32. A matrix is repacked strip by strip through a
// staging area, so that loading needs no memory beside the caller's arrays and the place where the weight stays.

import { WpError } from '../../errors.ts';
import type { Weight } from '../../graph/types.ts';
import { fromF16 } from '../../half.ts';
import {
  formatBytes,
  formatLimit,
  FORMATS,
  isQuantized,
  type FormatName,
  type PackedMatrix,
  type PlaneBits,
  type WeightFormat,
} from '../../quantization/formats.ts';
import type { Arena } from './arena.ts';
import type { KernelExports } from './kernels.ts';
import { BLOCK_ROWS } from './layouts.ts';
import { rowOf } from './rows.ts';

export interface PlacedWeight {
  name: string;
  format: FormatName;
  /** A vector has one row. */
  rows: number;
  columns: number;
  isMatrix: boolean;
  /** Codes or numbers. */
  address: number;
  /** f16 scales of a quantised matrix, its minimums, the words of its two-level scales: 0 where it has none. */
  scales: number;
  minimums: number;
  scaleCodes: number;
}

const NOTHING_MORE = { scales: 0, minimums: 0, scaleCodes: 0 };

/** Bytes of one row's codes or numbers. */
function rowBytes(format: FormatName, columns: number): number {
  return (columns * rowOf(format).bits) / 8;
}

function wholeRows(rows: number): number {
  return Math.ceil(rows / BLOCK_ROWS) * BLOCK_ROWS;
}

export function placeWeight(weight: Weight, format: WeightFormat | undefined, arena: Arena): PlacedWeight {
  if (!format) throw new WpError('internal', `The plan names no format for the weight ${weight.name}.`);
  const name = format.name as FormatName;
  const isMatrix = weight.shape.length > 1;
  const columns = weight.shape.at(-1)!;
  const rows = isMatrix ? weight.shape[0]! : 1;
  const placed = { name: weight.name, format: name, rows, columns, isMatrix };
  if (!isMatrix) {
    if (isQuantized(format)) throw new WpError('unsupported-format', `The vector ${weight.name} comes as ${name}.`);
    // Kernels read whole vectors of four.
    return { ...placed, ...NOTHING_MORE, address: arena.take(Math.ceil(columns / 4) * 16, 'weights') };
  }
  const limit = formatLimit(format, columns);
  if (limit) throw new WpError('unsupported-format', `${weight.name}: ${limit}.`);
  const bytes = formatBytes(format, wholeRows(rows), columns);
  const take = (size: number) => (size > 0 ? arena.take(size, 'weights') : 0);
  return {
    ...placed,
    address: take(bytes.planes.reduce((sum, plane) => sum + plane, 0)),
    scales: take(bytes.scales),
    minimums: take(bytes.minimums),
    scaleCodes: take(bytes.scaleCodes),
  };
}

/** Where strips of rows wait to be repacked. */
export interface Staging {
  address: number;
  bytes: number;
}

/** Bytes of staging that a weight needs at least: a block of rows, twice where two planes are joined. */
export function leastStagingBytes({ isMatrix, format, columns }: PlacedWeight): number {
  return isMatrix ? 2 * BLOCK_ROWS * rowBytes(format, columns) : 0;
}

/** Largest halves, as bits, that × 2^10 are finite: below 2^6. Subnormal ones become normal. */
const SCALABLE_HALF = (15 + 6) << 10;
const HALF_FACTOR = 2 ** 10;

/** What an upload works with. */
interface Uploading {
  placed: PlacedWeight;
  memory: WebAssembly.Memory;
  kernels: KernelExports;
  staging: Staging;
}

/**
 * Checks that a matrix is the one that was planned, and copies it to its place. Returns the unit of the stored f16: what
 * kernels multiply them by.
 */
export function uploadWeight(
  placed: PlacedWeight,
  matrix: PackedMatrix,
  memory: WebAssembly.Memory,
  kernels: KernelExports,
  staging: Staging,
): number {
  checkMatrix(placed, matrix);
  if (!placed.isMatrix) {
    uploadVector(placed, matrix.planes[0]!, memory);
    return 1;
  }
  const uploading = { placed, memory, kernels, staging };
  if (placed.format === 'f32') {
    uploadWords(uploading, matrix.planes[0]!, placed.address);
    return 1;
  }
  if (placed.format === 'f16') return uploadHalves(uploading, [[matrix.planes[0]!, placed.address]]);
  if (matrix.planes.length === 1) uploadWords(uploading, matrix.planes[0]!, placed.address);
  else uploadTwoPlanes(uploading, matrix.planes as [Uint8Array, Uint8Array]);
  if (matrix.scaleCodes) uploadWords(uploading, matrix.scaleCodes, placed.scaleCodes);
  const halves: [Uint8Array, number][] = [[bytesOf(matrix.scales), placed.scales]];
  if (placed.minimums !== 0) halves.push([bytesOf(matrix.minimums), placed.minimums]);
  return uploadHalves(uploading, halves);
}

function checkMatrix(placed: PlacedWeight, matrix: PackedMatrix): void {
  const { name, format, rows, columns } = placed;
  if (matrix.format.name !== format || matrix.rows !== rows || matrix.columns !== columns) {
    throw new WpError(
      'invalid-argument',
      `${name} comes as ${matrix.rows} × ${matrix.columns} in ${matrix.format.name}; ` +
        `the plan says ${rows} × ${columns} in ${format}.`,
    );
  }
  const expected = formatBytes(FORMATS[format], rows, columns);
  const parts: [what: string, bytes: number | undefined, expected: number][] = [
    ...expected.planes.map((bytes, p): [string, number | undefined, number] => [
      `plane ${p}`,
      matrix.planes[p]?.byteLength,
      bytes,
    ]),
    ['the scales', matrix.scales.byteLength, expected.scales],
    ['the minimums', matrix.minimums.byteLength, expected.minimums],
    ['the scale codes', matrix.scaleCodes?.byteLength ?? 0, expected.scaleCodes],
  ];
  for (const [what, bytes, right] of parts) {
    if (bytes === right) continue;
    throw new WpError('invalid-argument', `${name}: ${what} has ${bytes ?? 0} bytes, expected ${right}.`, '', {
      actual: bytes ?? 0,
      expected: right,
    });
  }
}

function bytesOf(halves: Uint16Array): Uint8Array {
  return new Uint8Array(halves.buffer, halves.byteOffset, halves.byteLength);
}

function uploadVector(placed: PlacedWeight, numbers: Uint8Array, memory: WebAssembly.Memory): void {
  // A copy first: the caller's bytes may stand at an odd address.
  const { buffer } = numbers.slice();
  const vector = placed.format === 'f16' ? fromF16(new Uint16Array(buffer)) : new Float32Array(buffer);
  new Float32Array(memory.buffer, placed.address, vector.length).set(vector);
}

/** Interleaves rows of 32-bit words. */
function uploadWords({ placed, memory, kernels, staging }: Uploading, source: Uint8Array, target: number): void {
  const stride = source.byteLength / placed.rows;
  const bytes = new Uint8Array(memory.buffer);
  for (const { row, count } of strips(placed.rows, stride, staging.bytes)) {
    bytes.set(source.subarray(row * stride, (row + count) * stride), staging.address);
    kernels.interleaveWords(staging.address, target + row * stride, count, stride / 4);
  }
}

/**
 * Interleaves rows of halves, and multiplies all of them by a power of two where they are small enough: arithmetic with
 * subnormal numbers is slow. Returns the unit.
 */
function uploadHalves(
  { placed, memory, kernels, staging }: Uploading,
  arrays: readonly (readonly [source: Uint8Array, target: number])[],
): number {
  const bytes = new Uint8Array(memory.buffer);
  let largest = 0;
  for (const [source, target] of arrays) {
    const stride = source.byteLength / placed.rows;
    for (const { row, count } of strips(placed.rows, stride, staging.bytes)) {
      bytes.set(source.subarray(row * stride, (row + count) * stride), staging.address);
      largest = Math.max(largest, kernels.largestHalf(staging.address, (count * stride) / 2));
      kernels.interleaveHalves(staging.address, target + row * stride, count, stride / 2);
    }
  }
  if (largest >= SCALABLE_HALF) return 1;
  for (const [source, target] of arrays) {
    const halves = (source.byteLength / 2 / placed.rows) * wholeRows(placed.rows);
    kernels.scaleHalves(target, halves, HALF_FACTOR);
  }
  return 1 / HALF_FACTOR;
}

/** Interleaves two planes beside each other in the staging area, and joins them from there. */
function uploadTwoPlanes({ placed, memory, kernels, staging }: Uploading, planes: [Uint8Array, Uint8Array]): void {
  const { rows, columns, address } = placed;
  const { bits, quantized } = rowOf(placed.format);
  const fold = { 3: kernels.fold3, 5: kernels.fold5, 6: kernels.fold6 }[bits];
  if (!fold) throw new WpError('internal', `There is no joining of planes to ${bits} bits.`);
  const bytes = new Uint8Array(memory.buffer);
  const stride = (columns * bits) / 8;
  const strides = quantized!.planes.map((plane: PlaneBits) => (columns * plane) / 8) as [number, number];
  for (const { row, count } of strips(rows, 2 * stride, staging.bytes)) {
    const there = wholeRows(count);
    // Both planes as they come, then both interleaved.
    const joined = staging.address + there * stride;
    let at = 0;
    for (const [p, plane] of planes.entries()) {
      const width = strides[p]!;
      bytes.set(plane.subarray(row * width, (row + count) * width), staging.address + at);
      kernels.interleaveWords(staging.address + at, joined + at, count, width / 4);
      at += there * width;
    }
    fold(joined, joined + there * strides[0], address + row * stride, (there / BLOCK_ROWS) * (columns / 32));
  }
}

/** Runs of whole blocks of rows, as many as `room` bytes hold. */
function* strips(rows: number, stride: number, room: number): Generator<{ row: number; count: number }> {
  const strip = Math.floor(room / (stride * BLOCK_ROWS)) * BLOCK_ROWS;
  if (strip === 0) throw new WpError('internal', `The staging area (${room} bytes) holds no block of rows.`);
  for (let row = 0; row < rows; row += strip) yield { row, count: Math.min(strip, rows - row) };
}
