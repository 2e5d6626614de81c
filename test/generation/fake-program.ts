// A Program whose logits are a hash of every token and position that its cache holds, so that any mistake in the keeping
// of the cache (a stale row, a wrong `past`, a chunk out of order) changes what is generated.

import type { Program, StepInputs } from '../../runtime/backends/backend.ts';
import { WpError } from '../../runtime/errors.ts';

export const VOCABULARY = 97;

export class FakeProgram implements Program {
  /** The steps that were run. */
  readonly steps: { past: number; tokens: number[]; rows: number[] }[] = [];
  disposed = false;
  /** Called before each step; may throw, or wait. */
  before: ((step: number) => void | Promise<void>) | undefined;
  readonly #cache: number[];

  constructor(
    readonly contextLength = 64,
    readonly maxTokens = 8,
    readonly maxOutputs = 8,
  ) {
    this.#cache = new Array<number>(contextLength).fill(-1);
  }

  async run({ tokenIds, rotary, outputRows, past }: StepInputs): Promise<Float32Array> {
    if (this.disposed) throw new Error('the program was used after dispose()');
    if (tokenIds.length > this.maxTokens || outputRows.length > this.maxOutputs)
      throw new Error('the step is too large');
    if (past + tokenIds.length > this.contextLength) throw new Error('the step does not fit the cache');
    const step = this.steps.length;
    this.steps.push({ past, tokens: [...tokenIds], rows: [...outputRows] });
    // As a failed step of a real device may have, this one has written its rows.
    for (const [i, token] of tokenIds.entries()) this.#cache[past + i] = token;
    await this.before?.(step);
    if (rotary[0] !== past || rotary.length !== tokenIds.length) throw new Error('the rotation is of other positions');
    const logits = new Float32Array(outputRows.length * VOCABULARY);
    for (const [i, row] of outputRows.entries()) {
      logits.set(logitsAfter(this.#cache.slice(0, past + row + 1)), i * VOCABULARY);
    }
    return logits;
  }

  async setWeight(): Promise<void> {}
  async ready(): Promise<void> {}
  memory(): { weights: number; keyValueCache: number; activations: number; other: number } {
    return { weights: 0, keyValueCache: 0, activations: 0, other: 0 };
  }
  profile(): { dispatchesPerToken: number; weightBytesPerToken: number; kernels: [] } {
    return { dispatchesPerToken: 0, weightBytesPerToken: 0, kernels: [] };
  }
  dispose(): void {
    this.disposed = true;
  }
}

/** The logits after a sequence, from the sequence alone: the oracle. */
export function logitsAfter(tokens: readonly number[]): Float32Array {
  let hash = 2166136261;
  for (const token of tokens) hash = Math.imul(hash ^ (token + 1), 16777619);
  return Float32Array.from({ length: VOCABULARY }, (_, i) => {
    let word = Math.imul(hash ^ Math.imul(i + 1, 0x9e3779b1), 0x85ebca6b);
    word = Math.imul(word ^ (word >>> 15), 0xc2b2ae35);
    return ((word ^ (word >>> 13)) >>> 0) / 2 ** 29;
  });
}

/** What greedy decoding must give. */
export function greedyAfter(prompt: readonly number[], count: number): number[] {
  const tokens = [...prompt];
  for (let i = 0; i < count; i++) {
    const logits = logitsAfter(tokens);
    tokens.push(logits.indexOf(Math.max(...logits)));
  }
  return tokens.slice(prompt.length);
}

/** One number a token: its position. */
export function positions(past: number, tokens: number): Float32Array {
  return Float32Array.from({ length: tokens }, (_, i) => past + i);
}

export function deviceLost(): WpError {
  return new WpError('device-lost', 'The device was lost.');
}
