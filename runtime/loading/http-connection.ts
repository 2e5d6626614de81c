// Requests to one server with what all of them share: headers, a bound on how many run at once, retries with backoff, and a
// watchdog for connections that fall silent.

import { isAbortError, throwIfAborted } from '../errors.ts';
import { linkedController, sleep, untilAborted } from './abortable.ts';
import { TransientFailure, asTransient, givenUp } from './http-response.ts';

export interface HttpOptions {
  headers?: Record<string, string> | undefined;
  /** For hosts with their own fetch, and for tests. */
  fetch?: typeof fetch | undefined;
  /** 'no-store' when files are kept by a store of ours: the HTTP cache would keep them a second time. */
  cache?: RequestCache | undefined;
  /** Requests at once; default 6, what HTTP/1.1 browsers allow a host. */
  maximumRequests?: number | undefined;
  /** Bytes of one range request; default 4 MiB. */
  chunkBytes?: number | undefined;
  /** Failures in a row, without a byte between them, after which a file is given up; default 5. */
  attempts?: number | undefined;
  /** The first pause; each further one is twice as long, up to 30 times this. Default 300. */
  retryDelayMs?: number | undefined;
  /** A connection that brings no byte for so long is dropped and tried again; default 30,000. */
  stallTimeoutMs?: number | undefined;
}

/** A running answer. `next` resolves to undefined at the end of the body; `close` may be called at any time. */
export interface OpenResponse {
  response: Response;
  next(): Promise<Uint8Array | undefined>;
  close(): void;
}

export class HttpConnection {
  readonly chunkBytes: number;
  private readonly attempts: number;
  private readonly retryDelayMs: number;
  private readonly stallTimeoutMs: number;
  private readonly fetchFunction: typeof fetch;
  private free: number;
  private readonly waiting: (() => void)[] = [];

  constructor(private readonly options: HttpOptions = {}) {
    this.chunkBytes = options.chunkBytes ?? 4 * 2 ** 20;
    this.attempts = options.attempts ?? 5;
    this.retryDelayMs = options.retryDelayMs ?? 300;
    this.stallTimeoutMs = options.stallTimeoutMs ?? 30_000;
    this.free = options.maximumRequests ?? 6;
    this.fetchFunction = options.fetch ?? ((input, init) => fetch(input, init));
  }

  /** Sends a request and resolves when its headers are there. Rejects with a TransientFailure when no answer comes. */
  async request(
    url: string,
    request: { method?: 'GET' | 'HEAD'; range?: readonly [start: number, end: number] },
    signal: AbortSignal | undefined,
  ): Promise<OpenResponse> {
    throwIfAborted(signal);
    const { controller, release } = linkedController(signal);
    const headers = new Headers(this.options.headers);
    if (request.range) headers.set('Range', `bytes=${request.range[0]}-${request.range[1] - 1}`);
    const watched = async <T>(promise: Promise<T>): Promise<T> => {
      let stalled = false;
      const timer = setTimeout(() => {
        stalled = true;
        controller.abort();
      }, this.stallTimeoutMs);
      try {
        // A fetch of the host's own need not listen to the signal.
        return await untilAborted(promise, controller.signal);
      } catch (thrown) {
        throwIfAborted(signal);
        if (stalled) throw new TransientFailure(`no byte came for ${this.stallTimeoutMs / 1000} s`);
        throw asTransient(thrown);
      } finally {
        clearTimeout(timer);
      }
    };
    try {
      const response = await watched(
        this.fetchFunction(url, {
          method: request.method ?? 'GET',
          headers,
          signal: controller.signal,
          cache: this.options.cache ?? 'default',
        }),
      );
      const reader = response.body?.getReader();
      return {
        response,
        next: async () => (reader ? (await watched(reader.read())).value : undefined),
        close: () => {
          release();
          // Cancels the transfer; the reader's rejection has no one left to hear it.
          reader?.cancel().catch(() => undefined);
          controller.abort();
        },
      };
    } catch (thrown) {
      release();
      throw thrown;
    }
  }

  /**
   * Calls `attempt` until it resolves. It returns after a TransientFailure, with a growing pause, unless `attempts` failures
   * came in a row without progress: `attempt` calls `progressed` whenever bytes arrived, and goes on from where it stood.
   */
  async persist<T>(
    file: { name: string; url: string },
    signal: AbortSignal | undefined,
    attempt: (progressed: () => void) => Promise<T>,
  ): Promise<T> {
    let failures = 0;
    for (;;) {
      await this.acquire(signal);
      let failure: TransientFailure;
      try {
        return await attempt(() => (failures = 0));
      } catch (thrown) {
        throwIfAborted(signal);
        if (!(thrown instanceof TransientFailure) || isAbortError(thrown)) throw thrown;
        failure = thrown;
      } finally {
        this.releaseSlot();
      }
      failures += 1;
      if (failures >= this.attempts) throw givenUp(failure, file.name, file.url, failures);
      const growing = Math.min(2 ** (failures - 1), 30) * this.retryDelayMs;
      // Jitter, so that parallel requests that failed together do not come back together.
      await sleep(failure.retryAfterMs ?? growing * (0.75 + Math.random() / 2), signal);
    }
  }

  private async acquire(signal: AbortSignal | undefined): Promise<void> {
    throwIfAborted(signal);
    if (this.free > 0) {
      this.free -= 1;
      return;
    }
    await new Promise<void>((resolve, reject) => {
      const proceed = (): void => {
        signal?.removeEventListener('abort', leave);
        resolve();
      };
      const leave = (): void => {
        this.waiting.splice(this.waiting.indexOf(proceed), 1);
        reject(
          signal?.reason instanceof Error
            ? signal.reason
            : new DOMException('The operation was aborted.', 'AbortError'),
        );
      };
      this.waiting.push(proceed);
      signal?.addEventListener('abort', leave, { once: true });
    });
  }

  private releaseSlot(): void {
    const next = this.waiting.shift();
    if (next) next();
    else this.free += 1;
  }
}
