// The header of a GGUF file: magic, version, metadata, and each tensor's name, shape, type and place. Everything is
// validated before anything is believed. Source: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.

import { describeText } from '../../loading/http-response.ts';
import type { ModelFile } from '../../loading/model-files.ts';
import { WpError } from '../../errors.ts';
import { GGML_TYPES, UNREAD_GGML_TYPES, type GgmlType } from '../../quantization/ggml/types.ts';
import { ByteCursor } from './byte-cursor.ts';
import { readMetadata, readString, type EntryPlaces, type GgufMetadata } from './metadata.ts';
import { corruptGguf, shown, unsupportedGguf } from './refusals.ts';

export interface GgufTensor {
  name: string;
  type: GgmlType;
  /** As everywhere in this project: rows first, the numbers of a row last. A file lists them the other way round. */
  shape: readonly number[];
  /** The file that holds it, and its byte range [start, end) there. */
  file: string;
  start: number;
  end: number;
}

export interface GgufHeader {
  metadata: GgufMetadata;
  entries: EntryPlaces;
  /** In the order in which they lie in the file. */
  tensors: readonly GgufTensor[];
  /** Where the tensors' bytes begin. */
  dataStart: number;
}

const MAGIC = 0x46554747; // 'GGUF'
const versions = [2, 3];
const maximumTensors = 65_536;
/** ggml's own limit is 64. */
const maximumNameBytes = 255;
const maximumRank = 4;
const maximumAlignment = 65_536;
const defaultAlignment = 32;
/** Name of one byte, rank, one dimension, type and offset: less than any tensor's entry takes. */
const leastTensorBytes = 8 + 1 + 4 + 8 + 4 + 8;

export async function readGgufHeader(file: ModelFile, signal?: AbortSignal): Promise<GgufHeader> {
  const cursor = new ByteCursor(file, signal);
  await cursor.need(24, 'the beginning of a GGUF header');
  const beginning = cursor.bytes(4);
  if (new DataView(beginning.buffer, beginning.byteOffset, 4).getUint32(0, true) !== MAGIC) {
    throw await noGguf(file, signal);
  }
  const version = cursor.uint32();
  if (!versions.includes(version)) throw unsupportedVersion(file.name, version);
  const tensorCount = cursor.uint64();
  const entryCount = cursor.uint64();
  if (tensorCount > maximumTensors || tensorCount * leastTensorBytes > cursor.left) {
    const allowed = Math.min(maximumTensors, Math.floor(cursor.left / leastTensorBytes));
    throw corruptGguf(file.name, `announces ${tensorCount} tensors; its size allows at most ${allowed}`, {
      actual: tensorCount,
      allowed,
    });
  }
  const entries: EntryPlaces = new Map();
  const metadata = await readMetadata(cursor, entryCount, entries);
  const alignment = readAlignment(metadata, file.name);
  const tensors: GgufTensor[] = [];
  for (let i = 0; i < tensorCount; i++) tensors.push(await readTensor(cursor));
  const dataStart = Math.ceil(cursor.position / alignment) * alignment;
  placeTensors(tensors, { file, dataStart, alignment });
  return { metadata, entries, tensors, dataStart };
}

async function noGguf(file: ModelFile, signal: AbortSignal | undefined): Promise<WpError> {
  const text = describeText(await file.readRange(0, Math.min(64, file.size), signal));
  if (!text) return corruptGguf(file.name, 'does not begin with "GGUF": it is not a GGUF file');
  return new WpError(
    'not-a-model',
    `${file.name} is ${text}, not a GGUF file.`,
    'Check the address, or download the file again.',
    { file: file.name, url: file.url },
  );
}

function unsupportedVersion(file: string, version: number): WpError {
  // 3 in the other byte order.
  const isBigEndian = version !== 0 && (version & 0xffff) === 0;
  return unsupportedGguf(
    'unsupported-format',
    file,
    isBigEndian ? 'is a big-endian GGUF file' : `is GGUF version ${version}; versions 2 and 3 are read`,
    'Convert the model again with a current llama.cpp, or choose another file.',
    { actual: version, allowed: versions },
  );
}

function readAlignment(metadata: GgufMetadata, file: string): number {
  const alignment = metadata.get('general.alignment') ?? defaultAlignment;
  const isPower = typeof alignment === 'number' && Number.isInteger(Math.log2(alignment));
  if (isPower && alignment >= 1 && alignment <= maximumAlignment) return alignment;
  throw corruptGguf(
    file,
    `has general.alignment = ${JSON.stringify(alignment)?.slice(0, 40)}; it must be a power of two up to ${maximumAlignment}`,
    { actual: alignment, allowed: maximumAlignment },
  );
}

