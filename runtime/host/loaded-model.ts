// A model that is ready, on the worker's side: its session, its tokenizer, what it reports of itself.

import type { DecoderSession } from '../generation/decode-loop.ts';
import type { EncodeRequest, EncodeResult, GenerateRequest, TensorCall, TensorResult } from '../protocol/messages.ts';
import { chat, complete, type TextModel } from '../tasks/chat.ts';
import type { RunOptions } from '../tasks/encoder-session.ts';
import type {
  BenchmarkResult,
  BenchmarkSizes,
  ChatPart,
  GenerationOptions,
  MemoryReport,
  ModelInfo,
  TuningReport,
} from '../types.ts';
import type { TuningWish } from './tuning.ts';

/** A model as the host holds it: one that writes, or (loaded-encoder.ts) one that reads. */
export type HostedModel = Pick<LoadedModel, keyof LoadedModel> & {
  encode?(request: EncodeRequest, options: RunOptions): Promise<EncodeResult>;
  /** Of an ONNX file. */
  run?(call: TensorCall): Promise<TensorResult>;
};

export interface LoadedModelParts extends TextModel {
  info: ModelInfo;
  session: DecoderSession;
  tune(options: TuningWish, signal: AbortSignal): Promise<TuningReport>;
}

export class LoadedModel {
  readonly info: ModelInfo;
  readonly #parts: LoadedModelParts;
  readonly #disposal = new AbortController();
  #tuning = new AbortController();

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
  async benchmark(sizes: BenchmarkSizes): Promise<BenchmarkResult> {
    const { measureThroughput } = await import('./throughput.ts');
    return measureThroughput(this.#parts, () => this.memory(), sizes, this.#disposal.signal);
  }

  /** Of the tuning that runs, or of the next. */
  get tuningSignal(): AbortSignal {
    return this.#tuning.signal;
  }

  /** Takes the place of a tuning that runs. */
  tune(wish: TuningWish): Promise<TuningReport> {
    this.stopTuning();
    return this.#parts.tune(wish, this.tuningSignal);
  }

  stopTuning(): void {
    this.#tuning.abort();
    this.#tuning = new AbortController();
  }

  /** Stops what runs and frees the memory. Idempotent. */
  async dispose(): Promise<void> {
    this.#disposal.abort();
    this.#tuning.abort();
    await this.#parts.session.dispose();
  }
}
