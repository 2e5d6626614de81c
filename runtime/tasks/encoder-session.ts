// Texts through an encoder's program, in steps: texts of like length together, as many as a step has room for. Each call gets its
// rows back in the order of its texts.

import type { EncoderProgram } from '../backends/backend.ts';
import { throwIfAborted, WpError } from '../errors.ts';
import { nextTask } from '../generation/event-loop.ts';
import type { Pooling, TextEncoder, TextSequence } from '../models/encoders/index.ts';
import { QueuedProgram } from './queued-program.ts';

export interface EncoderSessionParts {
  encoder: TextEncoder;
  graph: ReturnType<TextEncoder['graph']>;
  pooling: Pooling | undefined;
  program: EncoderProgram;
  /** What the program was compiled for: tokens of a step, texts of a step. */
  maxTokens: number;
  maxOutputs: number;
  /** Makes a new program after a lost device; undefined where none can be lost. */
  recover: (() => Promise<EncoderProgram>) | undefined;
}

export interface RunOptions {
  signal?: AbortSignal | undefined;
  /** After each step: texts that are done, of how many. */
  onProgress?: ((done: number, total: number) => void) | undefined;
}

export class EncoderSession {
  readonly #parts: EncoderSessionParts;
  readonly #program: QueuedProgram;

  constructor(parts: EncoderSessionParts) {
    this.#parts = parts;
    this.#program = new QueuedProgram(parts.program, parts.recover);
  }

  get program(): EncoderProgram {
    return this.#program.current;
  }

  /**
   * An output of one row a text, [texts × width]. Rejects with an AbortError, `invalid-argument` for texts that do not fit,
   * `disposed` and `device-lost`.
   */
  async run(texts: readonly TextSequence[], output: string, run: RunOptions = {}): Promise<Float32Array<ArrayBuffer>> {
    let rows = new Float32Array(0);
    await this.#steps(texts, output, run, (numbers, step) => {
      const width = numbers.length / step.length;
      if (rows.length === 0) rows = new Float32Array(texts.length * width);
      step.forEach((text, row) => rows.set(numbers.subarray(row * width, (row + 1) * width), text * width));
    });
    return rows;
  }

  /** An output of one row a token: each text's rows, [tokens × width]. Rejects as `run` does. */
  async runTokens(texts: readonly TextSequence[], output: string, run: RunOptions = {}): Promise<Float32Array[]> {
    const rows: Float32Array[] = texts.map(() => new Float32Array(0));
    await this.#steps(texts, output, run, (numbers, step) => {
      const width = numbers.length / step.reduce((sum, i) => sum + this.#lengthOf(texts[i]!), 0);
      let at = 0;
      for (const i of step) {
        const end = at + this.#lengthOf(texts[i]!) * width;
        rows[i] = numbers.slice(at, end);
        at = end;
      }
    });
    return rows;
  }

  /** Runs step after step, and hands on the output of each with the indices of its texts. */
  async #steps(
    texts: readonly TextSequence[],
    output: string,
    { signal, onProgress }: RunOptions,
    take: (numbers: Float32Array, step: readonly number[]) => void,
  ): Promise<void> {
    throwIfAborted(signal);
    let done = 0;
    for (const step of planSteps(
      texts.map((text) => this.#lengthOf(text)),
      this.#parts,
    )) {
      const { encoder, graph, pooling } = this.#parts;
      const inputs = encoder.inputs(
        graph,
        step.map((i) => texts[i]!),
        pooling,
      );
      const numbers = (await this.#program.run(inputs, signal))[output];
      if (!numbers) throw new WpError('internal', `The program has no output ${output}.`);
      take(numbers, step);
      done += step.length;
      onProgress?.(done, texts.length);
      // Where an abort arrives.
      await nextTask();
      throwIfAborted(signal);
    }
  }

  dispose(): Promise<void> {
    return this.#program.dispose();
  }

  #lengthOf({ ids }: TextSequence): number {
    return Math.max(ids.length, this.#parts.encoder.config.paddedLength ?? 0);
  }
}

/** Steps of texts' indices, longest texts first: what does not fit the memory fails at once. */
export function planSteps(
  lengths: readonly number[],
  { maxTokens, maxOutputs }: Pick<EncoderSessionParts, 'maxTokens' | 'maxOutputs'>,
): number[][] {
  const order = lengths.map((_, i) => i).sort((a, b) => lengths[b]! - lengths[a]!);
  const steps: number[][] = [];
  let tokens = Infinity;
  for (const i of order) {
    tokens += lengths[i]!;
    const step = steps.at(-1);
    if (step && tokens <= maxTokens && step.length < maxOutputs) {
      step.push(i);
      continue;
    }
    steps.push([i]);
    tokens = lengths[i]!;
  }
  return steps;
}
