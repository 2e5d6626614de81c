// A GGUF file's header, version 3: magic, metadata, and each tensor's name, shape, type and place. The tensors' bytes follow it,
// each at its place; who writes them is the caller. Source: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.

import { WpError } from '../../errors.ts';
import type { WeightFormat } from '../../quantization/formats.ts';
import { ggmlTypeOf } from '../../quantization/ggml/encode.ts';

const VERSION = 3;
const ALIGNMENT = 32;

/** A metadata entry as it stands in the file: key, type and value. */
export interface GgufEntry {
  key: string;
  bytes: Uint8Array;
}

type Scalar = 'u32' | 'i32' | 'f32' | 'bool';
const NUMBERS: Readonly<Record<Scalar, { type: number; bytes: number }>> = {
  u32: { type: 4, bytes: 4 },
  i32: { type: 5, bytes: 4 },
  f32: { type: 6, bytes: 4 },
  bool: { type: 7, bytes: 1 },
};
const STRING = 8;
const ARRAY = 9;

export function numberEntry(key: string, kind: Scalar, value: number): GgufEntry {
  return { key, bytes: concat([text(key), uint32(NUMBERS[kind].type), scalar(kind, value)]) };
}

export function textEntry(key: string, value: string): GgufEntry {
  return { key, bytes: concat([text(key), uint32(STRING), text(value)]) };
}

export function textsEntry(key: string, values: readonly string[]): GgufEntry {
  const head = concat([text(key), uint32(ARRAY), uint32(STRING), uint64(values.length)]);
  return { key, bytes: concat([head, ...values.map(text)]) };
}

export function numbersEntry(key: string, kind: 'i32' | 'f32', values: readonly number[]): GgufEntry {
  const array = kind === 'i32' ? Int32Array.from(values) : Float32Array.from(values);
  const head = concat([text(key), uint32(ARRAY), uint32(NUMBERS[kind].type), uint64(values.length)]);
  return { key, bytes: concat([head, new Uint8Array(array.buffer)]) };
}

export interface GgufTensorPlan {
  name: string;
  /** Rows first; a vector has one number. */
  shape: readonly number[];
  format: WeightFormat;
  bytes: number;
}

export interface GgufLayout {
  /** All bytes before the first tensor, padding included. */
  header: Uint8Array;
  /** Where each tensor begins in the file, in the order given: ascending. What lies between is zero. */
  starts: readonly number[];
  totalBytes: number;
}

/** Throws `unsupported-format` for a format that no type of GGUF holds. */
export function layOutGguf(entries: readonly GgufEntry[], tensors: readonly GgufTensorPlan[]): GgufLayout {
  const parts: Uint8Array[] = [
    new TextEncoder().encode('GGUF'),
    uint32(VERSION),
    uint64(tensors.length),
    uint64(entries.length),
    ...entries.map(({ bytes }) => bytes),
  ];
  let offset = 0;
  const offsets: number[] = [];
  for (const { name, shape, format, bytes } of tensors) {
    const found = ggmlTypeOf(format);
    if (!found) {
      throw new WpError(
        'unsupported-format',
        `${name} is ${format.name}, which no type of GGUF holds.`,
        'Leave scheme and groupSize out, or write safetensors.',
        { tensor: name, actual: format.name },
      );
    }
    parts.push(text(name), uint32(shape.length), ...shape.map(uint64).reverse(), uint32(found.number), uint64(offset));
    offsets.push(offset);
    offset = align(offset + bytes);
  }
  const head = concat(parts);
  const header = new Uint8Array(align(head.length));
  header.set(head);
  const last = tensors.length - 1;
  const totalBytes = header.length + (last < 0 ? 0 : offsets[last]! + tensors[last]!.bytes);
  return { header, starts: offsets.map((at) => header.length + at), totalBytes };
}

function align(bytes: number): number {
  return Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
}

function scalar(kind: Scalar, value: number): Uint8Array {
  const bytes = new Uint8Array(NUMBERS[kind].bytes);
  const view = new DataView(bytes.buffer);
  if (kind === 'bool') view.setUint8(0, value);
  else if (kind === 'f32') view.setFloat32(0, value, true);
  else if (kind === 'i32') view.setInt32(0, value, true);
  else view.setUint32(0, value, true);
  return bytes;
}

function uint32(value: number): Uint8Array {
  return scalar('u32', value);
}

function uint64(value: number): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(value), true);
  return bytes;
}

function text(value: string): Uint8Array {
  const bytes = new TextEncoder().encode(value);
  return concat([uint64(bytes.length), bytes]);
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const result = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    result.set(part, at);
    at += part.length;
  }
  return result;
}
