// One GGUF file, as llama.cpp and its relatives read it: standard types only, the tokenizer and the chat template inside. Of a
// GGUF source the metadata is copied entry by entry; of another it is made from config.json and tokenizer.json.

import { WpError } from '../../errors.ts';
import { fromF16 } from '../../half.ts';
import type { DecoderConfig } from '../../models/index.ts';
import { inverseFrequencies } from '../../models/rotary.ts';
import { writeGgufTokenizer, type TokenizerEntry } from '../../processing/gguf-write-tokenizer.ts';
import { formatBytes, FORMATS, isQuantized, type PackedMatrix } from '../../quantization/formats.ts';
import { encodeBlocks } from '../../quantization/ggml/encode.ts';
import { ROTARY_DIVISORS } from '../../weights/gguf/config.ts';
import { ggufName, interleavedRows, rotatedProjection } from '../../weights/gguf/tensor-names.ts';
import {
  layOutGguf,
  numberEntry,
  numbersEntry,
  textEntry,
  textsEntry,
  type GgufEntry,
  type GgufTensorPlan,
} from '../../weights/gguf/write.ts';
import { sensitivityKey } from '../../weights/checkpoint.ts';
import { rowsOf, setRows, allocateMatrix } from '../../weights/convert.ts';
import type { ModelDescription } from '../model-description.ts';
import type { Output, OutputTensor, PlannedTensor } from './output.ts';

const ARCHITECTURES: Readonly<Record<string, string>> = {
  llama: 'llama',
  mistral: 'llama',
  qwen2: 'qwen2',
  qwen3: 'qwen3',
};

/** Said anew of the file that is written, or true of the file that was read only. */
const NOT_COPIED =
  /^(?:general\.(?:file_type|quantization_version|alignment)|split\.|quantize\.|wp-models\.sensitivity$)/;

/** `llama_ftype` of llama.cpp, by the format of most weights: a hint for people, readers look at the tensors. */
const FILE_TYPES: Readonly<Record<string, number>> = {
  f32: 0, f16: 1, q4g32: 2, q4g32m: 3, q8g32: 7, q5g32: 8, q5g32m: 9, q2k: 10, q3k: 12, q4k: 15, q5k: 17, q6k: 18,
}; // prettier-ignore

export interface GgufOutputOptions {
  name: string;
  tensors: readonly PlannedTensor[];
  description: ModelDescription;
  config: DecoderConfig;
  /** Of a GGUF source: its entries as they are. */
  entries?: readonly GgufEntry[] | undefined;
  chatTemplate?: string | undefined;
  sensitivity?: string | undefined;
}

export function ggufOutput(options: GgufOutputOptions): Output {
  const { name, tensors, description, config, entries, chatTemplate, sensitivity } = options;
  const architecture = Object.hasOwn(ARCHITECTURES, config.modelType) ? ARCHITECTURES[config.modelType]! : undefined;
  if (architecture === undefined) {
    throw new WpError(
      'unsupported-format',
      `A model of the type ${config.modelType} cannot be written as GGUF; ${Object.keys(ARCHITECTURES).join(', ')} can.`,
      'Write a folder of safetensors instead.',
      { actual: config.modelType, allowed: Object.keys(ARCHITECTURES) },
    );
  }
  const copied = entries?.filter(({ key }) => !NOT_COPIED.test(key));
  const metadata = [
    ...(copied ?? describeModel(name, architecture, config, description, chatTemplate)),
    numberEntry('general.quantization_version', 'u32', 2),
    numberEntry('general.file_type', 'u32', FILE_TYPES[dominant(tensors)] ?? 0),
    ...(sensitivity ? [textEntry(sensitivityKey, sensitivity)] : []),
  ];

  const plans: GgufTensorPlan[] = [];
  const writers: Omit<OutputTensor, 'start'>[] = [];
  const divisors = rotaryDivisors(config);
  if (divisors) {
    const bytes = 4 * divisors.length;
    plans.push({ name: ROTARY_DIVISORS, shape: [divisors.length], format: FORMATS.f32, bytes });
    writers.push({ name: ROTARY_DIVISORS, bytes, encode: () => new Uint8Array(divisors.buffer) });
  }
  for (const tensor of tensors) {
    const stored = ggufName(tensor.name);
    if (stored === undefined) {
      throw new WpError('unsupported-format', `GGUF has no name for the tensor ${tensor.name}.`, 'Write safetensors.', {
        tensor: tensor.name,
      });
    }
    const isVector = tensor.shape.length === 1;
    const format = isVector ? FORMATS.f32 : tensor.format;
    const [rows, columns] = isVector ? [1, tensor.shape[0]!] : (tensor.shape as [number, number]);
    const { total } = formatBytes(format, rows, columns);
    plans.push({ name: stored, shape: tensor.shape, format, bytes: total });
    const projection = architecture === 'llama' ? rotatedProjection(stored) : undefined;
    const heads = projection === 'query' ? config.heads : config.keyValueHeads;
    const order = projection && interleavedRows(tensor.shape[0]!, heads);
    writers.push({
      name: tensor.name,
      bytes: total,
      encode: (matrix) =>
        isVector ? encodeVector(matrix, order) : encodeBlocks(order ? reordered(matrix, order) : matrix),
    });
  }
  const { header, starts, totalBytes } = layOutGguf(metadata, plans);
  return {
    smallFiles: [],
    name: `${name}.gguf`,
    header,
    tensors: writers.map((writer, i) => ({ ...writer, start: starts[i]! })),
    totalBytes,
  };
}

