// The header of a safetensors file: 8 bytes of length, then JSON that names each tensor's type, shape and place.
// Everything is validated before anything is believed: a file that contradicts itself is `corrupt-file`.
// Source: https://github.com/huggingface/safetensors (README, "Format").

import { WpError } from '../errors.ts';
import { describeText } from '../loading/http-response.ts';
import type { ModelFile } from '../loading/model-files.ts';
import { duplicateKey } from './duplicate-key.ts';
import type { TensorEncoding } from './tensor-encoding.ts';

const dtypeBits = {
  BOOL: 8,
  F4: 4,
  F6_E2M3: 6,
  F6_E3M2: 6,
  U8: 8,
  I8: 8,
  F8_E5M2: 8,
  F8_E4M3: 8,
  F8_E8M0: 8,
  I16: 16,
  U16: 16,
  F16: 16,
  BF16: 16,
  I32: 32,
  U32: 32,
  F32: 32,
  C64: 64,
  F64: 64,
  I64: 64,
  U64: 64,
} as const;

export type StoredDType = keyof typeof dtypeBits;

export interface StoredTensor {
  name: string;
  /** `BLOCKS`: see `encoding`. */
  dtype: StoredDType | 'BLOCKS';
  shape: readonly number[];
  /** The file that holds it. */
  file: string;
  /** Byte range [start, end) in that file. */
  start: number;
  end: number;
  /** Of a tensor that is stored in blocks: never in safetensors. */
  encoding?: TensorEncoding;
  /** Which row of the matrix a stored row is, where they are stored in another order. */
  rowOrder?: (row: number) => number;
}

export interface SafetensorsHeader {
  /** In the order in which they lie in the file. */
  tensors: readonly StoredTensor[];
  /** `__metadata__`. */
  metadata: ReadonlyMap<string, string>;
}

/** What the reference implementation allows, too. */
const maximumHeaderBytes = 100_000_000;
const maximumRank = 64;

export async function readSafetensorsHeader(file: ModelFile, signal?: AbortSignal): Promise<SafetensorsHeader> {
  if (file.size < 8)
    throw corrupt(file.name, `is ${file.size} bytes long; a safetensors file has at least 8`, { actual: file.size });
  const prefix = await file.readRange(0, 8, signal);
  const length = new DataView(prefix.buffer, prefix.byteOffset, 8).getBigUint64(0, true);
  const allowed = Math.min(maximumHeaderBytes, file.size - 8);
  if (length > BigInt(allowed)) {
    const text = describeText(await file.readRange(0, Math.min(64, file.size), signal));
    if (text) {
      throw new WpError(
        'not-a-model',
        `${file.name} is ${text}, not a safetensors file.`,
        'Check the address, or download the file again.',
        {
          file: file.name,
          url: file.url,
        },
      );
    }
    throw corrupt(
      file.name,
      length > BigInt(maximumHeaderBytes)
        ? `announces a header of ${length} bytes; at most ${maximumHeaderBytes} are allowed`
        : `announces a header of ${length} bytes, but only ${file.size - 8} follow: it is truncated`,
      { actual: length.toString(), allowed },
    );
  }
  const bytes = await file.readRange(8, 8 + Number(length), signal);
  return parseSafetensorsHeader(bytes, file.size, file.name);
}

/** `bytes`: the JSON without its length; `fileSize`: of the whole file, to hold the offsets against. */
export function parseSafetensorsHeader(bytes: Uint8Array, fileSize: number, fileName: string): SafetensorsHeader {
  const header = parseJsonObject(bytes, fileName);
  const dataStart = 8 + bytes.length;
  const metadata = new Map<string, string>();
  const tensors: StoredTensor[] = [];
  for (const [name, entry] of Object.entries(header)) {
    if (name === '__metadata__') {
      readMetadata(entry, metadata, fileName);
      continue;
    }
    tensors.push(readTensor(name, entry, dataStart, fileSize, fileName));
  }
  tensors.sort((a, b) => a.start - b.start || a.end - b.end);
  expectContiguous(tensors, dataStart, fileSize, fileName);
  return { tensors, metadata };
}

function parseJsonObject(bytes: Uint8Array, fileName: string): Record<string, unknown> {
  let text: string;
  let header: unknown;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    header = JSON.parse(text);
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause);
    throw corrupt(fileName, `has a header that is not JSON: ${message}`, {}, cause);
  }
  if (typeof header !== 'object' || header === null || Array.isArray(header)) {
    throw corrupt(fileName, 'has a header that is not a JSON object', {});
  }
  const duplicate = duplicateKey(text);
  if (duplicate !== undefined)
    throw corrupt(fileName, `names "${shorten(duplicate)}" twice in its header`, { key: shorten(duplicate) });
  return header as Record<string, unknown>;
}

