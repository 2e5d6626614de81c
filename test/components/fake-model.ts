// A Model that answers from a script, for tests and stories of the elements: deterministic, and steered by hand. It
// keeps the promises of runtime/model.ts: one answer at a time, abort within a step, disposed means disposed.

import { WpError } from '../../runtime/index.ts';
import type {
  ChatMessage,
  ChatOptions,
  ChatPart,
  Classification,
  Completion,
  Embeddings,
  EmbedOptions,
  EncoderInfo,
  LoadOptions,
  LoadProgress,
  MemoryReport,
  Model,
  ModelInfo,
  ModelSource,
} from '../../runtime/index.ts';
import { replaceModelLoader } from '../../components/model-loader.ts';

export interface FakeModelOptions {
  /** The pieces of the answer to a conversation. */
  answer?: (messages: readonly ChatMessage[]) => readonly string[];
  /** Awaited before each piece: tests hold the stream here. */
  beforePiece?: (index: number) => Promise<void> | void;
  /** Thrown after so many pieces. */
  failure?: { afterPieces: number; error: Error };
  notice?: string;
  source?: string;
  /** Of a model that reads images: what it says of each. */
  classes?: readonly Classification[];
  encoder?: EncoderInfo;
}

const MB = 1_000_000;

export function fakeInfo(options: FakeModelOptions = {}): ModelInfo {
  const memory = { weights: 12.2 * MB, keyValueCache: 6.3 * MB, activations: 1.9 * MB, total: 20.4 * MB };
  return {
    source: options.source ?? 'wp:fake',
    modelType: 'llama',
    parameters: 20_700_000,
    vocabularySize: 12_000,
    layers: 8,
    maxContextLength: 1024,
    hasChatTemplate: true,
    plan: {
      backend: 'wasm',
      backendDescription: 'WebAssembly, SIMD, 1 thread',
      precision: '4bit',
      bitsPerWeight: 4.5,
      contextLength: 1024,
      threads: 1,
      memory,
      downloadBytes: 12.2 * MB,
      reasons: [{ topic: 'backend', reason: 'This is a fake: it runs nowhere.' }],
    },
    encoder: options.encoder,
    notice: options.notice ?? '',
    defaults: { maxTokens: 512, temperature: 0.7, topK: 0, topP: 1, minP: 0, repetitionPenalty: 1 },
  };
}

export class FakeModel implements Model {
  readonly info: ModelInfo;
  disposed = false;
  /** Every call of `chat`, in order. */
  readonly calls: { messages: readonly ChatMessage[]; options: ChatOptions }[] = [];
  /** What `classify`, `zeroShot` and `similarity` were given, in order. */
  readonly seen: (readonly unknown[])[] = [];
  /** Every call of `embed`, in order. */
  readonly embedded: (readonly string[])[] = [];
  memoryCalls = 0;
  contextUsed = 0;
  #isBusy = false;

  constructor(readonly options: FakeModelOptions = {}) {
    this.info = fakeInfo(options);
  }

  readonly chat = Object.assign(
    (messages: readonly ChatMessage[], options: ChatOptions = {}) => this.#answer(messages, options),
    {
      completions: {
        create: async (request: { messages: readonly ChatMessage[] }): Promise<Completion> => {
          let content = '';
          for await (const part of this.#answer(request.messages, {})) content += part.text;
          return {
            id: 'fake',
            object: 'chat.completion',
            created: 0,
            model: 'fake',
            choices: [{ index: 0, message: { role: 'assistant', content }, finish_reason: 'stop' }],
            usage: { prompt_tokens: 10, completion_tokens: 1, total_tokens: 11 },
          };
        },
      },
    },
  ) as unknown as Model['chat'];

  async *#answer(messages: readonly ChatMessage[], options: ChatOptions): AsyncGenerator<ChatPart, void, undefined> {
    if (this.disposed) throw new WpError('disposed', 'The model has been disposed.', 'Load it again.');
    if (this.#isBusy) throw new WpError('busy', 'The model is answering.', 'Wait for it.');
    this.#isBusy = true;
    this.calls.push({ messages, options });
    const { signal } = options;
    const { beforePiece, failure } = this.options;
    try {
      const pieces = (this.options.answer ?? defaultAnswer)(messages);
      let given = 0;
      for (const text of pieces) {
        if (failure && given >= failure.afterPieces) throw failure.error;
        await Promise.race([Promise.resolve(beforePiece?.(given)), abortOf(signal)]);
        given++;
        this.contextUsed++;
        yield { done: false, text };
      }
      if (failure) throw failure.error;
      yield {
        done: true,
        text: '',
        finishReason: 'stop',
        usage: { promptTokens: 10, completionTokens: given, totalTokens: 10 + given, cachedPromptTokens: 0 },
        timing: { timeToFirstTokenMs: 120, promptTokensPerSecond: 400, tokensPerSecond: 31, totalMs: 1000 },
      };
    } finally {
      this.#isBusy = false;
    }
  }

  complete(text: string, options: ChatOptions = {}): AsyncIterableIterator<ChatPart> {
    return this.#answer([{ role: 'user', content: text }], options);
  }

  tokenize(text: string): Promise<number[]> {
    return Promise.resolve([...text].map((character) => character.codePointAt(0)!));
  }

  logits(): Promise<Float32Array> {
    return Promise.reject(new WpError('internal', 'The fake has no logits.'));
  }

  /** Vectors of letters' counts: texts of the same words lie near one another. */
  async embed(items: Parameters<Model['embed']>[0], { signal }: EmbedOptions = {}): Promise<Embeddings> {
    await this.options.beforePiece?.(0);
    signal?.throwIfAborted();
    if (this.options.failure) throw this.options.failure.error;
    const list = (Array.isArray(items) ? items : [items]).map(String);
    this.embedded.push(list);
    const data = new Float32Array(list.length * 26);
    list.forEach((text, i) => {
      const row = data.subarray(i * 26, (i + 1) * 26);
      for (const letter of text.toLowerCase()) if (letter >= 'a' && letter <= 'z') row[letter.charCodeAt(0) - 97]! += 1;
      const length = Math.hypot(...row) || 1;
      row.forEach((count, j) => (row[j] = count / length));
    });
    const vectors = list.map((_, i) => data.subarray(i * 26, (i + 1) * 26));
    return { data, dimensions: 26, vectors, tokens: list.length, truncated: [] };
  }

  /** What `options.classes` says of every image, if it says something. */
  async classify(items: unknown): Promise<Classification[][]> {
    return this.#scores(items, this.options.classes ?? []);
  }

  /** Labels by their order: the first fits best. */
  async zeroShot(images: unknown, labels: readonly string[]): Promise<Classification[][]> {
    return this.#scores(images, rankedLabels(labels));
  }

  async similarity(a: unknown, b: unknown): Promise<number> {
    await this.#scores([a, b], []);
    return 0.73;
  }

  async #scores(images: unknown, scores: readonly Classification[]): Promise<Classification[][]> {
    await this.options.beforePiece?.(0);
    if (this.options.failure) throw this.options.failure.error;
    const list: readonly unknown[] = Array.isArray(images) ? images : [images];
    this.seen.push(list);
    return list.map(() => [...scores]);
  }

