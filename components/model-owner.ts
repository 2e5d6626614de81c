// A reactive controller for elements that own a model (<wp-model>, <wp-chat src>): attributes become the session's
// configuration, the session's changes become DOM events, `loading` decides when to start, and leaving the document
// disposes. A move within the document is no leaving: the element is back before the microtask runs.

import type { ReactiveController, ReactiveControllerHost } from 'lit';
import type { BackendName, Model, ModelSource, Precision } from '../runtime/index.ts';
import { emit } from './events.ts';
import { ModelSession, type ModelStatus } from './model-session.ts';

export interface OwnerHost extends ReactiveControllerHost, HTMLElement {
  src: ModelSource | undefined;
  precision: Precision;
  backend: BackendName | 'auto';
  contextLength: number | undefined;
  loading: 'eager' | 'lazy';
}

export class ModelOwner implements ReactiveController {
  readonly session = new ModelSession();
  #previous: ModelStatus = 'idle';
  #isStartDue = false;
  #hasBeenSeen = false;
  #visibility: IntersectionObserver | undefined;

  constructor(private readonly host: OwnerHost) {
    host.addController(this);
    this.session.addEventListener('change', this.#changed);
    this.session.addEventListener('progress', () => {
      if (this.session.progress) emit(this.host, 'wp-progress', this.session.progress);
      this.host.requestUpdate();
    });
    this.session.addEventListener('presenters', () => this.host.requestUpdate());
  }

  hostConnected(): void {
    this.#isStartDue = this.session.status === 'idle';
    this.host.requestUpdate();
  }

  hostDisconnected(): void {
    this.#watchVisibility(false);
    queueMicrotask(() => {
      if (this.host.isConnected) return;
      this.#hasBeenSeen = false;
      void this.session.dispose();
    });
  }

  hostUpdate(): void {
    const { src, precision, backend, contextLength } = this.host;
    if (this.session.configure({ src, precision, backend, contextLength })) this.#isStartDue = true;
  }

  hostUpdated(): void {
    this.#start();
  }

  /** Loads as soon as `loading` allows. A failure is in the session's state and in `wp-error`. */
  #start(): void {
    if (!this.#isStartDue || !this.host.isConnected || !this.host.src) return;
    const isLazy = this.host.loading === 'lazy' && typeof IntersectionObserver !== 'undefined';
    if (isLazy && !this.#hasBeenSeen) {
      this.#watchVisibility(true);
      return;
    }
    this.#watchVisibility(false);
    this.#isStartDue = false;
    this.loadQuietly();
  }

  /** Loads, for callers that read the outcome from the state. */
  loadQuietly(): void {
    this.session.load().catch(ignoreReportedFailure);
  }

  load(): Promise<Model> {
    // Attributes that were set in this same task have not reached the session yet.
    this.hostUpdate();
    this.#isStartDue = false;
    return this.session.load();
  }

  #watchVisibility(isOn: boolean): void {
    if (isOn === (this.#visibility !== undefined)) return;
    this.#visibility?.disconnect();
    this.#visibility = undefined;
    if (!isOn) return;
    this.#visibility = new IntersectionObserver((entries) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      this.#hasBeenSeen = true;
      this.#start();
    });
    this.#visibility.observe(this.host);
  }

  readonly #changed = (): void => {
    const { session, host } = this;
    const state = session.status;
    const previous = this.#previous;
    this.#previous = state;
    if (state !== 'idle') this.#isStartDue = false;
    host.requestUpdate();
    if (state !== previous) emit(host, 'wp-state', { state, previous });
    if (state === 'ready' && previous === 'loading' && session.model) emit(host, 'wp-ready', { model: session.model });
    if (session.error) emit(host, 'wp-error', { error: session.error });
  };
}

/** For `catch`: the session has put the failure into its state, where the element shows it. */
export function ignoreReportedFailure(): void {}
