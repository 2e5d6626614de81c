// Where the next token comes from. On a device that samples by itself, steps run ahead: several are under way before the first
// token has come back, so the device never waits for the host. Elsewhere each step's logits come to the host and are sampled
// there. Both draw the same random numbers in the same order, so the same seed gives the same text.

import type { DeviceSampling } from '../backends/backend.ts';
import { type CachedProgram, isDeviceLost, lostForGood } from './cached-program.ts';
import type { ResolvedGenerationOptions } from './options.ts';
import { createRandom } from './random.ts';
import { Sampler } from './sampler.ts';

/**
 * Steps under way together. A result takes some milliseconds through the browser to the host, however short the step was: a small
 * model on a fast GPU needs a few steps to fill them. More would only be computed in vain after an answer's end or an abort.
 */
export const STEPS_IN_FLIGHT = 3;

interface PendingStep {
  uniform: number;
  token: Promise<number>;
}

export class TokenStepper {
  readonly #cache: CachedProgram;
  readonly #options: ResolvedGenerationOptions;
  readonly #sampler: Sampler;
  readonly #random: ReplayableRandom;
  /** In order; the first was fed the last token that the host knows. */
  #pending: PendingStep[] = [];
  /** What `begin` was called on. */
  #begun: DeviceSampling | undefined;
  #stepsLeft: number;
  #hasPrompt = false;

  /** @param mostTokens how often `next` will be called at most: no step runs beyond. */
  constructor(cache: CachedProgram, prompt: readonly number[], options: ResolvedGenerationOptions, mostTokens: number) {
    this.#cache = cache;
    this.#options = options;
    this.#random = new ReplayableRandom(options.seed);
    this.#sampler = new Sampler(options, this.#random);
    this.#sampler.observe(prompt);
    // The first token comes from the prompt's logits.
    this.#stepsLeft = mostTokens - 1;
  }

  /** Feeds tokens (the prompt, then each time the token that came before) and resolves to the one that follows. */
  async next(tokens: readonly number[], signal?: AbortSignal): Promise<number> {
    if (!this.#hasPrompt || !this.#cache.deviceSampling(this.#options)) {
      const logits = await this.#cache.append(tokens, signal);
      this.#hasPrompt = true;
      return this.#sampler.sample(logits);
    }
    const token = await this.#nextOnDevice(tokens[0]!, signal);
    this.#sampler.observe([token]);
    return token;
  }

  async #nextOnDevice(last: number, signal: AbortSignal | undefined): Promise<number> {
    try {
      return await this.#firstPending(last, signal);
    } catch (error) {
      if (!isDeviceLost(error)) throw error;
      this.#takeBackPending();
      await this.#cache.rebuild(error, signal);
    }
    // The new device must get as far as this step; lost again on the way, it is an error.
    try {
      if (this.#cache.deviceSampling(this.#options)) return await this.#firstPending(last, signal);
      return this.#sampler.sample(await this.#cache.append([last], signal));
    } catch (error) {
      throw isDeviceLost(error) ? lostForGood(error) : error;
    }
  }

  async #firstPending(last: number, signal: AbortSignal | undefined): Promise<number> {
    this.#runAhead(last);
    const token = await this.#pending[0]!.token;
    this.#pending.shift();
    await this.#cache.fed(last, signal);
    return token;
  }

  #runAhead(last: number): void {
    const sampling = this.#cache.deviceSampling(this.#options)!;
    if (this.#begun !== sampling) {
      sampling.begin(this.#options, this.#sampler.seen);
      this.#begun = sampling;
    }
    while (this.#pending.length < STEPS_IN_FLIGHT && this.#stepsLeft > 0) {
      const uniform = this.#options.temperature === 0 ? 0 : this.#random.next();
      const tokenId = this.#pending.length === 0 ? last : undefined;
      const past = this.#cache.cachedTokens.length + this.#pending.length;
      this.#pending.push({ uniform, token: this.#cache.submit(sampling, { tokenId, past, uniform }) });
      this.#stepsLeft--;
    }
  }

  /** As if the steps under way had never been submitted. */
  #takeBackPending(): void {
    this.#stepsLeft += this.#pending.length;
    if (this.#options.temperature > 0) this.#random.replay(this.#pending.map(({ uniform }) => uniform));
    this.#pending = [];
  }
}

/** Numbers whose step failed are drawn again. */
class ReplayableRandom {
  readonly #random;
  #again: number[] = [];

  constructor(seed: number) {
    this.#random = createRandom(seed);
  }

  next(): number {
    return this.#again.shift() ?? this.#random.next();
  }

  replay(numbers: readonly number[]): void {
    this.#again = [...numbers, ...this.#again];
  }
}
