// The clock of one answer: from the call, over its turn in the queue and the prompt, to the last token.

import type { Timing, Usage } from '../types.ts';

export class GenerationClock {
  readonly #called: number;
  #started: number | undefined;
  #firstToken: number | undefined;
  #firstText: number | undefined;
  #lastToken: number | undefined;
  #promptTokens = 0;
  #cachedPromptTokens = 0;
  #completionTokens = 0;

  /** @param now milliseconds of a clock that never goes back. */
  constructor(private readonly now: () => number = () => performance.now()) {
    this.#called = now();
  }

  started(promptTokens: number, cachedPromptTokens: number): void {
    this.#started = this.now();
    this.#promptTokens = promptTokens;
    this.#cachedPromptTokens = cachedPromptTokens;
  }

  token(): void {
    this.#lastToken = this.now();
    this.#firstToken ??= this.#lastToken;
    this.#completionTokens++;
  }

  text(): void {
    this.#firstText ??= this.now();
  }

  get completionTokens(): number {
    return this.#completionTokens;
  }

  usage(): Usage {
    return {
      promptTokens: this.#promptTokens,
      completionTokens: this.#completionTokens,
      totalTokens: this.#promptTokens + this.#completionTokens,
      cachedPromptTokens: this.#cachedPromptTokens,
    };
  }

  timing(): Timing {
    const end = this.now();
    const promptMs = (this.#firstToken ?? end) - (this.#started ?? end);
    const decodeMs = (this.#lastToken ?? end) - (this.#firstToken ?? end);
    return {
      timeToFirstTokenMs: (this.#firstText ?? this.#firstToken ?? end) - this.#called,
      promptTokensPerSecond:
        this.#firstToken === undefined ? 0 : perSecond(this.#promptTokens - this.#cachedPromptTokens, promptMs),
      tokensPerSecond: perSecond(this.#completionTokens - 1, decodeMs),
      totalMs: end - this.#called,
    };
  }
}

function perSecond(count: number, milliseconds: number): number {
  return count > 0 && milliseconds > 0 ? (count * 1000) / milliseconds : 0;
}
