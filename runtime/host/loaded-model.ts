// A model that is ready, on the worker's side: its session, its tokenizer, what it reports of itself.

import type { Program } from '../backends/backend.ts';
import { throwIfAborted, WpError } from '../errors.ts';
import type { DecoderSession } from '../generation/decode-loop.ts';
import { nextTask } from '../generation/event-loop.ts';
import type { GenerateRequest } from '../protocol/messages.ts';
import { chat, complete, type TextModel } from '../tasks/chat.ts';
import type { BenchmarkResult, ChatPart, GenerationOptions, MemoryReport, ModelInfo } from '../types.ts';

export interface LoadedModelParts extends TextModel {
  info: ModelInfo;
  session: DecoderSession;
  rotaryRows: (past: number, tokens: number) => Float32Array;
  /** The longest chunk of a prefill. */
  maxTokens: number;
}

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

  /** Throughput of the program: prefill of random tokens, then greedy-free decoding of random tokens (the same work). */
  benchmark(sizes: { promptTokens: number; decodeTokens: number }): Promise<BenchmarkResult> {
    const { promptTokens, decodeTokens } = sizes;
    const { session, rotaryRows, maxTokens, info } = this.#parts;
    const length = promptTokens + decodeTokens;
    if (promptTokens < 1 || decodeTokens < 1 || length > session.contextLength) {
      throw new WpError(
        'invalid-argument',
        `A benchmark of ${promptTokens} + ${decodeTokens} tokens does not fit the context of ${session.contextLength}.`,
        'Ask for fewer tokens, or load the model with a larger contextLength.',
        { actual: length, allowed: session.contextLength },
      );
    }
    const tokens = Int32Array.from({ length }, (_, i) => (i * 2654435761) % info.vocabularySize);
    return session.withProgram(async (program) => {
      const step = (past: number, count: number): ReturnType<Program['run']> => {
        throwIfAborted(this.#disposal.signal);
        const tokenIds = tokens.slice(past, past + count);
        return program.run({ tokenIds, past, rotary: rotaryRows(past, count), outputRows: Int32Array.of(count - 1) });
      };
      const start = performance.now();
      for (let past = 0; past < promptTokens; past += maxTokens) {
        await step(past, Math.min(maxTokens, promptTokens - past));
        await nextTask();
      }
      const prefilled = performance.now();
      for (let i = 0; i < decodeTokens; i += 1) {
        await step(promptTokens + i, 1);
        await nextTask();
      }
      const end = performance.now();
      return {
        ...sizes,
        promptTokensPerSecond: promptTokens / ((prefilled - start) / 1000),
        decodeTokensPerSecond: decodeTokens / ((end - prefilled) / 1000),
        ...program.profile(),
        memory: this.memory(),
      };
    });
  }

  /** Stops what runs and frees the memory. Idempotent. */
  async dispose(): Promise<void> {
    this.#disposal.abort();
    await this.#parts.session.dispose();
  }
}
