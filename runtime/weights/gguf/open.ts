// A GGUF model as what the rest of the runtime knows: a checkpoint with the names of Hugging Face, a config.json, and the
// metadata that the tokenizer and the chat template are made of. The one file of this folder that others open.

import { WpError } from '../../errors.ts';
import type { Graph } from '../../graph/types.ts';
import { openRequired, type ModelFile, type ModelFiles } from '../../loading/model-files.ts';
import type { WeightFormat } from '../../quantization/formats.ts';
import { decodeBlocks, DECODED_TYPES } from '../../quantization/ggml/decode.ts';
import { equalFormat, repack } from '../../quantization/ggml/repack.ts';
import type { GgmlType } from '../../quantization/ggml/types.ts';
import { createCheckpoint, noticeKey, sensitivityKey, type Checkpoint, type StoredTensor } from '../checkpoint.ts';
import { toFloats } from '../convert.ts';
import type { StoredDType } from '../safetensors.ts';
import type { TensorEncoding } from '../tensor-encoding.ts';
import { readGgufConfig, ROTARY_DIVISORS, type GgufConfig } from './config.ts';
import { conversionReasons } from './conversions.ts';
import { readGgufHeader, type GgufHeader, type GgufTensor } from './header.ts';
import type { GgufMetadata } from './metadata.ts';
import { corruptGguf, shown, unsupportedGguf } from './refusals.ts';
import { splitNames, verifySplit } from './split.ts';
import { deinterleavedRows, rotatedProjection } from './tensor-names.ts';

export interface GgufModel {
  /** Of the first file. */
  metadata: GgufMetadata;
  /** What the model's config.json would say. */
  config: Record<string, unknown>;
  /** Of an encoder of texts: how they become vectors. */
  encoder: GgufConfig['encoder'];
  checkpoint: Checkpoint;
  /** The metadata of the first file as it stands there, entry by entry. */
  readEntries(signal?: AbortSignal): Promise<{ key: string; bytes: Uint8Array }[]>;
  /** Throws `unsupported-config` for a tensor that the graph leaves out: it would change what the model computes. */
  expectAllUsed(graph: Graph): void;
  /** What becomes of the file's types in the planned formats. */
  conversions(graph: Graph, formats: ReadonlyMap<string, WeightFormat>): { topic: string; reason: string }[];
}

/** Opens the file that the source named, and its fellows when it is one of several. Reads headers only. */
export async function openGguf(files: ModelFiles, signal?: AbortSignal): Promise<GgufModel> {
  const named = files.weightsName;
  if (named === undefined) throw new WpError('internal', 'The source names no GGUF file.');
  const names = splitNames(named);
  const opened = new Map<string, ModelFile>();
  const headers: GgufHeader[] = [];
  for (const name of names) {
    const file = await openRequired(files, name, signal);
    const header = await readGgufHeader(file, signal);
    opened.set(name, file);
    headers.push(header);
  }
  verifySplit(names, headers);
  const metadata = headers[0]!.metadata;
  const tensors = headers.flatMap((header) => header.tensors);
  if (tensors.length === 0) {
    throw unsupportedGguf(
      'unsupported-format',
      named,
      'holds a vocabulary and no weights',
      'Choose the file of the model itself.',
    );
  }
  const divisors = await readDivisors(tensors, opened, signal);
  const config = readGgufConfig(metadata, tensors, named, divisors);
  const stored = tensors.filter(({ name }) => !isLeftOut(name)).map((tensor) => storedTensor(tensor, config));
  const own = [noticeKey, sensitivityKey].flatMap((key) => {
    const text = metadata.get(key);
    return typeof text === 'string' ? [[key, text] as const] : [];
  });
  const headerBytes = new Map(names.map((name, i) => [name, Math.min(headers[i]!.dataStart, opened.get(name)!.size)]));
  const checkpoint = createCheckpoint(opened, stored, new Map(own), headerBytes);
  return {
    metadata,
    config: config.config,
    encoder: config.encoder,
    checkpoint,
    readEntries: (until) => readEntries(opened.get(names[0]!)!, headers[0]!, until),
    expectAllUsed: (graph) => expectAllUsed(checkpoint, graph, named),
    conversions: (graph, formats) => conversionReasons(checkpoint, graph, formats),
  };
}

