// A model that tells when it generates. Elements hand out this one, so that `wpModel.model.chat(…)` called by the page
// shows in the element's state exactly like an answer of <wp-chat>. A model answers one conversation at a time: further
// calls wait for their turn here, in order, instead of failing as busy; an aborted wait leaves the queue.

import type {
  ChatMessage,
  ChatOptions,
  ChatPart,
  CompletionRequest,
  CreateCompletion,
  Model,
} from '../runtime/index.ts';

export interface GenerationObserver {
  /** Aborts whatever generates or waits, beside the caller's own signal. */
  cancelSignal(): AbortSignal;
  started(): void;
  /** `error` is what the generation threw, an AbortError included; undefined when it ended or was left. */
  finished(error: unknown): void;
}

export function observeModel(model: Model, observer: GenerationObserver): Model {
  let lastTurn: Promise<void> = Promise.resolve();

  async function enter(signal: AbortSignal): Promise<() => void> {
    const previous = lastTurn;
    let leave!: () => void;
    lastTurn = new Promise((resolve) => (leave = resolve));
    try {
      await Promise.race([previous, rejectOnAbort(signal)]);
    } catch (error) {
      void previous.then(leave); // whoever queued behind this call still waits for the one before it
      throw error;
    }
    observer.started();
    return leave;
  }

  async function* stream<T>(
    start: (options: { signal: AbortSignal }) => AsyncIterable<T> | Promise<AsyncIterable<T>>,
    callerSignal?: AbortSignal,
  ): AsyncGenerator<T, void, undefined> {
    const signals = [observer.cancelSignal(), ...(callerSignal ? [callerSignal] : [])];
    const signal = AbortSignal.any(signals);
    const leave = await enter(signal);
    let failure: unknown;
    try {
      yield* await start({ signal });
    } catch (error) {
      failure = error;
      throw error;
    } finally {
      leave();
      observer.finished(failure);
    }
  }

  const create = (async (request: CompletionRequest, caller?: { signal?: AbortSignal }) => {
    const { completions } = model.chat;
    if (request.stream) {
      const streamed = { ...request, stream: true } as const;
      return stream((options) => completions.create(streamed, options), caller?.signal);
    }
    const whole = { ...request, stream: false } as const;
    const answers = stream(async function* (options) {
      yield await completions.create(whole, options);
    }, caller?.signal);
    const { value } = await answers.next();
    await answers.return(undefined);
    return value;
  }) as CreateCompletion;

  const chat = Object.assign(
    (messages: readonly ChatMessage[], options?: ChatOptions): AsyncIterableIterator<ChatPart> =>
      stream((signalled) => model.chat(messages, { ...options, ...signalled }), options?.signal),
    { completions: { create } },
  );

  return {
    get info() {
      return model.info;
    },
    get disposed() {
      return model.disposed;
    },
    chat,
    complete: (text, options) =>
      stream((signalled) => model.complete(text, { ...options, ...signalled }), options?.signal),
    tokenize: (text) => model.tokenize(text),
    logits: (tokens) => model.logits(tokens),
    embed: (texts, options) => model.embed(texts, options),
    classify: (texts, options) => model.classify(texts, options),
    zeroShot: (images, labels, options) => model.zeroShot(images, labels, options),
    similarity: (a, b, options) => model.similarity(a, b, options),
    rerank: (query, documents, options) => model.rerank(query, documents, options),
    run: model.run.bind(model),
    readTensor: (tensor) => model.readTensor(tensor),
    releaseTensor: (tensor) => model.releaseTensor(tensor),
    memory: () => model.memory(),
    benchmark: (sizes) => model.benchmark(sizes),
    tune: (options) => model.tune(options),
    dispose: () => model.dispose(),
  };
}

function rejectOnAbort(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const fail = () => reject(new DOMException('The operation was aborted.', 'AbortError'));
    if (signal.aborted) fail();
    else signal.addEventListener('abort', fail, { once: true });
  });
}
