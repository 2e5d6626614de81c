// A program and the tokens that its KV cache holds. It knows which tokens need not be computed again, cuts long inputs
// into chunks, and rebuilds the cache on a new device when the old one is lost. What it says of the cache is always true:
// a token counts as cached only after the step that wrote it has succeeded.

import type { DeviceSampling, Program, SampledStep, SamplingChoice } from '../backends/backend.ts';
import { throwIfAborted, WpError } from '../errors.ts';
import { nextTask } from './event-loop.ts';
import { disposed } from './queue.ts';

export interface CachedProgramOptions {
  program: Program;
  /** Rotations [tokens, headDim] of the positions past … past + tokens − 1: see StepInputs.rotary. */
  rotaryRows: (past: number, tokens: number) => Float32Array;
  /** Tokens that the KV cache has room for. */
  contextLength: number;
  /** The longest chunk that the program was compiled for. */
  maxTokens: number;
  /** The most output rows of one step that the program was compiled for. Default 1. */
  maxOutputs?: number | undefined;
  /** Makes a new program, with its weights, after the device was lost. Without it a lost device is an error. */
  recover?: (() => Promise<Program>) | undefined;
}

export class CachedProgram {
  #program: Program;
  #cached: number[] = [];
  #disposed = false;
  #lost = false;
  #running: Promise<unknown> = Promise.resolve();

  constructor(private readonly options: CachedProgramOptions) {
    this.#program = options.program;
  }

  get program(): Program {
    return this.#program;
  }

  get contextLength(): number {
    return this.options.contextLength;
  }

  get maxOutputs(): number {
    return this.options.maxOutputs ?? 1;
  }

  get maxTokens(): number {
    return this.options.maxTokens;
  }

  /** Tokens in the KV cache. */
  get cachedTokens(): readonly number[] {
    return this.#cached;
  }

  /**
   * Keeps the part of the cache that `tokens` begins with, and returns its length. At least the last token is left to be
   * computed, since its logits are wanted.
   */
  reuse(tokens: readonly number[]): number {
    const most = Math.min(this.#cached.length, tokens.length - 1);
    let common = 0;
    while (common < most && this.#cached[common] === tokens[common]) common++;
    this.#cached.length = common;
    return common;
  }

  clear(): void {
    this.#cached.length = 0;
  }

  /** Appends tokens to the cache, chunk by chunk; resolves to the logits [vocabulary] after the last. */
  async append(tokens: readonly number[], signal?: AbortSignal): Promise<Float32Array> {
    let logits: Float32Array | undefined;
    for (let start = 0; start < tokens.length; start += this.maxTokens) {
      const chunk = tokens.slice(start, start + this.maxTokens);
      logits = await this.appendChunk(chunk, Int32Array.of(chunk.length - 1), signal);
    }
    if (!logits) throw new WpError('invalid-argument', 'There are no tokens to run.', 'Pass at least one token.');
    return logits;
  }

  /** Appends at most `maxTokens` tokens; resolves to the logits [rows, vocabulary] of the asked rows of the chunk. */
  async appendChunk(chunk: readonly number[], rows: Int32Array, signal?: AbortSignal): Promise<Float32Array> {
    this.#check(signal);
    const room = this.contextLength - this.#cached.length;
    if (chunk.length > room) {
      throw new WpError(
        'internal',
        `A step of ${chunk.length} tokens has room for ${room}.`,
        'Please report this defect.',
      );
    }
    if (this.#lost) await this.rebuild(deviceLost(), signal);
    let logits: Float32Array;
    try {
      logits = await this.#run(chunk, rows, this.#cached.length);
    } catch (error) {
      if (!isDeviceLost(error)) throw error;
      // The new device must get as far as this step; lost again on the way, it is an error.
      await this.rebuild(error, signal);
      try {
        logits = await this.#run(chunk, rows, this.#cached.length);
      } catch (again) {
        throw isDeviceLost(again) ? lostForGood(again) : again;
      }
    }
    for (const token of chunk) this.#cached.push(token);
    // The step is done, so an abort from here on leaves the cache sound.
    await nextTask();
    this.#check(signal);
    return logits;
  }

  /** The program's sampling on its device, if it can make this choice. */
  deviceSampling(choice: SamplingChoice): DeviceSampling | undefined {
    const sampling = this.#program.deviceSampling;
    return sampling?.supports(choice) ? sampling : undefined;
  }

  /**
   * Submits a step that samples on the device, behind those under way. When it has succeeded, say so with `fed`: until then
   * its token is not in the cache, whatever the device has written.
   */
  submit(sampling: DeviceSampling, step: Omit<SampledStep, 'rotary'>): Promise<number> {
    const program = this.#program;
    const running = sampling.step({ ...step, rotary: this.options.rotaryRows(step.past, 1) });
    // Steps end in order: with the last of them all have.
    this.#running = running;
    // It may be one that nobody waits for any more.
    running.catch((error: unknown) => {
      if (isDeviceLost(error) && program === this.#program) this.#lost = true;
    });
    return running;
  }

  /** Counts a token as cached: the step that was fed it has succeeded. */
  async fed(token: number, signal?: AbortSignal): Promise<void> {
    this.#cached.push(token);
    await nextTask();
    this.#check(signal);
  }

  /** Frees the program once the step that runs now has ended. */
  async dispose(): Promise<void> {
    if (this.#disposed) return;
    this.#disposed = true;
    await this.#running.catch(() => undefined);
    this.#cached = [];
    this.#program.dispose();
  }

  #check(signal: AbortSignal | undefined): void {
    if (this.#disposed) throw disposed();
    throwIfAborted(signal);
  }

  async #run(chunk: readonly number[], outputRows: Int32Array, past: number): Promise<Float32Array> {
    const rotary = this.options.rotaryRows(past, chunk.length);
    const running = this.#program.run({ tokenIds: Int32Array.from(chunk), rotary, outputRows, past });
    this.#running = running;
    try {
      return await running;
    } catch (error) {
      if (isDeviceLost(error)) this.#lost = true;
      throw error;
    }
  }

  /** After the device was lost: a new program whose cache holds the same tokens. Throws `cause` where there is no way to one. */
  async rebuild(cause: WpError, signal: AbortSignal | undefined): Promise<void> {
    const { recover, maxTokens } = this.options;
    if (!recover) throw cause;
    const tokens = this.#cached;
    this.#cached = [];
    const recovering = recover();
    this.#running = recovering;
    const lost = this.#program;
    this.#program = await recovering;
    this.#lost = false;
    lost.dispose();
    for (let start = 0; start < tokens.length; start += maxTokens) {
      this.#check(signal);
      const chunk = tokens.slice(start, start + maxTokens);
      try {
        await this.#run(chunk, Int32Array.of(chunk.length - 1), start);
      } catch (again) {
        throw isDeviceLost(again) ? lostForGood(again) : again;
      }
      this.#cached.push(...chunk);
      await nextTask();
    }
    this.#check(signal);
  }
}

export function isDeviceLost(error: unknown): error is WpError {
  return error instanceof WpError && error.code === 'device-lost';
}

function deviceLost(): WpError {
  return new WpError('device-lost', 'The GPU was lost.', 'Load the model again.');
}

export function lostForGood(cause: unknown): WpError {
  return new WpError(
    'device-lost',
    'The GPU was lost, and lost again while the answer was being recovered.',
    'Close other pages that use the GPU, load a smaller model or precision, or use the WASM backend.',
    {},
    { cause },
  );
}
