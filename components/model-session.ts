// One model's life as one state: idle → loading → ready ⇄ generating, or failed. It holds no DOM: <wp-model> and a
// <wp-chat src> each own one, and whatever shows or uses a model is given the session, by context or by `for`.

import { isAbortError, WpError } from '../runtime/index.ts';
import type { BackendName, LoadProgress, Model, ModelSource, Precision } from '../runtime/index.ts';
import { loadModelForElement } from './model-loader.ts';
import { observeModel } from './observed-model.ts';

export type ModelStatus = 'idle' | 'loading' | 'ready' | 'generating' | 'failed';

export type SessionState =
  | { status: 'idle' }
  | { status: 'loading'; progress: LoadProgress | undefined }
  | { status: 'ready' | 'generating'; model: Model }
  | { status: 'failed'; error: WpError };

export interface SessionConfig {
  src: ModelSource | undefined;
  precision: Precision;
  backend: BackendName | 'auto';
  contextLength: number | undefined;
}

/** After these a model cannot answer again: it has to be loaded anew. */
const FATAL_CODES: ReadonlySet<string> = new Set(['device-lost', 'worker-failed', 'disposed']);

/**
 * Events: `change` when the status changes, `progress` while loading, `presenters` when the number of elements that
 * show this session's progress changes. Listeners read the session; the events carry nothing.
 */
export class ModelSession extends EventTarget {
  #config: SessionConfig = { src: undefined, precision: 'auto', backend: 'auto', contextLength: undefined };
  #state: SessionState = { status: 'idle' };
  #loading: { promise: Promise<Model>; controller: AbortController } | undefined;
  #generation = new AbortController();
  #running = 0;
  #presenters = 0;
  #isUntouched = true;

  get config(): Readonly<SessionConfig> {
    return this.#config;
  }

  get state(): SessionState {
    return this.#state;
  }

  get status(): ModelStatus {
    return this.#state.status;
  }

  /** The loaded model, or undefined. */
  get model(): Model | undefined {
    return 'model' in this.#state ? this.#state.model : undefined;
  }

  /** True until something was loaded, or the load was cancelled: only then does mere use start a load. */
  get isUntouched(): boolean {
    return this.#isUntouched;
  }

  get progress(): LoadProgress | undefined {
    return this.#state.status === 'loading' ? this.#state.progress : undefined;
  }

  get error(): WpError | undefined {
    return this.#state.status === 'failed' ? this.#state.error : undefined;
  }

  /** True while some element shows this session's progress and failures. */
  get isPresented(): boolean {
    return this.#presenters > 0;
  }

  /** Says that the caller shows progress and failures, until the returned function is called. */
  present(): () => void {
    this.#presenters++;
    this.dispatchEvent(new Event('presenters'));
    let released = false;
    return () => {
      if (released) return;
      released = true;
      this.#presenters--;
      this.dispatchEvent(new Event('presenters'));
    };
  }

  /** Takes what the attributes say. When that changes the model, the old one is disposed and the answer is true. */
  configure(config: SessionConfig): boolean {
    const old = this.#config;
    const isSame =
      String(old.src ?? '') === String(config.src ?? '') &&
      (typeof config.src !== 'object' || config.src === old.src) &&
      old.precision === config.precision &&
      old.backend === config.backend &&
      old.contextLength === config.contextLength;
    if (isSame) return false;
    this.#config = config;
    this.#isUntouched = true;
    void this.dispose();
    return true;
  }

  /** Resolves to the model, loading it if need be. Rejects with a WpError, or an AbortError after `cancel()`. */
  load(): Promise<Model> {
    if (this.#loading) return this.#loading.promise;
    if (this.model) return Promise.resolve(this.model);
    this.#isUntouched = false;
    const controller = new AbortController();
    const promise = this.#load(controller.signal);
    this.#loading = { promise, controller };
    return promise;
  }

  async #load(signal: AbortSignal): Promise<Model> {
    await Promise.resolve(); // so that `#loading` is set before anything can change it again
    const isCurrent = () => this.#loading?.controller.signal === signal;
    try {
      const { src, precision, backend, contextLength } = this.#config;
      if (signal.aborted) throw new DOMException('The operation was aborted.', 'AbortError');
      if (!src || (Array.isArray(src) && src.length === 0)) {
        throw new WpError(
          'invalid-source',
          'There is no model to load: `src` is not set.',
          'Set src to "wp:fable-25m", to a Hugging Face id such as "owner/model", or to the address of a model.',
        );
      }
      this.#set({ status: 'loading', progress: undefined });
      const loaded = await loadModelForElement(src, {
        precision,
        backend,
        contextLength,
        signal,
        onProgress: (progress) => {
          if (!isCurrent() || this.#state.status !== 'loading') return;
          this.#state = { status: 'loading', progress };
          this.dispatchEvent(new Event('progress'));
        },
      });
      if (signal.aborted || !isCurrent()) {
        await loaded.dispose(); // it arrived after it was cancelled
        throw new DOMException('The operation was aborted.', 'AbortError');
      }
      const model = this.#observe(loaded);
      this.#loading = undefined;
      this.#set({ status: 'ready', model });
      return model;
    } catch (thrown) {
      const isAbort = isAbortError(thrown);
      const error = isAbort ? thrown : WpError.from(thrown);
      if (isCurrent()) {
        this.#loading = undefined;
        this.#set(isAbort ? { status: 'idle' } : { status: 'failed', error: error as WpError });
      }
      throw error;
    }
  }

  #observe(loaded: Model): Model {
    const model = observeModel(loaded, {
      cancelSignal: () => this.#generation.signal,
      started: () => {
        this.#running++;
        if (this.model === model) this.#set({ status: 'generating', model });
      },
      finished: (thrown) => {
        this.#running--;
        if (this.model !== model) return;
        if (thrown instanceof WpError && FATAL_CODES.has(thrown.code)) {
          void model.dispose();
          this.#set({ status: 'failed', error: thrown });
        } else if (this.#running === 0) {
          this.#set({ status: 'ready', model });
        }
      },
    });
    this.#running = 0;
    return model;
  }

  /** Cancels what is going on: a load, or the answers in progress. The model stays if it was loaded. */
  cancel(): void {
    if (this.#loading) {
      const { controller } = this.#loading;
      this.#loading = undefined;
      controller.abort();
      this.#set({ status: 'idle' });
      return;
    }
    this.#generation.abort();
    this.#generation = new AbortController();
  }

  /** Disposes the model and loads it again. */
  async reload(): Promise<Model> {
    await this.dispose();
    return this.load();
  }

  /** Stops everything and frees the model; the state is `idle` at once. */
  async dispose(): Promise<void> {
    const model = this.model;
    this.#generation.abort();
    this.#generation = new AbortController();
    const loading = this.#loading;
    this.#loading = undefined;
    loading?.controller.abort();
    this.#set({ status: 'idle' });
    await model?.dispose();
  }

  #set(state: SessionState): void {
    if (state.status === this.#state.status && this.model === ('model' in state ? state.model : undefined)) {
      this.#state = state;
      return;
    }
    this.#state = state;
    this.dispatchEvent(new Event('change'));
  }
}
