// A model as the page holds it: every call goes to the worker (client.ts), every answer comes back on a port of its own.

import * as Comlink from 'comlink';
import { type Connection, onDeath, unwrap } from './connection.ts';
import { abortError, throwIfAborted, WpError } from './errors.ts';
import type { ChatFunction, CreateCompletion, Model } from './model.ts';
import type { GenerateEvent, GenerateRequest, ModelId, Reply } from './protocol/messages.ts';
import type {
  BenchmarkOptions,
  BenchmarkResult,
  ChatMessage,
  ChatOptions,
  ChatPart,
  MemoryReport,
  ModelInfo,
  TuningOptions,
  TuningReport,
} from './types.ts';

export class RemoteModel implements Model {
  readonly chat: ChatFunction;
  readonly #link: Connection;
  readonly #id: ModelId;
  /** While the model is held, a Node process stays alive for it only during calls; a page does not care. */
  readonly #running = new Set<AbortController>();
  #disposed = false;

  constructor(
    link: Connection,
    id: ModelId,
    readonly info: ModelInfo,
  ) {
    this.#link = link;
    this.#id = id;
    const chat = (messages: readonly ChatMessage[], options: ChatOptions = {}): AsyncIterableIterator<ChatPart> =>
      this.#generate({ messages }, options);
    // The OpenAI shape is fetched when it is used: a chat element never does.
    const create = async (...call: Parameters<CreateCompletion>): Promise<unknown> => {
      const { createCompletions } = await import('./tasks/completions.ts');
      return createCompletions(chat, info.source).create(...call);
    };
    this.chat = Object.assign(chat, { completions: { create: create as CreateCompletion } });
  }

  get disposed(): boolean {
    return this.#disposed;
  }

  complete(text: string, options: ChatOptions = {}): AsyncIterableIterator<ChatPart> {
    return this.#generate({ text }, options);
  }

  tokenize(text: string): Promise<number[]> {
    return this.#call((service) => service.tokenize(this.#id, text));
  }

  logits(tokens: readonly number[]): Promise<Float32Array> {
    return this.#call((service) => service.logits(this.#id, tokens));
  }

  // Encoders' calls come as a chunk of their own; what a model that writes says to them is the worker's.
  embed: Model['embed'] = async (...call) => (await this.#encoder()).embed(...call);
  classify: Model['classify'] = async (...call) => (await this.#encoder()).classify(...call);
  rerank: Model['rerank'] = async (...call) => (await this.#encoder()).rerank(...call);
  zeroShot: Model['zeroShot'] = async (...call) => (await this.#encoder()).zeroShot(...call);
  similarity: Model['similarity'] = async (...call) => (await this.#encoder()).similarity(...call);

  run = (async (...call: Parameters<Model['run']>) => (await this.#tensors()).run(...call)) as Model['run'];
  readTensor: Model['readTensor'] = async (tensor) => (await this.#tensors()).read(tensor);
  releaseTensor: Model['releaseTensor'] = async (tensor) => (await this.#tensors()).release(tensor);

  memory(): Promise<MemoryReport> {
    return this.#call((service) => service.memory(this.#id));
  }

  benchmark(options: BenchmarkOptions = {}): Promise<BenchmarkResult> {
    const { promptTokens = 512, decodeTokens = 128, profile = false } = options;
    return this.#call((service) => service.benchmark(this.#id, { promptTokens, decodeTokens, profile }));
  }

  async tune({ signal, ...wish }: TuningOptions = {}): Promise<TuningReport> {
    throwIfAborted(signal);
    const stop = (): void => void this.#link.service.stopTuning(this.#id);
    signal?.addEventListener('abort', stop);
    try {
      return await this.#call((service) => service.tune(this.#id, wish));
    } finally {
      signal?.removeEventListener('abort', stop);
    }
  }

  async dispose(): Promise<void> {
    if (this.#disposed) return;
    this.#disposed = true;
    for (const controller of this.#running) controller.abort();
    await unwrap(this.#link, this.#link.service.dispose(this.#id));
  }

  #call<T>(send: (service: Connection['service']) => Promise<Reply<T>>): Promise<T> {
    this.#assertUsable();
    return unwrap(this.#link, send(this.#link.service));
  }

  async #encoder() {
    this.#assertUsable();
    return new (await import('./remote-encoder.ts')).RemoteEncoder(this.#link, this.#id, this.info.encoder);
  }

  async #tensors() {
    this.#assertUsable();
    return new (await import('./remote-tensors.ts')).RemoteTensors(this.#link, this.#id);
  }

  #assertUsable(): void {
    if (!this.#disposed) return;
    throw new WpError('disposed', 'This model has been disposed.', 'Load it again with loadModel().', {
      source: this.info.source,
    });
  }

  /**
   * Parts of one answer. The generation starts at the first `next()`; leaving the loop early, by `break` or by an exception,
   * stops it in the worker.
   */
  async *#generate(prompt: GenerateRequest['prompt'], options: ChatOptions): AsyncGenerator<ChatPart, void, undefined> {
    this.#assertUsable();
    const { signal, ...generation } = options;
    throwIfAborted(signal);
    const { port1: port, port2 } = new MessageChannel();
    const inbox = new Inbox<GenerateEvent>();
    port.onmessage = ({ data }: MessageEvent<GenerateEvent>) => inbox.push(data);
    const forget = onDeath(this.#link, (error) => inbox.push({ type: 'failed', error: error.toData() }));
    const controller = new AbortController();
    const abort = (): void => port.postMessage({ type: 'abort' });
    const follow = (): void => controller.abort(signal?.reason);
    controller.signal.addEventListener('abort', abort);
    signal?.addEventListener('abort', follow);
    this.#running.add(controller);
    const release = this.#link.hold();
    let finished = false;
    try {
      const request: GenerateRequest = { model: this.#id, prompt, options: generation };
      const fail = (thrown: unknown): void => inbox.push({ type: 'failed', error: WpError.from(thrown).toData() });
      // Answers come on the port; the call itself fails only when its arguments cannot be sent.
      this.#link.service.generate(request, Comlink.transfer(port2, [port2])).catch(fail);
      while (!finished) {
        const event = await inbox.next();
        finished = event.type !== 'part' || event.part.done;
        if (event.type === 'failed') throw WpError.fromData(event.error);
        if (event.type === 'aborted') throw abortError(signal?.reason);
        yield event.part;
      }
    } finally {
      if (!finished) abort();
      signal?.removeEventListener('abort', follow);
      this.#running.delete(controller);
      // Messages already posted are delivered before the port closes.
      port.close();
      forget();
      release();
    }
  }
}

/** Messages that have arrived and not been taken, and the one who waits for the next. */
class Inbox<T> {
  readonly #waiting: T[] = [];
  #wake: ((value: T) => void) | undefined;

  push(value: T): void {
    const wake = this.#wake;
    this.#wake = undefined;
    if (wake) wake(value);
    else this.#waiting.push(value);
  }

  next(): Promise<T> {
    const value = this.#waiting.shift();
    if (value !== undefined) return Promise.resolve(value);
    return new Promise((resolve) => (this.#wake = resolve));
  }
}
