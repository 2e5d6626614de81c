// Whole decoders with random weights, run on the WebGPU backend and on the reference interpreter: prefill in chunks, then
// single tokens, so that caches, chunk seams, split attention and output selection are all met.

import type { CompileOptions, StepInputs } from '../../runtime/backends/backend.ts';
import {
  createWebGpuBackend,
  type WebGpuBackend,
  type WebGpuBackendOptions,
} from '../../runtime/backends/webgpu/index.ts';
import { lower } from '../../runtime/graph/passes/index.ts';
import type { Graph } from '../../runtime/graph/types.ts';
import { FORMATS, type FormatName, type PackedMatrix } from '../../runtime/quantization/formats.ts';
import { packMatrix } from '../../runtime/quantization/pack.ts';
import { loadPacker, type Packer } from '../../runtime/quantization/packer.ts';
import { Random } from '../support/random.ts';
import { ReferenceBackend } from '../support/reference-backend.ts';
import { TINY_DECODER, tinyDecoder, type TinyDecoderOptions } from '../support/tiny-decoder.ts';

export interface ProgramCase {
  name: string;
  decoder: Partial<TinyDecoderOptions>;
  /** Of all matrices; several take turns. */
  format: FormatName | readonly FormatName[];
  backend?: WebGpuBackendOptions;
  /** Instead of `backend`. */
  create?: () => Promise<WebGpuBackend>;
  contextLength?: number;
  /** Tokens of each step. */
  steps?: readonly number[];
}

const STEPS = [17, 3, 1, 1, 1];

/** Each takes seconds on a software adapter, which compiles some twenty shaders: what is independent shares a case. */
export const PROGRAM_CASES: readonly ProgramCase[] = [
  ...(['f32', 'f16', 'q4g32'] as const).map((format) => ({ name: `plain ${format}`, decoder: {}, format })),
  {
    name: 'biases, untied output, window',
    decoder: { hasBias: true, isTied: false, window: 9 },
    format: 'q4g32',
  },
  {
    name: 'query and key norms, gelu, tiles of Chrome',
    decoder: { hasQueryKeyNorm: true, activation: 'gelu-tanh' },
    format: 'q8g32',
    backend: { browser: 'chromium' },
  },
  { name: 'values apart, biases', decoder: { hasValuesApart: true, hasBias: true }, format: 'q4g32' },
  { name: 'values apart, norms', decoder: { hasValuesApart: true, hasQueryKeyNorm: true }, format: 'q8g32' },
  { name: 'seven queries a key', decoder: { heads: 14, keyValueHeads: 2, headDim: 64 }, format: 'q4g32' },
  { name: 'two planes, minimums', decoder: { hasBias: true }, format: 'q3g16m', steps: [17, 1, 1] },
  {
    name: "GGUF's formats, mixed",
    decoder: { layers: 1, columns: 256, width: 256, headDim: 64 },
    format: ['q4k', 'q2k', 'q3k', 'q5k', 'q6k'],
    steps: [3, 1, 1],
  },
  { name: 'columns of no multiple of 8', decoder: { columns: 44, width: 52, headDim: 12 }, format: 'f16' },
  {
    name: 'split attention',
    decoder: { layers: 1, headDim: 32 },
    format: 'q4g32',
    contextLength: 400,
    steps: [64, 64, 64, 64, 1, 1],
  },
  {
    name: 'split attention, window',
    decoder: { layers: 1, window: 200 },
    format: 'f16',
    contextLength: 400,
    steps: [64, 64, 64, 64, 1, 1],
  },
  {
    name: 'matrices in pieces',
    decoder: { vocabulary: 205, width: 160, hasBias: true },
    format: 'q4g32',
    // The caches are the next smallest: 64 positions of 2 × 16 halves.
    backend: { maxStorageBindingBytes: 64 * 2 * 64 },
    contextLength: 24,
    steps: [4, 1, 1],
  },
  {
    name: 'without subgroups',
    decoder: { hasQueryKeyNorm: true },
    format: 'q4g32',
    backend: { withoutFeatures: ['subgroups'] },
  },
  {
    name: 'without f16, tiles of Safari',
    decoder: {},
    format: 'q4g32',
    backend: { withoutFeatures: ['shader-f16'], browser: 'safari' },
  },
];

export interface StepDifference {
  tokens: number;
  /** Largest difference of two logits, over the root of the mean square of the reference's. */
  relative: number;
  isFinite: boolean;
}