async function readEntries(
  file: ModelFile,
  { entries }: GgufHeader,
  signal: AbortSignal | undefined,
): Promise<{ key: string; bytes: Uint8Array }[]> {
  const ends = [...entries.values()].map(({ end }) => end);
  if (ends.length === 0) return [];
  const bytes = await file.readRange(0, Math.max(...ends), signal);
  return [...entries].map(([key, { start, end }]) => ({ key, bytes: bytes.subarray(start, end) }));
}

/** Read apart from the weights, or of no use here: the angles of old files are computed. */
function isLeftOut(name: string): boolean {
  return name === ROTARY_DIVISORS || /^blk\.\d+\.attn_(?:rot_embd|rope_freqs)\.weight$/.test(name);
}

async function readDivisors(
  tensors: readonly GgufTensor[],
  files: ReadonlyMap<string, ModelFile>,
  signal: AbortSignal | undefined,
): Promise<number[] | undefined> {
  const tensor = tensors.find(({ name }) => name === ROTARY_DIVISORS);
  if (!tensor) return undefined;
  const { file, start, end, shape, type } = tensor;
  const count = shape.reduce((product, size) => product * size, 1);
  if (type.name !== 'F32' || count > 65_536) {
    throw corruptGguf(file, `stores ${ROTARY_DIVISORS} as ${count} numbers of ${type.name}; it is a short list of F32`);
  }
  const values = toFloats(await files.get(file)!.readRange(start, end, signal), 'f32');
  const bad = values.findIndex((value) => !(value > 0 && Number.isFinite(value)));
  if (bad >= 0) throw corruptGguf(file, `has ${values[bad]} in ${ROTARY_DIVISORS}; its numbers are above 0`);
  return [...values];
}

function storedTensor(tensor: GgufTensor, config: GgufConfig): StoredTensor {
  const { heads, keyValueHeads, hasInterleavedRows } = config;
  const { file, start, end, type } = tensor;
  const name = config.nameOf(tensor.name);
  if (name === undefined) {
    throw unsupportedGguf(
      'unsupported-config',
      file,
      `has a tensor ${shown(tensor.name)}, which this version does not know: it may change what the model computes`,
      'Choose another model.',
      { tensor: tensor.name.slice(0, 80) },
    );
  }
  // Trailing dimensions of one are a vector's or a matrix's all the same; but a table may have one row.
  let shape = tensor.shape;
  while (shape.length > 1 && shape[0] === 1 && tensor.name !== 'token_types.weight') shape = shape.slice(1);
  const projection = hasInterleavedRows ? rotatedProjection(tensor.name) : undefined;
  const rotated = projection === 'query' ? heads : keyValueHeads;
  const isWhole = projection === undefined || shape[0]! % (2 * rotated) === 0;
  if (!isWhole) {
    throw corruptGguf(file, `has ${shown(tensor.name)} of ${shape[0]} rows, which are not ${rotated} heads`, {
      tensor: tensor.name,
      actual: shape[0],
      heads: rotated,
    });
  }
  return {
    name,
    shape,
    file,
    start,
    end,
    ...(type.blockSize === 1 ? { dtype: type.name as StoredDType } : { dtype: 'BLOCKS', encoding: encodingOf(type) }),
    ...(projection && { rowOrder: deinterleavedRows(shape[0]!, rotated) }),
  };
}

const encodings = new Map<string, TensorEncoding>();

function encodingOf(type: GgmlType): TensorEncoding {
  let encoding = encodings.get(type.name);
  if (encoding) return encoding;
  if (!DECODED_TYPES.includes(type.name)) throw new WpError('internal', `${type.name} has no decoder.`);
  const equals = equalFormat(type.name);
  encoding = {
    name: type.name,
    equals,
    decode: (bytes) => decodeBlocks(type, bytes),
    repack: (bytes, rows, columns) => repack(type.name, bytes, rows, columns),
  };
  encodings.set(type.name, encoding);
  return encoding;
}

function expectAllUsed(checkpoint: Checkpoint, graph: Graph, file: string): void {
  const used = new Set(graph.weights.flatMap(({ parts }) => parts.map(({ tensor }) => tensor)));
  for (const name of checkpoint.tensors.keys()) {
    if (used.has(name)) continue;
    throw unsupportedGguf(
      'unsupported-config',
      file,
      `has a tensor that the architecture does not use (${shown(name)}): it may change what the model computes`,
      'Choose another model.',
      { tensor: name },
    );
  }
}
