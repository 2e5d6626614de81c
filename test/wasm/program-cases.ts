// Whole decoders with random weights on the WASM backend and on the reference interpreter: prefill in chunks, then single
// tokens.

import type { CompileOptions, StepInputs } from '../../runtime/backends/backend.ts';
import { createWasmBackend, type WasmBackendOptions } from '../../runtime/backends/wasm/index.ts';
import { lower } from '../../runtime/graph/passes/index.ts';
import { FORMATS, type FormatName } from '../../runtime/quantization/formats.ts';
import { packMatrix } from '../../runtime/quantization/pack.ts';
import { Random } from '../support/random.ts';
import { ReferenceBackend } from '../support/reference-backend.ts';
import { TINY_DECODER, tinyDecoder, type TinyDecoderOptions } from '../support/tiny-decoder.ts';

export interface ProgramCase {
  name: string;
  decoder: Partial<TinyDecoderOptions>;
  format: FormatName;
}

export const PROGRAM_CASES: readonly ProgramCase[] = [
  ...(['f32', 'f16', 'q8g32', 'q4g32'] as const).map((format) => ({ name: `plain ${format}`, decoder: {}, format })),
  { name: 'biases, untied output', decoder: { hasBias: true, isTied: false }, format: 'q4g32' },
  { name: 'query and key norms, gelu', decoder: { hasQueryKeyNorm: true, activation: 'gelu-tanh' }, format: 'q8g32' },
  { name: 'window', decoder: { window: 9 }, format: 'f32' },
  { name: 'values apart', decoder: { hasValuesApart: true, hasBias: true }, format: 'q8g32' },
  { name: 'seven queries a key', decoder: { heads: 14, keyValueHeads: 2, headDim: 64 }, format: 'q4g32' },
  { name: 'odd widths', decoder: { columns: 44, width: 52, headDim: 12, vocabulary: 47 }, format: 'f16' },
];

/** Tokens and wanted outputs of each step. */
const STEPS: readonly { tokens: number; outputs: number }[] = [
  { tokens: 17, outputs: 17 },
  { tokens: 4, outputs: 0 },
  { tokens: 1, outputs: 1 },
  { tokens: 5, outputs: 2 },
  { tokens: 1, outputs: 1 },
];

const OPTIONS = { contextLength: 40, maxTokens: 20, maxOutputs: 20 };

export interface PreparedCase {
  graph: ReturnType<typeof lower>;
  options: CompileOptions;
  weights: ReadonlyMap<string, ReturnType<typeof packMatrix>>;
  steps: readonly StepInputs[];
}

export function prepareCase({ decoder, format }: ProgramCase): PreparedCase {
  const all = { ...TINY_DECODER, ...decoder };
  const graph = lower(tinyDecoder(all));
  const random = new Random(11);
  const formats = new Map(graph.weights.map((w) => [w.name, w.shape.length > 1 ? FORMATS[format] : FORMATS.f32]));
  const weights = new Map(
    graph.weights.map(({ name, shape, role }) => {
      const columns = shape.at(-1)!;
      const rows = shape.length > 1 ? shape[0]! : 1;
      const numbers = random.floats(rows * columns, role === 'norm' ? 0.2 : 0.3);
      if (role === 'norm') numbers.forEach((value, i) => (numbers[i] = 1 + value));
      return [name, packMatrix(numbers, rows, columns, formats.get(name)!)];
    }),
  );
  let past = 0;
  const steps = STEPS.map(({ tokens, outputs }) => {
    const rotary = Float32Array.from({ length: tokens * all.headDim }, (_, i) => {
      const half = all.headDim / 2;
      const angle = (past + Math.floor(i / all.headDim)) * 100 ** (-(i % half) / half);
      return i % all.headDim < half ? Math.cos(angle) : Math.sin(angle);
    });
    const step: StepInputs = {
      tokenIds: Int32Array.from({ length: tokens }, () => random.integer(0, all.vocabulary - 1)),
      rotary,
      outputRows: Int32Array.from({ length: outputs }, (_, i) => tokens - outputs + i),
      past,
    };
    past += tokens;
    return step;
  });
  return { graph, options: { ...OPTIONS, formats }, weights, steps };
}

/** The logits of every step, on a backend made with `options`. */
export async function runOnWasm(prepared: PreparedCase, options: WasmBackendOptions): Promise<Float32Array[]> {
  const backend = await createWasmBackend(options);
  try {
    const program = await backend.compile(prepared.graph, prepared.options);
    for (const [name, matrix] of prepared.weights) await program.setWeight(name, matrix);
    await program.ready();
    const logits: Float32Array[] = [];
    for (const step of prepared.steps) logits.push(await program.run(step));
    return logits;
  } finally {
    backend.dispose();
  }
}

export async function runOnReference(prepared: PreparedCase): Promise<Float32Array[]> {
  const program = await new ReferenceBackend().compile(prepared.graph, prepared.options);
  for (const [name, matrix] of prepared.weights) await program.setWeight(name, matrix);
  const logits: Float32Array[] = [];
  for (const step of prepared.steps) logits.push(await program.run(step));
  return logits;
}

/** Throws unless the logits agree: within 2e-4 for plain formats, within what int8 activations cost for the others. */
export function expectSameLogits(
  actual: readonly Float32Array[],
  expected: readonly Float32Array[],
  format: FormatName,
): void {
  const allowed = format.startsWith('q') ? 0.05 : 2e-4;
  expected.forEach((logits, step) => {
    const found = actual[step]!;
    if (found.length !== logits.length) throw new Error(`Step ${step}: ${found.length} logits, not ${logits.length}.`);
    if (logits.length === 0) return;
    let squares = 0;
    let differences = 0;
    logits.forEach((value, i) => {
      squares += value ** 2;
      differences += (found[i]! - value) ** 2;
    });
    const relative = Math.sqrt(differences / squares);
    if (!(relative <= allowed))
      throw new Error(`Step ${step}: the logits differ by ${relative}, allowed is ${allowed}.`);
  });
}
