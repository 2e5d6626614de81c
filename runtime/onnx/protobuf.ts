// Protocol buffers as they lie in a file: fields one after another, read in place and never copied. Only what ONNX needs of the
// format. Every length is held against the bytes that are there, so a damaged or hostile file ends in an error and not in memory.
// Format: https://protobuf.dev/programming-guides/encoding/

import { WpError } from '../errors.ts';

export const VARINT = 0;
export const FIXED64 = 1;
export const BYTES = 2;
export const FIXED32 = 5;

/** One field of a message. */
export interface Field {
  number: number;
  wire: number;
  /** Where the field begins, its tag included. */
  at: number;
  /** The payload: of `BYTES` the bytes themselves, without their length. */
  start: number;
  end: number;
  /** Of `VARINT`: as a signed 64-bit number; beyond 2^53 it is rounded. */
  value: number;
}

/** The fields of the message in [start, end). Throws `corrupt-file`. */
export function* fieldsOf(
  bytes: Uint8Array,
  start: number,
  end: number,
  file: string,
): Generator<Field, void, undefined> {
  let at = start;
  while (at < end) {
    const tag = readVarint(bytes, at, end, file);
    const number = Math.floor(tag.value / 8);
    const wire = tag.value & 7;
    if (tag.value <= 0 || number === 0) throw corrupt(file, at, 'a field has no number');
    const field: Field = { number, wire, at, start: tag.next, end: tag.next, value: 0 };
    if (wire === VARINT) {
      const { value, next } = readVarint(bytes, tag.next, end, file);
      field.value = value;
      field.end = next;
    } else if (wire === BYTES) {
      const { value, next } = readVarint(bytes, tag.next, end, file);
      if (value < 0 || value > end - next) {
        throw corrupt(file, at, `field ${number} is ${value} bytes long, and ${end - next} are left`);
      }
      field.start = next;
      field.end = next + value;
    } else if (wire === FIXED64 || wire === FIXED32) {
      field.end = tag.next + (wire === FIXED64 ? 8 : 4);
      if (field.end > end) throw corrupt(file, at, `field ${number} is cut off`);
    } else {
      throw corrupt(file, at, `field ${number} has the unknown wire type ${wire}`);
    }
    yield field;
    at = field.end;
  }
}

function readVarint(bytes: Uint8Array, at: number, end: number, file: string): { value: number; next: number } {
  // Two halves, so that small negative numbers, which are written as 2^64 − n, stay exact.
  let low = 0;
  let high = 0;
  for (let i = 0; i < 10 && at + i < end; i++) {
    const byte = bytes[at + i]!;
    if (i < 4) low += (byte & 127) * 2 ** (7 * i);
    // Of the tenth byte only one bit counts, and it is the sign.
    else if (i < 9) high += (byte & 127) * 2 ** (7 * (i - 4));
    else high -= (byte & 1) * 2 ** 35;
    if (byte < 128 || i === 9) return { value: high * 2 ** 28 + low, next: at + i + 1 };
  }
  throw corrupt(file, at, end - at >= 10 ? 'a number is longer than 64 bits' : 'the file ends inside a number');
}

/** A text; what is not UTF-8 in it becomes U+FFFD. */
export function textOf(bytes: Uint8Array, { start, end }: Field): string {
  return decoder.decode(bytes.subarray(start, end));
}

const decoder = new TextDecoder();

/** The numbers of a repeated field: one, or several packed. */
export function* numbersOf(bytes: Uint8Array, field: Field, file: string): Generator<number, void, undefined> {
  if (field.wire === VARINT) {
    yield field.value;
    return;
  }
  for (let at = field.start; at < field.end;) {
    const { value, next } = readVarint(bytes, at, field.end, file);
    yield value;
    at = next;
  }
}

/** The file contradicts its format. */
export function corrupt(file: string, at: number, what: string): WpError {
  return new WpError(
    'corrupt-file',
    `${file} is no sound ONNX file: at byte ${at} ${what}.`,
    'The file is truncated or is something else: download it again.',
    { file, offset: at },
  );
}

/** Messages are written from the inside out: a field of bytes with its tag and length. */
export function bytesField(number: number, ...parts: readonly Uint8Array[]): Uint8Array {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  return concatenate([...varints(number * 8 + BYTES, length), ...parts]);
}

export function textField(number: number, text: string): Uint8Array {
  return bytesField(number, new TextEncoder().encode(text));
}

/** A number of 0 or more. */
export function numberField(number: number, value: number): Uint8Array {
  return concatenate(varints(number * 8 + VARINT, value));
}

/** The tag and the length of a field whose bytes follow. */
export function bytesHead(number: number, length: number): Uint8Array {
  return concatenate(varints(number * 8 + BYTES, length));
}

function varints(...values: number[]): Uint8Array[] {
  return values.map((value) => {
    const bytes: number[] = [];
    for (; value >= 128; value = Math.floor(value / 128)) bytes.push((value % 128) + 128);
    bytes.push(value);
    return Uint8Array.from(bytes);
  });
}

export function concatenate(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
