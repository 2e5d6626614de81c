// A model that is ready, on the worker's side: its session, its tokenizer, what it reports of itself.

import { WpError } from '../errors.ts';
import type { DecoderSession } from '../generation/decode-loop.ts';
import { resolveGenerationOptions } from '../generation/options.ts';
import type { GenerateRequest } from '../protocol/messages.ts';
import { chat, complete, type TextModel } from '../tasks/chat.ts';
import type { BenchmarkResult, ChatPart, GenerationOptions, MemoryReport, ModelInfo } from '../types.ts';

export interface LoadedModelParts extends TextModel {
  info: ModelInfo;
  session: DecoderSession;
}

const GREEDY = { temperature: 0, topK: 0, topP: 1, minP: 0, repetitionPenalty: 1, seed: 0 };

export class LoadedModel {
  readonly info: ModelInfo;
  readonly #parts: LoadedModelParts;
  readonly #disposal = new AbortController();

  constructor(parts: LoadedModelParts) {
    this.info = parts.info;
    this.#parts = parts;
  }

  /** Streams an answer; ends with `finishReason: 'abort'` when `signal` aborts or the model is disposed. */
  generate(
    prompt: GenerateRequest['prompt'],
    options: GenerationOptions,
    signal: AbortSignal,
  ): AsyncGenerator<ChatPart> {
    const withSignal = { ...options, signal: AbortSignal.any([signal, this.#disposal.signal]) };
    return 'messages' in prompt
      ? chat(this.#parts, prompt.messages, withSignal)
      : complete(this.#parts, prompt.text, withSignal);
  }

  tokenize(text: string): number[] {
    return this.#parts.tokenizer.encode(text, { addSpecialTokens: false });
  }

  logits(tokens: readonly number[]): Promise<Float32Array> {
    return this.#parts.session.score(tokens, this.#disposal.signal);
  }

  memory(): MemoryReport {
    const { session, info } = this.#parts;
    const use = session.program.memory();
    const { weights, keyValueCache, activations, other } = use;
    return {
      planned: info.plan.memory,
      actual: { ...use, total: weights + keyValueCache + activations + other },
      contextUsed: session.contextUsed,
      contextLength: session.contextLength,
    };
  }

  /** Throughput of a greedy answer to a prompt of arbitrary tokens, from the empty cache. */
  async benchmark(sizes: { promptTokens: number; decodeTokens: number }): Promise<BenchmarkResult> {
    const { promptTokens, decodeTokens } = sizes;
    const { session, info } = this.#parts;
    const length = promptTokens + decodeTokens;
    if (promptTokens < 1 || decodeTokens < 1 || length > session.contextLength) {
      throw new WpError(
        'invalid-argument',
        `A benchmark of ${promptTokens} + ${decodeTokens} tokens does not fit the context of ${session.contextLength}.`,
        'Ask for fewer tokens, or load the model with a larger contextLength.',
        { actual: length, allowed: session.contextLength },
      );
    }
    const prompt = Array.from({ length: promptTokens }, (_, i) => (i * 2654435761) % info.vocabularySize);
    // The prompt's own step gives the first token.
    const options = resolveGenerationOptions({ ...GREEDY, maxTokens: decodeTokens + 1 }, info.defaults);
    const events = session.generate(prompt, options, { eosIds: [], signal: this.#disposal.signal, isolated: true });
    const times: number[] = [];
    let report: Pick<BenchmarkResult, 'sampling' | 'memory'> | undefined;
    for await (const { type } of events) {
      times.push(performance.now());
      // As it is in the midst of an answer, by the program that gives it.
      if (type === 'started') continue;
      report ??= { sampling: session.samplesOnDevice(options) ? 'device' : 'host', memory: this.memory() };
    }
    const [start, prefilled] = times as [number, number];
    return {
      ...sizes,
      promptTokensPerSecond: promptTokens / ((prefilled - start) / 1000),
      decodeTokensPerSecond: decodeTokens / ((times.at(-1)! - prefilled) / 1000),
      ...session.program.profile(),
      ...report!,
    };
  }

  /** Stops what runs and frees the memory. Idempotent. */
  async dispose(): Promise<void> {
    this.#disposal.abort();
    await this.#parts.session.dispose();
  }
}
