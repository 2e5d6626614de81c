// What `loadModel` resolves to. Implemented by client.ts (in a worker) — an interface, so that elements, examples and
// tests depend on the promise and not on the machinery.

import type {
  BenchmarkOptions,
  BenchmarkResult,
  ChatMessage,
  ChatOptions,
  ChatPart,
  FinishReason,
  GenerationOptions,
  MemoryReport,
  ModelInfo,
  TuningOptions,
  TuningReport,
  Usage,
} from './types.ts';

export interface Model {
  readonly info: ModelInfo;
  /** True from `dispose()` on. */
  readonly disposed: boolean;
  /**
   * Streams the model's answer to a conversation. Breaking out of the loop, or `options.signal`, stops the generation
   * within one step. After an abort by signal the iterator throws an AbortError.
   */
  chat: ChatFunction;
  /** Streams the continuation of a text, without a chat template. */
  complete(text: string, options?: ChatOptions): AsyncIterableIterator<ChatPart>;
  tokenize(text: string): Promise<number[]>;
  /** Logits [tokens.length × vocabulary] of a token sequence. */
  logits(tokens: readonly number[]): Promise<Float32Array>;
  memory(): Promise<MemoryReport>;
  /** Throughput of a greedy answer to 512 tokens, of 128 tokens, unless told otherwise. */
  benchmark(options?: BenchmarkOptions): Promise<BenchmarkResult>;
  /**
   * Measures which of the WebGPU kernels are fastest on this device, in the pauses between answers, goes on with them and keeps the choice for
   * later loads. Rejects with `unsupported-operation` where the model runs on another backend.
   */
  tune(options?: TuningOptions): Promise<TuningReport>;
  /** Stops what runs, frees the model's memory on every device. Idempotent. */
  dispose(): Promise<void>;
}

export interface ChatFunction {
  (messages: readonly ChatMessage[], options?: ChatOptions): AsyncIterableIterator<ChatPart>;
  /** The shape of the OpenAI API. */
  readonly completions: { create: CreateCompletion };
}

/** The subset of OpenAI's request that is supported; an unknown field is an `invalid-argument` error that names it. */
export interface CompletionRequest {
  messages: readonly ChatMessage[];
  model?: string;
  stream?: boolean;
  max_tokens?: number;
  max_completion_tokens?: number;
  temperature?: number;
  top_p?: number;
  top_k?: number;
  min_p?: number;
  repetition_penalty?: number;
  seed?: number;
  stop?: string | readonly string[];
}

export interface CompletionUsage {
  prompt_tokens: number;
  completion_tokens: number;
  total_tokens: number;
}

export interface Completion {
  id: string;
  object: 'chat.completion';
  created: number;
  model: string;
  choices: [{ index: 0; message: { role: 'assistant'; content: string }; finish_reason: FinishReason }];
  usage: CompletionUsage;
}

export interface CompletionChunk {
  id: string;
  object: 'chat.completion.chunk';
  created: number;
  model: string;
  choices: [{ index: 0; delta: { role?: 'assistant'; content?: string }; finish_reason: FinishReason | null }];
  usage?: CompletionUsage;
}

export interface CreateCompletion {
  (
    request: CompletionRequest & { stream: true },
    options?: { signal?: AbortSignal },
  ): Promise<AsyncIterableIterator<CompletionChunk>>;
  (request: CompletionRequest & { stream?: false }, options?: { signal?: AbortSignal }): Promise<Completion>;
}

export type { GenerationOptions, Usage };
