// The metadata of a GGUF file: keys and typed values. Source: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.

import type { ByteCursor } from './byte-cursor.ts';
import { corruptGguf, shown } from './refusals.ts';

/** 64-bit integers are numbers, exact below 2^53. Arrays of numbers and flags are arrays of numbers and flags. */
export type GgufValue = number | boolean | string | readonly number[] | readonly boolean[] | readonly string[];
export type GgufMetadata = ReadonlyMap<string, GgufValue>;

/** More keys than any file has. */
const maximumKeys = 65_536;
/** Of the specification. */
const maximumKeyBytes = 65_535;
/** More than any vocabulary or list of merges has. */
const maximumElements = 2 ** 22;

interface NumberType {
  name: string;
  bytes: number;
  read: (cursor: ByteCursor) => number | boolean;
}

const STRING = 8;
const ARRAY = 9;
const numberType = (name: string, bytes: number, read: NumberType['read']): NumberType => ({ name, bytes, read });

const NUMBER_TYPES: ReadonlyMap<number, NumberType> = new Map([
  [0, numberType('uint8', 1, (c) => c.uint8())],
  [1, numberType('int8', 1, (c) => c.int8())],
  [2, numberType('uint16', 2, (c) => c.uint16())],
  [3, numberType('int16', 2, (c) => c.int16())],
  [4, numberType('uint32', 4, (c) => c.uint32())],
  [5, numberType('int32', 4, (c) => c.int32())],
  [6, numberType('float32', 4, (c) => c.float32())],
  [7, numberType('bool', 1, (c) => c.uint8() !== 0)],
  [10, numberType('uint64', 8, (c) => c.uint64())],
  [11, numberType('int64', 8, (c) => c.int64())],
  [12, numberType('float64', 8, (c) => c.float64())],
]);

/** A key, its type and the shortest value: less than any entry takes. */
const leastEntryBytes = 8 + 1 + 4 + 1;

/** Where the bytes of each entry lie in the file, its key included: a writer copies them as they are. */
export type EntryPlaces = Map<string, { start: number; end: number }>;

export async function readMetadata(
  cursor: ByteCursor,
  count: number,
  places?: EntryPlaces,
): Promise<Map<string, GgufValue>> {
  const { name: file } = cursor.file;
  if (count > maximumKeys || count * leastEntryBytes > cursor.left) {
    throw corruptGguf(file, `announces ${count} metadata entries; its size allows at most ${allowedCount(cursor)}`, {
      actual: count,
      allowed: allowedCount(cursor),
    });
  }
  const metadata = new Map<string, GgufValue>();
  for (let i = 0; i < count; i++) {
    const start = cursor.position;
    const key = await readString(cursor, 'a metadata key', maximumKeyBytes);
    if (key === '') throw corruptGguf(file, `has a metadata entry without a name, at byte ${cursor.position}`);
    if (metadata.has(key))
      throw corruptGguf(file, `has the metadata key ${shown(key)} twice`, { key: key.slice(0, 80) });
    metadata.set(key, await readValue(cursor, key));
    places?.set(key, { start, end: cursor.position });
  }
  return metadata;
}

function allowedCount(cursor: ByteCursor): number {
  return Math.min(maximumKeys, Math.floor(cursor.left / leastEntryBytes));
}

async function readValue(cursor: ByteCursor, key: string): Promise<GgufValue> {
  const what = `the metadata ${shown(key)}`;
  await cursor.need(4, what);
  const type = cursor.uint32();
  if (type === STRING) return readString(cursor, what);
  if (type === ARRAY) return readArray(cursor, what);
  const number = NUMBER_TYPES.get(type);
  if (!number) throw unknownType(cursor, what, type);
  await cursor.need(number.bytes, what);
  return number.read(cursor);
}

async function readArray(cursor: ByteCursor, what: string): Promise<GgufValue> {
  await cursor.need(12, what);
  const type = cursor.uint32();
  const count = cursor.uint64();
  const number = NUMBER_TYPES.get(type);
  if (!number && type !== STRING) throw unknownType(cursor, `an element of ${what}`, type);
  if (count > maximumElements) {
    throw corruptGguf(cursor.file.name, `gives ${what} ${count} elements; at most ${maximumElements} are allowed`, {
      actual: count,
      allowed: maximumElements,
    });
  }
  cursor.expect(count * (number ? number.bytes : 8), what);
  if (!number) {
    const texts: string[] = [];
    for (let i = 0; i < count; i++) {
      // Hundreds of thousands of tokens: nothing is awaited for those that are there.
      const length = cursor.peekUint64();
      if (length !== undefined && length <= cursor.ready - 8) {
        cursor.bytes(8);
        texts.push(decoder.decode(cursor.bytes(length)));
      } else {
        texts.push(await readString(cursor, what));
      }
    }
    return texts;
  }
  await cursor.need(count * number.bytes, what);
  const values: (number | boolean)[] = [];
  for (let i = 0; i < count; i++) values.push(number.read(cursor));
  return values as readonly number[] | readonly boolean[];
}

const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

/** Bytes that are not UTF-8 become U+FFFD: some vocabularies hold such tokens, and no other text matters so much. */
export async function readString(cursor: ByteCursor, what: string, maximumBytes = Infinity): Promise<string> {
  if (cursor.ready < 8) await cursor.need(8, what);
  const length = cursor.uint64();
  if (length > maximumBytes) {
    throw corruptGguf(cursor.file.name, `has ${what} of ${length} bytes; at most ${maximumBytes} are allowed`, {
      actual: length,
      allowed: maximumBytes,
    });
  }
  if (cursor.ready < length) await cursor.need(length, what);
  return decoder.decode(cursor.bytes(length));
}

function unknownType(cursor: ByteCursor, what: string, type: number): Error {
  const allowed = [...NUMBER_TYPES.values()].map(({ name }) => name);
  const nested = type === ARRAY ? ' (an array within an array, which is not read)' : '';
  return corruptGguf(cursor.file.name, `gives ${what} the type ${type}${nested}`, {
    actual: type,
    allowed: [...allowed, 'string', 'array'],
  });
}
