// Fetches from a server that ignores Range: one answer that is read from front to back. Readers that go forward cost one
// download in all; going back starts it again. Only what a reader asked for is held.

import { WpError } from '../errors.ts';
import { untilAborted } from './abortable.ts';
import type { HttpConnection, OpenResponse } from './http-connection.ts';
import { TransientFailure, refuseBadStatus, validatorOf } from './http-response.ts';
import type { ByteSink, Probed, RemoteFile } from './remote-file.ts';

export class StreamDownload implements RemoteFile {
  readonly name: string;
  readonly url: string;
  readonly size: number;
  readonly validator: string;
  private readonly first: Uint8Array;
  private stream: { opened: OpenResponse; position: number; rest: Uint8Array } | undefined;
  private queue: Promise<unknown> = Promise.resolve();
  private readonly closed = new AbortController();

  /** `opened` is the probe's answer, of which `probed.first` has been read. */
  constructor(
    private readonly connection: HttpConnection,
    probed: Probed,
    opened: OpenResponse | undefined,
  ) {
    this.name = probed.name;
    this.url = probed.url;
    this.size = probed.size;
    this.validator = probed.validator;
    this.first = probed.first;
    if (opened) this.stream = { opened, position: probed.first.length, rest: new Uint8Array(0) };
  }

  fetch(start: number, end: number, signal: AbortSignal | undefined, sink?: ByteSink): Promise<Uint8Array> {
    // One stream, so readers take turns, in the order in which they came.
    const turn = this.queue.then(() => this.read(start, end, signal, sink));
    this.queue = turn.catch(() => undefined); // the reader hears of it; the next one in the queue shall not
    return untilAborted(turn, signal);
  }

  close(): void {
    this.closed.abort();
    this.stream?.opened.close();
    this.stream = undefined;
  }

  private async read(
    start: number,
    end: number,
    signal: AbortSignal | undefined,
    sink: ByteSink | undefined,
  ): Promise<Uint8Array> {
    const target = new Uint8Array(end - start);
    let done = 0;
    const take = (position: number, bytes: Uint8Array): void => {
      const from = Math.max(0, start + done - position);
      const fitting = bytes.subarray(from, Math.max(from, end - position));
      if (fitting.length === 0) return;
      target.set(fitting, done);
      sink?.(start + done, target.subarray(done, done + fitting.length));
      done += fitting.length;
    };
    if (start < this.first.length) take(0, this.first);
    if (done === target.length) return target;

    await this.connection.persist(this, signal, async (progressed) => {
      signal?.throwIfAborted();
      const stream = await this.streamAt(start + done);
      try {
        while (done < target.length) {
          let piece: Uint8Array | undefined = stream.rest;
          if (piece.length === 0) piece = await untilAborted(stream.opened.next(), signal);
          if (!piece) {
            throw new TransientFailure(`the connection ended after ${stream.position} of ${this.size} bytes`);
          }
          const used = Math.min(piece.length, end - stream.position);
          take(stream.position, piece.subarray(0, used));
          stream.rest = piece.subarray(used);
          stream.position += used;
          if (used > 0) progressed();
        }
      } catch (thrown) {
        this.stream = undefined;
        stream.opened.close();
        throw thrown;
      }
    });
    return target;
  }

  /** The running stream if it has not passed `position`, else a new one from the start. */
  private async streamAt(position: number): Promise<{ opened: OpenResponse; position: number; rest: Uint8Array }> {
    if (this.stream && this.stream.position <= position) return this.stream;
    this.stream?.opened.close();
    this.stream = undefined;
    const opened = await this.connection.request(this.url, {}, this.closed.signal);
    try {
      refuseBadStatus(opened.response, this.name, this.url);
      const validator = validatorOf(opened.response);
      if (validator !== '' && this.validator !== '' && validator !== this.validator) {
        throw new WpError(
          'network',
          `${this.name} changed on the server while it was downloaded.`,
          'Load the model again.',
          { url: this.url, file: this.name },
        );
      }
    } catch (thrown) {
      opened.close();
      throw thrown;
    }
    this.stream = { opened, position: 0, rest: new Uint8Array(0) };
    return this.stream;
  }
}

/** A small file that came whole with the probe. */
export class WholeDownload implements RemoteFile {
  readonly name: string;
  readonly url: string;
  readonly size: number;
  readonly validator: string;

  constructor(private readonly probed: Probed) {
    this.name = probed.name;
    this.url = probed.url;
    this.size = probed.first.length;
    this.validator = probed.validator;
  }

  fetch(start: number, end: number, _signal: AbortSignal | undefined, sink?: ByteSink): Promise<Uint8Array> {
    const bytes = this.probed.first.slice(start, end);
    sink?.(start, bytes);
    return Promise.resolve(bytes);
  }

  close(): void {
    // Nothing is running.
  }
}
