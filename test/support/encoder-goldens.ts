// The checkpoints of test/fixtures/encoders as programs to run and outputs to compare: the same cases for the references and
// every backend, in Node and in browsers (who reads the files differs).

import type { Graph } from '../../runtime/graph/types.ts';
import { fromF16 } from '../../runtime/half.ts';
import {
  readEncoder,
  type EncoderInputs,
  type EncoderModel,
  type Pooling,
} from '../../runtime/models/encoders/index.ts';
import {
  FORMATS,
  formatLimit,
  type FormatName,
  type PackedMatrix,
  type WeightFormat,
} from '../../runtime/quantization/formats.ts';
import { packMatrix, stackMatrices } from '../../runtime/quantization/pack.ts';

/** The folders of test/fixtures/encoders. */
export const ENCODER_VARIANTS = [
  'bert',
  'bert-classes',
  'bert-tokens',
  'roberta-classes',
  'xlm-roberta-rank',
  'distilbert-classes',
  'mpnet',
  'nomic-bert',
  'modernbert-classes',
  'modernbert-tokens',
  'vit',
  'vit-classes',
  'deit-teacher',
  'dinov2-classes',
  'dinov2-registers',
  'clip',
  'siglip',
] as const;

export type ReadFile = (path: string) => Promise<Uint8Array>;

export interface EncoderCase {
  name: string;
  graph: Graph;
  inputs: EncoderInputs;
  expected: Record<string, Float32Array>;
}

export interface GoldenEncoder {
  model: EncoderModel;
  tensors: ReadonlyMap<string, Float32Array>;
  cases: EncoderCase[];
}

interface Described {
  sequences?: number[][];
  typeIds?: number[][];
  blocks: Record<string, number[]>;
}

export async function openEncoderGoldens(read: ReadFile, variant: string): Promise<GoldenEncoder> {
  const file = (name: string) => read(`${variant}/${name}`);
  const json = async (name: string) => JSON.parse(new TextDecoder().decode(await file(name))) as unknown;
  const model = readEncoder(await json('config.json'));
  const tensors = readTensors(await file('model.safetensors'));
  const described = (await json('goldens.json')) as Described;
  const numbers = new Float32Array((await file('goldens.bin')).slice().buffer);
  const blocks: Record<string, Float32Array<ArrayBuffer>> = {};
  let at = 0;
  for (const [name, shape] of Object.entries(described.blocks)) {
    const size = shape.reduce((a, b) => a * b, 1);
    blocks[name] = numbers.slice(at, (at += size));
  }
  const cases = [
    ...(model.text ? textCases(model.text, tensors, described, blocks) : []),
    ...(model.vision ? visionCases(model.vision, tensors, blocks, model.text !== undefined) : []),
  ];
  return { model, tensors, cases };
}

function textCases(
  text: NonNullable<EncoderModel['text']>,
  tensors: ReadonlyMap<string, Float32Array>,
  { sequences, typeIds }: Described,
  blocks: Record<string, Float32Array>,
): EncoderCase[] {
  const tensorNames = new Set(tensors.keys());
  const texts = sequences!.map((ids, i) => ({ ids, typeIds: typeIds?.[i] }));
  const make = (
    name: string,
    options: Omit<Parameters<typeof text.graph>[0], 'tensorNames'>,
    expected: EncoderCase['expected'],
  ) => {
    const graph = text.graph({ ...options, tensorNames });
    return { name, graph, inputs: text.inputs(graph, texts, options.pooling), expected };
  };
  const own = (['hidden', 'pooled', 'logits'] as const).filter((output) => blocks[output]);
  const isTower = blocks['embedding'] !== undefined;
  const outputs = isTower ? ([...own, 'embedding'] as const) : own;
  const cases = [make('its outputs', { outputs }, pick(blocks, outputs))];
  if (isTower) return cases;
  for (const pooling of ['mean', 'first', 'last'] as const satisfies readonly Pooling[]) {
    const normalize = pooling === 'mean';
    const expected = { embedding: blocks[pooling]! };
    cases.push(make(`${pooling} pooling`, { outputs: ['embedding'], pooling, normalize }, expected));
  }
  return cases;
}

function visionCases(
  vision: NonNullable<EncoderModel['vision']>,
  tensors: ReadonlyMap<string, Float32Array>,
  blocks: Record<string, Float32Array<ArrayBuffer>>,
  isTower: boolean,
): EncoderCase[] {
  const tensorNames = new Set(tensors.keys());
  const pixels = blocks['pixels']!;
  const outputs = isTower
    ? (['hidden', 'embedding'] as const)
    : (['hidden', 'pooled', 'logits'] as const).filter((output) => blocks[output]);
  const key = (output: string) => (isTower ? `vision${output[0]!.toUpperCase()}${output.slice(1)}` : output);
  const graph = vision.graph({ outputs, images: 2, tensorNames });
  const expected = Object.fromEntries(outputs.map((output) => [output, blocks[key(output)]!]));
  return [{ name: 'images', graph, inputs: vision.inputs(graph, pixels), expected }];
}

function pick(blocks: Record<string, Float32Array>, names: readonly string[]): Record<string, Float32Array> {
  return Object.fromEntries(names.map((name) => [name, blocks[name]!]));
}

/** All tensors of a safetensors file in f16, as f32. */
export function readTensors(bytes: Uint8Array): Map<string, Float32Array> {
  const copy = bytes.slice().buffer;
  const dataStart = 8 + Number(new DataView(copy).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(copy, 8, dataStart - 8))) as Record<
    string,
    { dtype: string; data_offsets: [number, number] }
  >;
  const tensors = new Map<string, Float32Array>();
  for (const [name, { dtype, data_offsets: range }] of Object.entries(header)) {
    if (name === '__metadata__') continue;
    if (dtype !== 'F16') throw new Error(`The fixtures have no ${dtype}.`);
    tensors.set(name, fromF16(new Uint16Array(copy.slice(dataStart + range[0], dataStart + range[1]))));
  }
  return tensors;
}

/** The weights of a graph: matrices in a format where their columns fit it, else in f16; vectors in f32. */
export function packWeights(
  graph: Graph,
  tensors: ReadonlyMap<string, Float32Array>,
  formatName: FormatName,
): Map<string, PackedMatrix> {
  const packed = new Map<string, PackedMatrix>();
  for (const { name, shape, parts } of graph.weights) {
    const isVector = shape.length === 1;
    const columns = isVector ? 1 : shape[1]!;
    const wanted: WeightFormat = FORMATS[formatName];
    const format = isVector ? FORMATS.f32 : formatLimit(wanted, columns) === undefined ? wanted : FORMATS.f16;
    const matrices = parts.map(({ tensor, rows }) => {
      const numbers = tensors.get(tensor);
      if (!numbers) throw new Error(`The fixture has no tensor ${tensor}.`);
      return packMatrix(numbers, rows, columns, format);
    });
    const stacked = stackMatrices(matrices);
    packed.set(name, isVector ? { ...stacked, rows: 1, columns: stacked.rows } : stacked);
  }
  return packed;
}

/** ‖actual − golden‖ / ‖golden‖. A NaN stays a NaN, which no comparison accepts. */
export function relativeError(actual: Float32Array | undefined, golden: Float32Array): number {
  if (actual?.length !== golden.length) throw new Error(`${actual?.length} numbers, ${golden.length} in the golden`);
  let difference = 0;
  let size = 0;
  for (let i = 0; i < golden.length; i++) {
    difference += (actual[i]! - golden[i]!) ** 2;
    size += golden[i]! ** 2;
  }
  return Math.sqrt(difference / size);
}
