// The loop at the heart of an answer: what is new of the prompt goes through the model in chunks, then token after token
// is sampled and fed back, until an end token, a limit or an abort. Where a token comes from is a TokenStepper: read that next,
// then cached-program.ts for how a step runs, sampler.ts for the choice.

import { WpError } from '../errors.ts';
import { CachedProgram, type CachedProgramOptions } from './cached-program.ts';
import { GenerationQueue } from './queue.ts';
import type { ResolvedGenerationOptions } from './options.ts';
import { TokenStepper } from './token-stepper.ts';

export type GenerationEvent =
  /** Its turn has come: this much of the prompt is in the cache already. */
  | { type: 'started'; promptTokens: number; cachedPromptTokens: number }
  /** End tokens are not reported. */
  | { type: 'token'; token: number };

export interface GenerateOptions {
  /** Tokens that end the answer. */
  eosIds: Iterable<number>;
  signal?: AbortSignal | undefined;
  /** Compute all of the prompt, whatever the cache holds, and leave the cache empty: to measure. */
  isolated?: boolean | undefined;
}

export interface DecoderSessionOptions extends CachedProgramOptions {
  /** When given, token ids are checked against it. */
  vocabularySize?: number | undefined;
}

/** One model's conversation state: its program, its cache, and the queue of those who want to use them. */
export class DecoderSession {
  readonly #cache: CachedProgram;
  readonly #queue = new GenerationQueue();
  readonly #vocabularySize: number | undefined;

  constructor(options: DecoderSessionOptions) {
    this.#cache = new CachedProgram(options);
    this.#vocabularySize = options.vocabularySize;
  }

  /** The program in use: a new one after a recovery. */
  get program(): CachedProgram['program'] {
    return this.#cache.program;
  }

  get contextLength(): number {
    return this.#cache.contextLength;
  }

  /** Tokens in the KV cache now. */
  get contextUsed(): number {
    return this.#cache.cachedTokens.length;
  }

  /**
   * Streams the tokens that follow a prompt; returns why it ended. Waits for its turn when another generation runs.
   * @throws AbortError at the next step after `signal` aborts; WpError `context-overflow`, `device-lost`, `disposed`, …
   *   After any of them the session can be used again.
   */
  async *generate(
    promptTokens: readonly number[],
    options: ResolvedGenerationOptions,
    { eosIds, signal, isolated = false }: GenerateOptions,
  ): AsyncGenerator<GenerationEvent, 'stop' | 'length', undefined> {
    this.#checkTokens(promptTokens);
    this.#checkFits(promptTokens.length);
    const ends = new Set(eosIds);
    const leave = await this.#queue.enter(signal);
    try {
      if (isolated) this.#cache.clear();
      const cachedPromptTokens = this.#cache.reuse(promptTokens);
      yield { type: 'started', promptTokens: promptTokens.length, cachedPromptTokens };
      let fed = promptTokens.slice(cachedPromptTokens);
      // The last token needs no room in the cache.
      const most = Math.min(options.maxTokens, this.contextLength - promptTokens.length + 1);
      const stepper = new TokenStepper(this.#cache, promptTokens, options, most);
      for (let count = 0; count < most; count++) {
        const token = await stepper.next(fed, signal);
        if (ends.has(token)) return 'stop';
        yield { type: 'token', token };
        fed = [token];
      }
      return 'length';
    } finally {
      if (isolated) this.#cache.clear();
      leave();
    }
  }

  /** Logits [tokens.length, vocabulary] of a sequence. It takes the place of what was in the cache. */
  score(tokens: readonly number[], signal?: AbortSignal): Promise<Float32Array> {
    return this.#exclusive(tokens, signal, async () => {
      const { scoreTokens } = await import('./score.ts');
      return scoreTokens(this.#cache, tokens, signal);
    });
  }

  /** Sum of ln p(token | those before it) over tokens[1 …]: for perplexity, without keeping the logits. */
  logLikelihood(tokens: readonly number[], signal?: AbortSignal): Promise<number> {
    return this.#exclusive(tokens, signal, async () => {
      const { totalLogLikelihood } = await import('./score.ts');
      return totalLogLikelihood(this.#cache, tokens, signal);
    });
  }

  /** Whether these options are sampled on the device, with steps running ahead. */
  samplesOnDevice(options: ResolvedGenerationOptions): boolean {
    return this.#cache.deviceSampling(options) !== undefined;
  }

  /** Stops what runs, refuses what waits, frees the program. Idempotent. */
  async dispose(): Promise<void> {
    this.#queue.close();
    await this.#cache.dispose();
  }

  async #exclusive<T>(tokens: readonly number[], signal: AbortSignal | undefined, run: () => Promise<T>): Promise<T> {
    this.#checkTokens(tokens);
    this.#checkFits(tokens.length);
    const leave = await this.#queue.enter(signal);
    try {
      return await run();
    } finally {
      leave();
    }
  }

  #checkFits(length: number): void {
    if (length <= this.contextLength) return;
    throw new WpError(
      'context-overflow',
      `The prompt has ${length} tokens; the context has room for ${this.contextLength}.`,
      'Shorten or drop earlier messages, or load the model with a larger contextLength.',
      { actual: length, allowed: this.contextLength },
    );
  }

  #checkTokens(tokens: readonly number[]): void {
    if (tokens.length === 0) {
      throw new WpError('invalid-argument', 'The prompt has no tokens.', 'Pass a text that is not empty.');
    }
    const limit = this.#vocabularySize ?? 2 ** 31;
    const at = tokens.findIndex((token) => !Number.isInteger(token) || token < 0 || token >= limit);
    if (at < 0) return;
    throw new WpError(
      'invalid-argument',
      `Token ${at} is ${String(tokens[at])}; token ids are integers from 0 to ${limit - 1}.`,
      'Use tokenize() of the same model to get token ids.',
      { index: at, actual: tokens[at], allowed: [0, limit - 1] },
    );
  }
}
