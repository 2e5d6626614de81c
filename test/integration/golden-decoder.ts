// The tiny checkpoints of test/fixtures/decoders on a real backend, loaded as the runtime loads a model (files, family,
// passes, checkpoint, plan, stream of weights) with f16 weights, against the logits of transformers. Node and browsers.

import type { Backend, Program } from '../../runtime/backends/backend.ts';
import { detectCapabilities } from '../../runtime/capabilities/detect.ts';
import type { DecoderSessionOptions } from '../../runtime/generation/decode-loop.ts';
import { GraphBuilder } from '../../runtime/graph/builder.ts';
import { lower } from '../../runtime/graph/passes/index.ts';
import { openRequired } from '../../runtime/loading/model-files.ts';
import { openModelFiles } from '../../runtime/loading/open-files.ts';
import { parseSource } from '../../runtime/loading/source.ts';
import { findFamily, modelTypeOf, rotaryRows } from '../../runtime/models/index.ts';
import { planModel } from '../../runtime/planning/plan.ts';
import type { PrecisionName } from '../../runtime/types.ts';
import { openCheckpoint } from '../../runtime/weights/checkpoint.ts';
import { createWeightSource } from '../../runtime/weights/weight-source.ts';

export const VARIANTS = [
  'llama-linear',
  'llama-llama3',
  'llama-tied',
  'mistral-window',
  'qwen2-bias',
  'qwen2-windowed-layers',
  'qwen3-qk-norm',
  'smollm',
] as const;

/**
 * The largest relative error at f16. Most checkpoints are stored in f16, so that nothing but the order of sums and the f16
 * cache differs; llama-linear is stored in f32, and rounding its weights costs 1.1e-3 in the prefill and 3.2e-3 in the
 * decode steps (the references, with the same weights, differ by as much).
 */
export function tolerance(variant: (typeof VARIANTS)[number]): number {
  return variant === 'llama-linear' ? 4e-3 : 5e-4;
}

export interface OpenedDecoder {
  program: Program;
  /** Of the plan: true of the program when `maxTokens` is `planned`. */
  plannedBytes: number;
  /** What a DecoderSession wants beside `recover`. */
  session: DecoderSessionOptions;
  /** Logits of the last token, or of every one. */
  step(tokens: readonly number[], past: number, all?: boolean): Promise<Float32Array>;
}

export interface OpenDecoderOptions {
  precision?: PrecisionName | undefined;
  /** Default 64. */
  contextLength?: number | undefined;
  /** The longest chunk, and the most rows of logits. Default 64; `planned` takes what the plan says of both. */
  maxTokens?: number | 'planned' | undefined;
  /** Called when a weight has come out of the stream, and again when the program has taken it. */
  onWeight?: ((program: Program) => void) | undefined;
}

/** Loads the folder at `source` (a URL ending with '/', in Node a path) into a program of the backend. */
export async function openDecoder(
  source: string,
  backend: Backend,
  { precision = 'f16', contextLength = 64, maxTokens: chunk = 64, onWeight }: OpenDecoderOptions = {},
): Promise<OpenedDecoder> {
  const files = await openModelFiles(parseSource(source, { embeddedBase: source }));
  try {
    const json = await (await openRequired(files, 'config.json')).readJson();
    const family = findFamily(modelTypeOf(json));
    const config = family.config(json);
    const builder = new GraphBuilder();
    family.build(builder, config);
    const graph = lower(builder.build());
    const weights = createWeightSource(await openCheckpoint(files), graph);
    const plan = planModel({
      graph,
      capabilities: await detectCapabilities(),
      wishes: { precision, backend: backend.name, contextLength },
      model: {
        maxContextLength: config.maxContextLength,
        storedFormats: new Map(graph.weights.map((weight) => [weight.name, weights.storedFormat(weight)])),
      },
    });
    const { formats } = plan;
    const [maxTokens, maxOutputs] = chunk === 'planned' ? [plan.maxTokens, plan.maxOutputs] : [chunk, chunk];
    const program = await backend.compile(graph, { formats, contextLength, maxTokens, maxOutputs });
    for await (const { name, matrix } of weights.stream(formats)) {
      onWeight?.(program);
      await program.setWeight(name, matrix);
      onWeight?.(program);
    }
    await program.ready();
    const rotations = (past: number, tokens: number): Float32Array => rotaryRows(config, past, tokens);
    return {
      program,
      plannedBytes: plan.memory.total,
      session: {
        program,
        rotaryRows: rotations,
        contextLength,
        maxTokens,
        maxOutputs,
        vocabularySize: config.vocabularySize,
      },
      step: (tokens, past, all = false) =>
        program.run({
          tokenIds: Int32Array.from(tokens),
          rotary: rotations(past, tokens.length),
          outputRows: Int32Array.from(all ? tokens.keys() : [tokens.length - 1]),
          past,
        }),
    };
  } finally {
    await files.close();
  }
}

export interface Goldens {
  prompt: number[];
  /** The greedy tokens, with the cache in f16. */
  decoded: number[];
  vocabulary: number;
  /** Logits of every position of the prompt, and of each decoded token. */
  prefill: Float32Array;
  decode: Float32Array;
}

/** Of goldens.json and goldens.bin of a variant. */
export function parseGoldens(json: string, bytes: Uint8Array): Goldens {
  const described = JSON.parse(json) as Omit<Goldens, 'prefill' | 'decode'> & { blocks: Record<string, number> };
  const numbers = new Float32Array(bytes.slice().buffer);
  const rows = (from: number, count: number): Float32Array =>
    numbers.subarray(from * described.vocabulary, (from + count) * described.vocabulary);
  const { prefill, decode } = described.blocks;
  return { ...described, prefill: rows(0, prefill!), decode: rows(prefill!, decode!) };
}

export interface Differences {
  /** Norm of the difference over the norm of the golden: of the prefill, and the worst of the decode steps. */
  prefill: number;
  decode: number;
  /** The decode step at which another token became the best one; undefined when none did. */
  firstOtherToken: number | undefined;
}

/** The prefill of the prompt, then its 20 decode steps on the cache, fed with the golden's tokens. */
export async function compareWithGoldens(decoder: OpenedDecoder, goldens: Goldens): Promise<Differences> {
  const { prompt, decoded, vocabulary, prefill, decode } = goldens;
  const first = await decoder.step(prompt, 0, true);
  const result: Differences = { prefill: relativeError(first, prefill), decode: 0, firstOtherToken: undefined };
  let best = argMax(first.subarray(-vocabulary));
  for (const [step, token] of decoded.entries()) {
    if (best !== token) result.firstOtherToken ??= step;
    const logits = await decoder.step([token], prompt.length + step);
    const error = relativeError(logits, decode.subarray(step * vocabulary, (step + 1) * vocabulary));
    // Not Math.max: a NaN must stay.
    if (!(error <= result.decode)) result.decode = error;
    best = argMax(logits);
  }
  return result;
}

export function argMax(values: Float32Array): number {
  return values.reduce((best, value, i) => (value > values[best]! ? i : best), 0);
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
