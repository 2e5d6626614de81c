// How a quantised model is written: a safetensors file in which a matrix X of a quantised format is stored as the tensors
// X.plane0 (U8 [rows, bytes a row]), …, X.scales (F16 [rows, groups]; superblocks for two-level scales), for formats with
// an offset X.minimums, and for two-level scales X.scale_codes (U8 [rows, bytes]); what stays plain keeps its name.
// `__metadata__` says which format each X has. weights/ reads it.

import { WpError } from '../errors.ts';
import { formatBytes, isQuantized, scaleSpan, type PackedMatrix } from './formats.ts';

/** A matrix or vector to write, with its name in the checkpoint. */
export interface NamedMatrix {
  name: string;
  matrix: PackedMatrix;
  /** Writes [columns] instead of [rows, columns]: norms and biases. */
  isVector?: boolean;
}

interface TensorBytes {
  name: string;
  dtype: 'U8' | 'F16' | 'F32';
  shape: number[];
  bytes: Uint8Array;
}

/** Where tensors should start in the file, so that views of it are aligned. */
const ALIGNMENT = 8;

/**
 * The bytes of a safetensors file. `notice` is what a person should be told beside the model's answers.
 * Throws `invalid-argument` for two matrices of one name.
 */
export function writeQuantizedCheckpoint(matrices: readonly NamedMatrix[], notice = ''): Uint8Array {
  const quantization: Record<string, string> = {};
  const tensors: TensorBytes[] = [];
  for (const entry of matrices) {
    if (isQuantized(entry.matrix.format)) quantization[entry.name] = entry.matrix.format.name;
    tensors.push(...tensorsOf(entry));
  }
  // The order of the matrices is kept, since it is the order in which they are wanted; but the format allows no gaps, so
  // that tensors of odd sizes go last, where they misalign nobody (odd sizes are scales and vectors of 2-byte numbers).
  tensors.sort((a, b) => oddness(a) - oddness(b));
  const header: Record<string, unknown> = {
    __metadata__: {
      format: 'pt',
      'wp-models.version': '1',
      'wp-models.quantization': JSON.stringify(quantization),
      ...(notice && { 'wp-models.notice': notice }),
    },
  };
  let end = 0;
  for (const { name, dtype, shape, bytes } of tensors) {
    if (Object.hasOwn(header, name)) throw new WpError('invalid-argument', `Two tensors are named ${name}.`);
    header[name] = { dtype, shape, data_offsets: [end, end + bytes.byteLength] };
    end += bytes.byteLength;
  }

  let json = new TextEncoder().encode(JSON.stringify(header));
  const padding = -json.length & (ALIGNMENT - 1);
  if (padding > 0) json = concat([json, new Uint8Array(padding).fill(0x20)]);
  const length = new Uint8Array(8);
  new DataView(length.buffer).setBigUint64(0, BigInt(json.length), true);
  return concat([length, json, ...tensors.map(({ bytes }) => bytes)]);
}

/** 0 for whole multiples of 8 bytes, more for what aligns less. */
function oddness({ bytes }: TensorBytes): number {
  return bytes.byteLength % ALIGNMENT === 0 ? 0 : bytes.byteLength % 4 === 0 ? 1 : 2;
}

function tensorsOf({ name, matrix, isVector = false }: NamedMatrix): TensorBytes[] {
  const { format, rows, columns } = matrix;
  if (!isQuantized(format)) {
    const shape = isVector ? [rows * columns] : [rows, columns];
    return [{ name, dtype: format.name === 'f32' ? 'F32' : 'F16', shape, bytes: matrix.planes[0]! }];
  }
  const sizes = formatBytes(format, rows, columns);
  const spans = columns / scaleSpan(format);
  const halves = (values: Uint16Array) => new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  const tensors: TensorBytes[] = matrix.planes.map((bytes, p) => ({
    name: `${name}.plane${p}`,
    dtype: 'U8',
    shape: [rows, sizes.planes[p]! / rows],
    bytes,
  }));
  tensors.push({ name: `${name}.scales`, dtype: 'F16', shape: [rows, spans], bytes: halves(matrix.scales) });
  if (format.offset === 'min') {
    tensors.push({ name: `${name}.minimums`, dtype: 'F16', shape: [rows, spans], bytes: halves(matrix.minimums) });
  }
  if (matrix.scaleCodes) {
    const shape = [rows, sizes.scaleCodes / rows];
    tensors.push({ name: `${name}.scale_codes`, dtype: 'U8', shape, bytes: matrix.scaleCodes });
  }
  return tensors;
}

function concat(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const result = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    result.set(part, at);
    at += part.length;
  }
  return result;
}
