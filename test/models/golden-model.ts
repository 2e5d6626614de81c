// A checkpoint folder of test/fixtures run by the reference backend. Reads safetensors by itself, in twenty lines, so that
// the families are tested apart from the loaders.

import { readFileSync } from 'node:fs';
import type { Program } from '../../runtime/backends/backend.ts';
import { GraphBuilder } from '../../runtime/graph/builder.ts';
import { lower } from '../../runtime/graph/passes/index.ts';
import type { Graph } from '../../runtime/graph/types.ts';
import { fromF16 } from '../../runtime/half.ts';
import { findFamily, modelTypeOf, rotaryRows, type DecoderConfig } from '../../runtime/models/index.ts';
import { FORMATS, formatLimit, type PackedMatrix, type WeightFormat } from '../../runtime/quantization/formats.ts';
import { packMatrix, stackMatrices } from '../../runtime/quantization/pack.ts';
import { ReferenceBackend } from '../support/reference-backend.ts';

export interface Numbers {
  shape: number[];
  values: Float32Array;
}

/** All tensors of a safetensors file in f32. */
export function readTensors(path: string): Map<string, Numbers> {
  const bytes = readFileSync(path);
  const dataStart = 8 + Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.toString('utf8', 8, dataStart)) as Record<
    string,
    { dtype: string; shape: number[]; data_offsets: [number, number] }
  >;
  const tensors = new Map<string, Numbers>();
  for (const [name, { dtype, shape, data_offsets: range }] of Object.entries(header)) {
    if (name === '__metadata__') continue;
    const data = Uint8Array.from(bytes.subarray(dataStart + range[0], dataStart + range[1])).buffer;
    tensors.set(name, { shape, values: toF32(dtype, data) });
  }
  return tensors;
}

function toF32(dtype: string, data: ArrayBuffer): Float32Array {
  if (dtype === 'F32') return new Float32Array(data);
  if (dtype === 'F16') return fromF16(new Uint16Array(data));
  if (dtype === 'BF16')
    return new Float32Array(Uint32Array.from(new Uint16Array(data), (bits) => (bits << 16) >>> 0).buffer);
  throw new Error(`The fixtures have no ${dtype}.`);
}

export interface GoldenModel {
  config: DecoderConfig;
  graph: Graph;
  program: Program;
  /** Logits [rows wanted × vocabulary] of tokens at past …; `all` wants every row, else the last. */
  step(tokens: readonly number[], past: number, all?: boolean): Promise<Float32Array>;
}

export async function openGoldenModel(
  folder: string,
  options: { fused: boolean; contextLength?: number; format?: WeightFormat } = { fused: true },
): Promise<GoldenModel> {
  const json: unknown = JSON.parse(readFileSync(`${folder}/config.json`, 'utf8'));
  const family = findFamily(modelTypeOf(json));
  const config = family.config(json);
  const builder = new GraphBuilder();
  family.build(builder, config);
  const graph = options.fused ? lower(builder.build()) : builder.build();

  const formatOf = (shape: readonly number[]): WeightFormat => {
    const format = options.format ?? FORMATS.f32;
    return shape.length === 1 || formatLimit(format, shape[1]!) !== undefined ? FORMATS.f32 : format;
  };
  const formats = new Map(graph.weights.map((weight) => [weight.name, formatOf(weight.shape)]));
  const contextLength = options.contextLength ?? 64;
  const program = await new ReferenceBackend().compile(graph, {
    formats,
    contextLength,
    maxTokens: contextLength,
    maxOutputs: contextLength,
  });
  const tensors = readTensors(`${folder}/model.safetensors`);
  for (const weight of graph.weights) {
    const columns = weight.shape.at(-1)!;
    const isVector = weight.shape.length === 1;
    const parts = weight.parts.map(({ tensor, rows }): PackedMatrix => {
      const numbers = tensors.get(tensor);
      if (!numbers) throw new Error(`The fixture has no tensor ${tensor}.`);
      return isVector
        ? packMatrix(numbers.values, numbers.values.length, 1, FORMATS.f32)
        : packMatrix(numbers.values, rows, columns, formats.get(weight.name)!);
    });
    const stacked = stackMatrices(parts);
    await program.setWeight(weight.name, isVector ? { ...stacked, rows: 1, columns: stacked.rows } : stacked);
  }
  await program.ready();
  return {
    config,
    graph,
    program,
    step: (tokens, past, all = false) =>
      program.run({
        tokenIds: Int32Array.from(tokens),
        rotary: rotaryRows(config, past, tokens.length),
        outputRows: Int32Array.from(all ? tokens.keys() : [tokens.length - 1]),
        past,
      }),
  };
}

/** ‖actual − golden‖ / ‖golden‖. A NaN stays a NaN, which no comparison accepts. */
export function relativeError(actual: Float32Array, golden: Float32Array): number {
  if (actual.length !== golden.length) throw new Error(`${actual.length} numbers, ${golden.length} in the golden`);
  let difference = 0;
  let size = 0;
  for (let i = 0; i < golden.length; i++) {
    difference += (actual[i]! - golden[i]!) ** 2;
    size += golden[i]! ** 2;
  }
  return Math.sqrt(difference / size);
}