export interface ProgramResult {
  differences: readonly StepDifference[];
  /** profile().dispatchesPerToken */
  dispatches: number;
  /** The kernels of a step of one token. */
  kernels: readonly string[];
}

/** Runs a case on both backends. Throws what the backend throws. */
export async function runProgramCase(programCase: ProgramCase, gpu?: GPU): Promise<ProgramResult> {
  const { format, contextLength = 64, steps = STEPS } = programCase;
  const graph = lower(tinyDecoder({ ...TINY_DECODER, ...programCase.decoder }));
  const random = new Random(7);
  const formats = [format].flat() as readonly FormatName[];
  const weights = randomWeights(graph, formats, random, await loadPacker(formats.map((name) => FORMATS[name])));
  const options: CompileOptions = {
    formats: new Map([...weights].map(([name, matrix]) => [name, matrix.format])),
    contextLength,
    maxTokens: Math.max(...steps),
    maxOutputs: 4,
  };
  const backend = await (programCase.create?.() ?? createWebGpuBackend({ ...programCase.backend, gpu }));
  try {
    const program = await backend.compile(graph, options);
    const reference = await new ReferenceBackend().compile(graph, options);
    for (const [name, matrix] of weights) {
      await program.setWeight(name, matrix);
      await reference.setWeight(name, matrix);
    }
    await program.ready();
    const differences: StepDifference[] = [];
    let past = 0;
    for (const tokens of steps) {
      const inputs = stepInputs(graph, tokens, past, random);
      const [actual, expected] = await Promise.all([program.run(inputs), reference.run(inputs)]);
      differences.push({ tokens, ...difference(actual, expected) });
      past += tokens;
    }
    const { dispatchesPerToken, kernels } = program.profile();
    return { differences, dispatches: dispatchesPerToken, kernels: kernels.map(({ variant }) => variant) };
  } finally {
    backend.dispose();
  }
}

/** Seeded weights in one format, or in several that take turns; vectors in f32. */
export function randomWeights(
  graph: Graph,
  format: FormatName | readonly FormatName[],
  random: Random,
  packer: Packer = packMatrix,
): Map<string, PackedMatrix> {
  const formats = [format].flat() as readonly FormatName[];
  let matrices = 0;
  const pack = ({ shape, role }: Graph['weights'][number]): PackedMatrix => {
    const [rows, columns] = shape.length === 1 ? [1, shape[0]!] : (shape as [number, number]);
    const numbers = random.floats(rows * columns, role === 'norm' ? 1 : 1.7 / Math.sqrt(columns));
    // Norms stand around 1, embeddings around the size that a layer adds.
    const scaled =
      role === 'norm' ? numbers.map((x) => 1 + x / 2) : role === 'embedding' ? numbers.map((x) => 4 * x) : numbers;
    if (shape.length === 1) return packer(scaled, rows, columns, FORMATS.f32);
    return packer(scaled, rows, columns, FORMATS[formats[matrices++ % formats.length]!]);
  };
  return new Map(graph.weights.map((weight) => [weight.name, pack(weight)]));
}

function stepInputs(graph: Graph, tokens: number, past: number, random: Random): StepInputs {
  const vocabulary = graph.weights.find(({ role }) => role === 'embedding')!.shape[0]!;
  const headDim = graph.values[graph.inputs['rotary']!]!.shape[1] as number;
  const rotary = new Float32Array(tokens * headDim);
  for (let token = 0; token < tokens; token++) {
    for (let i = 0; i < headDim / 2; i++) {
      const angle = (past + token) * 10_000 ** ((-2 * i) / headDim);
      rotary[token * headDim + i] = Math.cos(angle);
      rotary[token * headDim + headDim / 2 + i] = Math.sin(angle);
    }
  }
  // One output, several, or the last alone, as scoring and generation want them.
  const outputRows = tokens === 1 ? [0] : tokens % 2 === 1 ? [0, 1, tokens - 1] : [tokens - 1];
  return {
    tokenIds: Int32Array.from({ length: tokens }, () => random.integer(0, vocabulary - 1)),
    rotary,
    outputRows: Int32Array.from(outputRows),
    past,
  };
}

export function difference(actual: Float32Array, expected: Float32Array): { relative: number; isFinite: boolean } {
  let largest = actual.length === expected.length ? 0 : Infinity;
  let squares = 0;
  expected.forEach((value, i) => {
    largest = Math.max(largest, Math.abs(value - actual[i]!));
    squares += value * value;
  });
  return { relative: largest / Math.sqrt(squares / expected.length), isFinite: actual.every(Number.isFinite) };
}