  rerank(): Promise<never> {
    return Promise.reject(new WpError('internal', 'The fake ranks nothing.'));
  }

  run = (): Promise<never> => Promise.reject(new WpError('internal', 'The fake takes no tensors.'));
  readTensor = this.run;

  releaseTensor(): Promise<void> {
    return Promise.resolve();
  }

  memory(): Promise<MemoryReport> {
    this.memoryCalls++;
    if (this.disposed) return Promise.reject(new WpError('disposed', 'The model has been disposed.'));
    const planned = this.info.plan.memory;
    const keyValueCache = 1 * MB + this.contextUsed * 6000;
    return Promise.resolve({
      planned,
      actual: {
        weights: planned.weights,
        keyValueCache,
        activations: planned.activations,
        other: 0.4 * MB,
        total: planned.weights + keyValueCache + planned.activations + 0.4 * MB,
      },
      contextUsed: this.contextUsed,
      contextLength: 1024,
    });
  }

  benchmark(): Promise<never> {
    return Promise.reject(new WpError('internal', 'The fake has no benchmark.'));
  }

  tune(): Promise<never> {
    return Promise.reject(new WpError('internal', 'The fake has no kernels.'));
  }

  dispose(): Promise<void> {
    this.disposed = true;
    return Promise.resolve();
  }
}

function rankedLabels(labels: readonly string[]): Classification[] {
  const sum = labels.reduce((total, _, i) => total + 2 ** -i, 0);
  return labels.map((label, i) => ({ label, score: 2 ** -i / sum }));
}

function defaultAnswer(messages: readonly ChatMessage[]): string[] {
  return ['You said: ', messages.at(-1)?.content ?? ''];
}

function abortOf(signal: AbortSignal | undefined): Promise<never> {
  return new Promise((_, reject) => {
    const fail = () => reject(new DOMException('The operation was aborted.', 'AbortError'));
    if (signal?.aborted) fail();
    else signal?.addEventListener('abort', fail, { once: true });
  });
}

/** One load that the elements asked for: the test decides how it goes. */
export interface FakeLoad {
  source: ModelSource;
  options: LoadOptions;
  progress(progress: Partial<LoadProgress>): void;
  succeed(model?: FakeModel): FakeModel;
  fail(error: Error): void;
}

/** Puts a loader under the elements whose loads wait for the test. `restore` goes into `afterEach`. */
export function installFakeLoader(): { loads: FakeLoad[]; restore: () => void } {
  const loads: FakeLoad[] = [];
  const restore = replaceModelLoader(
    (source, options = {}) =>
      new Promise<Model>((resolve, reject) => {
        options.signal?.addEventListener('abort', () =>
          reject(new DOMException('The operation was aborted.', 'AbortError')),
        );
        loads.push({
          source,
          options,
          progress: (progress) =>
            options.onProgress?.({
              phase: 'downloading',
              loadedBytes: 0,
              totalBytes: undefined,
              bytesPerSecond: undefined,
              secondsLeft: undefined,
              file: 'model.gguf',
              cachedBytes: 0,
              ...progress,
            }),
          succeed: (model = new FakeModel()) => {
            resolve(model);
            return model;
          },
          fail: reject,
        });
      }),
  );
  return { loads, restore };
}

/** Puts a loader under the elements that gives these models at once, the last one for ever. */
export function installReadyLoader(...models: FakeModel[]): () => void {
  let next = 0;
  return replaceModelLoader(() => Promise.resolve(models[Math.min(next++, models.length - 1)] ?? new FakeModel()));
}