/** `start` and `end` are still relative to the tensors' bytes. */
async function readTensor(cursor: ByteCursor): Promise<GgufTensor> {
  const file = cursor.file.name;
  const name = await readString(cursor, "a tensor's name", maximumNameBytes);
  if (name === '') throw corruptGguf(file, `has a tensor without a name, at byte ${cursor.position}`);
  const where = `tensor ${shown(name)}`;
  await cursor.need(4, where);
  const rank = cursor.uint32();
  if (rank < 1 || rank > maximumRank) {
    throw corruptGguf(file, `gives ${where} ${rank} dimensions; 1 to ${maximumRank} are allowed`, {
      tensor: name,
      actual: rank,
      allowed: maximumRank,
    });
  }
  await cursor.need(rank * 8 + 12, where);
  const shape: number[] = [];
  for (let i = 0; i < rank; i++) shape.unshift(cursor.uint64());
  const typeNumber = cursor.uint32();
  const offset = cursor.uint64();
  // The product may be large or Infinity, never small by wrapping.
  const count = shape.reduce((product, size) => product * size, 1);
  if (!(count >= 1 && count <= Number.MAX_SAFE_INTEGER)) {
    throw corruptGguf(file, `gives ${where} the impossible shape [${shape.join(', ')}]`, {
      tensor: name,
      actual: shape,
    });
  }
  const type = GGML_TYPES.get(typeNumber);
  if (!type) throw unknownType(file, name, typeNumber);
  const rowLength = shape[shape.length - 1]!;
  if (rowLength % type.blockSize !== 0) {
    throw corruptGguf(
      file,
      `stores ${where} of [${shape.join(', ')}] as ${type.name}, whose rows are multiples of ${type.blockSize}`,
      { tensor: name, actual: rowLength, allowed: type.blockSize },
    );
  }
  return { name, type, shape, file, start: offset, end: offset + (count / type.blockSize) * type.blockBytes };
}

function unknownType(file: string, tensor: string, typeNumber: number): WpError {
  const allowed = [...GGML_TYPES.values()].map((type) => type.name);
  const name = UNREAD_GGML_TYPES.get(typeNumber) ?? `an unknown type, ${typeNumber}`;
  return unsupportedGguf(
    'unsupported-format',
    file,
    `stores tensor ${shown(tensor)} as ${name}, which this version does not read`,
    'Choose a file of another quantisation of the same model: Q4_K_M or Q8_0, say.',
    { tensor, actual: typeNumber, allowed },
  );
}

/** Makes the places absolute, sorts by them, and refuses overlaps, unaligned offsets and what lies outside the file. */
function placeTensors(
  tensors: GgufTensor[],
  { file, dataStart, alignment }: { file: ModelFile; dataStart: number; alignment: number },
): void {
  const names = new Set<string>();
  for (const tensor of tensors) {
    const where = `tensor ${shown(tensor.name)}`;
    if (names.has(tensor.name)) throw corruptGguf(file.name, `has ${where} twice`, { tensor: tensor.name });
    names.add(tensor.name);
    if (tensor.start % alignment !== 0) {
      throw corruptGguf(file.name, `places ${where} at ${tensor.start}, which is no multiple of ${alignment}`, {
        tensor: tensor.name,
        actual: tensor.start,
        allowed: alignment,
      });
    }
    tensor.start += dataStart;
    tensor.end += dataStart;
    if (tensor.end > file.size) {
      throw corruptGguf(
        file.name,
        `is ${file.size} bytes long, but ${where} reaches to byte ${tensor.end}: it is truncated`,
        { tensor: tensor.name, actual: file.size, needed: tensor.end },
      );
    }
  }
  tensors.sort((a, b) => a.start - b.start || a.end - b.end);
  for (let i = 1; i < tensors.length; i++) {
    const [before, tensor] = [tensors[i - 1]!, tensors[i]!];
    if (tensor.start >= before.end) continue;
    throw corruptGguf(
      file.name,
      `places tensor ${shown(tensor.name)} so that it overlaps ${shown(before.name)} by ${before.end - tensor.start} bytes`,
      { tensor: tensor.name, actual: tensor.start, expected: before.end },
    );
  }
}
