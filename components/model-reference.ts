// A reactive controller for elements that use a model: it finds the session (their own, by `for`, or by context), keeps
// the element up to date with it, and lets go when the element leaves.

import { ContextEvent } from '@lit/context';
import type { ReactiveController, ReactiveControllerHost } from 'lit';
import { announceProvider, findSessionById, modelContext, onProvidersChanged } from './model-context.ts';
import type { ModelSession } from './model-session.ts';

interface ReferenceHost extends ReactiveControllerHost, HTMLElement {
  for: string;
}

export interface ReferenceOptions {
  /** The session that the element owns itself, if it does. It comes before all others. */
  own?: () => ModelSession | undefined;
  /** The element shows progress and failures, so <wp-model> need not. */
  isPresenter?: boolean;
  /** Called after the session was exchanged, and whenever its status or progress changed. */
  onChange?: () => void;
}

export class ModelReference implements ReactiveController {
  #session: ModelSession | undefined;
  #stopPresenting: (() => void) | undefined;
  #stopListening: (() => void) | undefined;
  #lastOrigin: ModelSession | string | undefined;

  constructor(
    private readonly host: ReferenceHost,
    private readonly options: ReferenceOptions = {},
  ) {
    host.addController(this);
  }

  get session(): ModelSession | undefined {
    return this.#session;
  }

  hostConnected(): void {
    this.#stopListening = onProvidersChanged(() => this.#resolve());
    this.#resolve();
  }

  hostDisconnected(): void {
    this.#stopListening?.();
    this.#use(undefined);
  }

  hostUpdate(): void {
    if (this.host.isConnected && this.#origin() !== this.#lastOrigin) this.#resolve();
  }

  /** What decides where the session comes from: an own one, an id, or '' for the context. */
  #origin(): ModelSession | string {
    return this.options.own?.() ?? this.host.for;
  }

  #resolve(): void {
    const origin = this.#origin();
    this.#lastOrigin = origin;
    if (typeof origin !== 'string') this.#use(origin);
    else this.#use(origin ? findSessionById(this.host, origin) : this.#requestContext());
  }

  #requestContext(): ModelSession | undefined {
    let found: ModelSession | undefined;
    this.host.dispatchEvent(
      new ContextEvent(modelContext, this.host, (session) => {
        found = session;
      }),
    );
    return found;
  }

  #use(session: ModelSession | undefined): void {
    if (session === this.#session) return;
    this.#session?.removeEventListener('change', this.#changed);
    this.#session?.removeEventListener('progress', this.#changed);
    this.#stopPresenting?.();
    this.#session = session;
    this.#stopPresenting = this.options.isPresenter ? session?.present() : undefined;
    session?.addEventListener('change', this.#changed);
    session?.addEventListener('progress', this.#changed);
    this.#changed();
    announceProvider(); // an element may look for the model of this one by its id
  }

  readonly #changed = (): void => {
    this.options.onChange?.();
    this.host.requestUpdate();
  };
}