function readMetadata(entry: unknown, metadata: Map<string, string>, fileName: string): void {
  if (typeof entry !== 'object' || entry === null || Array.isArray(entry)) {
    throw corrupt(fileName, 'has a __metadata__ that is not an object', {});
  }
  for (const [key, value] of Object.entries(entry)) {
    if (typeof value !== 'string')
      throw corrupt(fileName, `has a __metadata__ whose "${shorten(key)}" is not a text`, {});
    metadata.set(key, value);
  }
}

function readTensor(name: string, entry: unknown, dataStart: number, fileSize: number, file: string): StoredTensor {
  const where = `tensor "${shorten(name)}"`;
  if (typeof entry !== 'object' || entry === null || Array.isArray(entry))
    throw corrupt(file, `describes ${where} by something that is no object`, {});
  const { dtype, shape, data_offsets: offsets } = entry as { dtype?: unknown; shape?: unknown; data_offsets?: unknown };
  if (typeof dtype !== 'string' || !Object.hasOwn(dtypeBits, dtype)) {
    throw corrupt(file, `gives ${where} the unknown dtype ${shorten(JSON.stringify(dtype) ?? 'undefined')}`, {
      tensor: shorten(name),
      actual: dtype,
      allowed: Object.keys(dtypeBits),
    });
  }
  if (!Array.isArray(shape) || shape.length > maximumRank || !shape.every(isCount)) {
    throw corrupt(file, `gives ${where} the impossible shape ${shorten(JSON.stringify(shape) ?? 'undefined')}`, {
      tensor: shorten(name),
    });
  }
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isCount) || offsets[0]! > offsets[1]!) {
    throw corrupt(file, `gives ${where} the impossible offsets ${shorten(JSON.stringify(offsets) ?? 'undefined')}`, {
      tensor: shorten(name),
    });
  }
  const [begin, finish] = offsets as [number, number];
  // In bits and in floating point: an absurd product becomes a large number or Infinity, never a small one by wrapping.
  const bits = shape.reduce((product: number, size: number) => product * size, dtypeBits[dtype as StoredDType]);
  if (bits !== (finish - begin) * 8) {
    throw corrupt(file, `gives ${where} ${finish - begin} bytes; ${dtype} [${shape.join(', ')}] takes ${bits / 8}`, {
      tensor: shorten(name),
      dtype,
      shape,
      actual: finish - begin,
      needed: bits / 8,
    });
  }
  if (dataStart + finish > fileSize) {
    throw corrupt(
      file,
      `is ${fileSize} bytes long, but ${where} reaches to byte ${dataStart + finish}: it is truncated`,
      {
        tensor: shorten(name),
        actual: fileSize,
        needed: dataStart + finish,
      },
    );
  }
  return {
    name,
    dtype: dtype as StoredDType,
    shape: shape as number[],
    file,
    start: dataStart + begin,
    end: dataStart + finish,
  };
}

/** The format allows neither overlaps nor gaps, and nothing after the last tensor. */
function expectContiguous(
  tensors: readonly StoredTensor[],
  dataStart: number,
  fileSize: number,
  fileName: string,
): void {
  let position = dataStart;
  for (const tensor of tensors) {
    if (tensor.start !== position) {
      const how =
        tensor.start < position
          ? `overlaps what is before it by ${position - tensor.start}`
          : `leaves a gap of ${tensor.start - position}`;
      throw corrupt(fileName, `places tensor "${shorten(tensor.name)}" so that it ${how} bytes`, {
        tensor: shorten(tensor.name),
        actual: tensor.start,
        expected: position,
      });
    }
    position = tensor.end;
  }
  if (position !== fileSize) {
    throw corrupt(fileName, `has ${fileSize - position} bytes that belong to no tensor after byte ${position}`, {
      actual: fileSize,
      expected: position,
    });
  }
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

function shorten(text: string): string {
  return text.length <= 80 ? text : `${text.slice(0, 77)}…`;
}

function corrupt(file: string, what: string, details: Record<string, unknown>, cause?: unknown): WpError {
  return new WpError(
    'corrupt-file',
    `${file} ${what}.`,
    'The file is damaged or was not downloaded completely: download it again.',
    { file, ...details },
    cause === undefined ? undefined : { cause },
  );
}
