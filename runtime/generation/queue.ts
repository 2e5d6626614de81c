// Several elements may share one model; its KV cache serves one generation at a time. The others wait in the order in
// which they came, and may give up while they wait.

import { abortError, throwIfAborted, WpError } from '../errors.ts';

export class GenerationQueue {
  #running = false;
  #closed = false;
  readonly #waiting: { admit(): void; refuse(error: Error): void }[] = [];

  /** Generations that wait. */
  get length(): number {
    return this.#waiting.length;
  }

  /** Resolves, with the function that ends the turn, when all who came earlier are done. Rejects with an AbortError. */
  async enter(signal?: AbortSignal): Promise<() => void> {
    throwIfAborted(signal);
    if (this.#closed) throw disposed();
    if (this.#running) await this.#wait(signal);
    this.#running = true;
    let left = false;
    return () => {
      if (left) return;
      left = true;
      const next = this.#waiting.shift();
      if (next) next.admit();
      else this.#running = false;
    };
  }

  /** Refuses all who wait, and all who come. */
  close(): void {
    this.#closed = true;
    for (const waiter of this.#waiting.splice(0)) waiter.refuse(disposed());
  }

  #wait(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const giveUp = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(waiter), 1);
        reject(abortError(signal?.reason));
      };
      const settle = (then: () => void) => (): void => {
        signal?.removeEventListener('abort', giveUp);
        then();
      };
      const waiter = { admit: settle(resolve), refuse: (error: Error) => settle(() => reject(error))() };
      this.#waiting.push(waiter);
      signal?.addEventListener('abort', giveUp, { once: true });
    });
  }
}

export function disposed(): WpError {
  return new WpError('disposed', 'The model was disposed.', 'Load the model again to use it.');
}
