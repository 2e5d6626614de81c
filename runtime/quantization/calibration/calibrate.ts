// Runs a text through a model and gathers, for every matrix, what it is multiplied by. Windows of the text are read as a
// prompt is; what the model would say next is of no interest here.

import { throwIfAborted, WpError } from '../../errors.ts';
import type { Backend, Program } from '../../backends/backend.ts';
import { lower } from '../../graph/passes/index.ts';
import type { Graph, Weight } from '../../graph/types.ts';
import type { ColumnStatistics } from '../column-statistics.ts';
import { formatLimit, FORMATS, type PackedMatrix, type WeightFormat } from '../formats.ts';
import { gatherer, type Gathering } from './moments.ts';
import { tapLinears } from './tap.ts';

/** A model to be measured: its graph, and where its weights come from (weights/weight-source.ts has one). */
export interface CalibrationModel {
  /** As a family writes it, or lowered. */
  graph: Graph;
  backend: Backend;
  /** Every weight of the lowered graph once, in these formats. */
  weights: (
    graph: Graph,
    formats: ReadonlyMap<string, WeightFormat>,
    signal?: AbortSignal,
  ) => AsyncIterable<{ name: string; matrix: PackedMatrix }>;
  /** See StepInputs.rotary. */
  rotaryRows: (past: number, tokens: number) => Float32Array;
}

export interface CalibrateOptions {
  /** Default `squares`. */
  gather?: Gathering | undefined;
  /** Of matrices while they are measured. Default q8g32: its kernels are the fastest, and what it changes is lost in the mean. */
  format?: WeightFormat | undefined;
  /** Called after each window. */
  onProgress?: ((done: number, all: number) => void) | undefined;
  signal?: AbortSignal | undefined;
}

/** By the checkpoint tensor's name. */
export type Calibration = ReadonlyMap<string, ColumnStatistics>;

/** Tokens of one step. */
const CHUNK = 128;

/**
 * Statistics of the inputs of every matrix over windows of tokens; windows share nothing, each begins an empty cache.
 * Throws `unsupported-operation` when the backend does not give activations.
 */
export async function calibrate(
  model: CalibrationModel,
  windows: readonly (readonly number[])[],
  { gather = 'squares', format = FORMATS.q8g32, onProgress, signal }: CalibrateOptions = {},
): Promise<Calibration> {
  const { graph, taps } = tapLinears(lower(model.graph));
  const longest = windows.reduce((most, { length }) => Math.max(most, length), 1);
  const program = await compileWhole(model, graph, longest, format, signal);
  let gathered: Awaited<ReturnType<typeof gatherer>> | undefined;
  try {
    gathered = await gatherer(model.backend, taps, gather);
    for (const [i, window] of windows.entries()) {
      for (let start = 0; start < window.length; start += CHUNK) {
        throwIfAborted(signal);
        const tokens = window.slice(start, start + CHUNK);
        await runStep(program, model, tokens, start);
        for (const tap of taps) await gathered.add(tap, openOutput(program, tap.output));
      }
      onProgress?.(i + 1, windows.length);
    }
    return await gathered.means();
  } finally {
    gathered?.dispose();
    program.dispose();
  }
}

/** A program of a lowered graph for windows of at most `longest` tokens, with its weights. */
export async function compileWhole(
  model: CalibrationModel,
  graph: Graph,
  longest: number,
  format: WeightFormat,
  signal: AbortSignal | undefined,
): Promise<Program> {
  const formats = measuringFormats(graph, format);
  const tokens = Math.min(CHUNK, longest);
  const program = await model.backend.compile(graph, {
    formats,
    contextLength: longest,
    maxTokens: tokens,
    maxOutputs: tokens,
  });
  try {
    for await (const { name, matrix } of model.weights(graph, formats, signal)) await program.setWeight(name, matrix);
    await program.ready();
    return program;
  } catch (thrown) {
    program.dispose();
    throw thrown;
  }
}

/** One format for all matrices whose width fits, f16 for the others. */
export function measuringFormats(graph: Graph, format: WeightFormat): Map<string, WeightFormat> {
  return new Map(
    graph.weights.map((weight) => {
      if (!isMatrix(weight)) return [weight.name, FORMATS.f32];
      return [weight.name, formatLimit(format, weight.shape[1]!) === undefined ? format : FORMATS.f16];
    }),
  );
}

export function isMatrix({ shape }: Weight): boolean {
  return shape.length > 1;
}

/** One step of at most CHUNK tokens, all of whose rows are outputs. */
export async function runStep(
  program: Program,
  model: CalibrationModel,
  tokens: readonly number[],
  past: number,
): Promise<Float32Array> {
  return program.run({
    tokenIds: Int32Array.from(tokens),
    rotary: model.rotaryRows(past, tokens.length),
    outputRows: Int32Array.from(tokens.keys()),
    past,
  });
}

/** An output that was tapped, after a step. */
export function openOutput(program: Program, name: string): Float32Array {
  if (program.readOutput) return program.readOutput(name);
  throw new WpError(
    'unsupported-operation',
    'This backend does not give the activations that calibration reads.',
    'Calibrate on the WASM backend.',
  );
}
