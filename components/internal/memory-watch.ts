// Asks a model for its memory when there is a reason to: it became ready, it generates, it stopped; and only while the
// element can be seen. One question at a time.

import type { ReactiveController, ReactiveControllerHost } from 'lit';
import { WpError, type MemoryReport } from '../../runtime/index.ts';
import type { ModelSession } from '../model-session.ts';

const LIVE_INTERVAL_MS = 400;

export interface MemoryWatchOptions {
  session(): ModelSession | undefined;
  /** Called with each measurement, and with undefined when there is no model any more. */
  measured(report: MemoryReport | undefined): void;
  failed(error: WpError): void;
}

export class MemoryWatch implements ReactiveController {
  #isVisible = false;
  #isAsking = false;
  #isAskedAgain = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #visibility: IntersectionObserver | undefined;

  constructor(
    private readonly host: ReactiveControllerHost & HTMLElement,
    private readonly options: MemoryWatchOptions,
  ) {
    host.addController(this);
  }

  hostConnected(): void {
    document.addEventListener('visibilitychange', this.#ask);
    if (typeof IntersectionObserver === 'undefined') {
      this.#isVisible = true;
      return;
    }
    this.#visibility = new IntersectionObserver((entries) => {
      this.#isVisible = entries.at(-1)?.isIntersecting ?? false;
      if (this.#isVisible) this.#ask();
    });
    this.#visibility.observe(this.host);
  }

  hostDisconnected(): void {
    document.removeEventListener('visibilitychange', this.#ask);
    this.#visibility?.disconnect();
    this.#isVisible = false;
    clearTimeout(this.#timer);
  }

  /** To be called when the session was exchanged or its status changed. */
  sessionChanged(): void {
    if (!this.options.session()?.model) this.options.measured(undefined);
    this.#ask();
  }

  readonly #ask = (): void => {
    clearTimeout(this.#timer);
    const model = this.options.session()?.model;
    if (!model || !this.#isVisible || document.hidden) return;
    if (this.#isAsking) {
      this.#isAskedAgain = true;
      return;
    }
    this.#isAsking = true;
    const isCurrent = () => this.options.session()?.model === model;
    model
      .memory()
      .then(
        (report) => isCurrent() && this.options.measured(report),
        (error: unknown) => isCurrent() && this.options.failed(WpError.from(error)),
      )
      .finally(() => {
        this.#isAsking = false;
        const isLive = this.options.session()?.status === 'generating';
        if (this.#isAskedAgain) this.#ask();
        else if (isLive) this.#timer = setTimeout(this.#ask, LIVE_INTERVAL_MS);
        this.#isAskedAgain = false;
      });
  };
}