/** How GGUF says scaling that differs by frequency: a divisor a pair. */
function rotaryDivisors(config: DecoderConfig): Float32Array<ArrayBuffer> | undefined {
  const { rotary } = config;
  if (rotary.scaling.type === 'none' || rotary.scaling.type === 'linear') return undefined;
  const plain = inverseFrequencies({ ...config, rotary: { ...rotary, scaling: { type: 'none' } } });
  const scaled = inverseFrequencies(config);
  return Float32Array.from(plain, (frequency, i) => frequency / scaled[i]!);
}

/** Norms and biases are F32 in GGUF files. */
function encodeVector({ planes, format }: PackedMatrix, order: ((row: number) => number) | undefined): Uint8Array {
  const bytes = planes[0]!.slice();
  const values = format.name === 'f32' ? new Float32Array(bytes.buffer) : fromF16(new Uint16Array(bytes.buffer));
  const placed = order ? new Float32Array(values.length) : values;
  if (order) values.forEach((value, i) => (placed[order(i)] = value));
  return new Uint8Array(placed.buffer, placed.byteOffset, placed.byteLength);
}

function reordered(matrix: PackedMatrix, order: (row: number) => number): PackedMatrix {
  const target = allocateMatrix(matrix.format, matrix.rows, matrix.columns);
  for (let row = 0; row < matrix.rows; row++) setRows(target, order(row), rowsOf(matrix, row, row + 1));
  return target;
}

function dominant(tensors: readonly PlannedTensor[]): string {
  const counts = new Map<string, number>();
  for (const { shape, format } of tensors) {
    if (shape.length > 1) counts.set(format.name, (counts.get(format.name) ?? 0) + shape[0]! * shape[1]!);
  }
  // A file of few bits is named after the bits of its layers, whatever its tables have.
  const names = [...counts].sort((a, b) => b[1] - a[1]).map(([format]) => format);
  return names[0] ?? 'f32';
}

function describeModel(
  name: string,
  architecture: string,
  config: DecoderConfig,
  description: ModelDescription,
  chatTemplate: string | undefined,
): GgufEntry[] {
  const key = (rest: string): string => `${architecture}.${rest}`;
  const window = config.windows[0];
  const scaling = config.rotary.scaling;
  const entries: GgufEntry[] = [
    textEntry('general.architecture', architecture),
    textEntry('general.name', name),
    numberEntry(key('context_length'), 'u32', config.maxContextLength),
    numberEntry(key('embedding_length'), 'u32', config.hiddenSize),
    numberEntry(key('block_count'), 'u32', config.layers),
    numberEntry(key('feed_forward_length'), 'u32', config.feedForwardSize),
    numberEntry(key('attention.head_count'), 'u32', config.heads),
    numberEntry(key('attention.head_count_kv'), 'u32', config.keyValueHeads),
    numberEntry(key('attention.key_length'), 'u32', config.headDim),
    numberEntry(key('attention.value_length'), 'u32', config.headDim),
    numberEntry(key('attention.layer_norm_rms_epsilon'), 'f32', config.epsilon),
    numberEntry(key('rope.freq_base'), 'f32', config.rotary.theta),
    numberEntry(key('rope.dimension_count'), 'u32', config.headDim),
    numberEntry(key('vocab_size'), 'u32', config.vocabularySize),
  ];
  if (config.windows.some((one) => one !== window)) {
    throw new WpError(
      'unsupported-format',
      'Windows that differ by layer cannot be written as GGUF.',
      'Write safetensors.',
    );
  }
  if (window !== undefined) entries.push(numberEntry(key('attention.sliding_window'), 'u32', window));
  if (scaling?.type === 'linear') {
    entries.push(textEntry(key('rope.scaling.type'), 'linear'));
    entries.push(numberEntry(key('rope.scaling.factor'), 'f32', scaling.factor));
  }
  const ids = { bos: config.bosToken, eos: config.eosTokens[0], pad: config.padToken };
  const { tokenizer, tokenizerConfig } = description;
  const tokens = writeGgufTokenizer(tokenizer, tokenizerConfig, ids, config.vocabularySize, chatTemplate);
  return [...entries, ...tokens.map(tokenizerEntry)];
}

function tokenizerEntry(entry: TokenizerEntry): GgufEntry {
  switch (entry.kind) {
    case 'text':
      return textEntry(entry.key, entry.value);
    case 'texts':
      return textsEntry(entry.key, entry.value);
    case 'i32s':
      return numbersEntry(entry.key, 'i32', entry.value);
    case 'f32s':
      return numbersEntry(entry.key, 'f32', entry.value);
    default:
      return numberEntry(entry.key, entry.kind, entry.value);
  }
}

/** True when a file of GGUF can hold the format. */
export function isWritable(format: { name: string }): boolean {
  return !isQuantized(format as never) || Object.hasOwn(FILE_TYPES, format.name);
}
