// Fetches from a server that honours Range: in chunks, several at once, each resumed where its connection broke.

import { WpError } from '../errors.ts';
import { linkedController } from './abortable.ts';
import type { HttpConnection } from './http-connection.ts';
import { TransientFailure, notAModel, parseContentRange, refuseBadStatus, validatorOf } from './http-response.ts';
import type { ByteSink, Probed, RemoteFile } from './remote-file.ts';

export class RangeDownload implements RemoteFile {
  readonly name: string;
  readonly url: string;
  readonly size: number;
  readonly validator: string;
  private readonly first: Uint8Array;
  private readonly running = new Set<AbortController>();

  constructor(
    private readonly connection: HttpConnection,
    probed: Probed,
  ) {
    this.name = probed.name;
    this.url = probed.url;
    this.size = probed.size;
    this.validator = probed.validator;
    this.first = probed.first;
  }

  async fetch(start: number, end: number, signal: AbortSignal | undefined, sink?: ByteSink): Promise<Uint8Array> {
    const target = new Uint8Array(end - start);
    let position = start;
    if (position < this.first.length) {
      const known = this.first.subarray(position, Math.min(end, this.first.length));
      target.set(known);
      sink?.(position, target.subarray(0, known.length));
      position += known.length;
    }
    const { controller, release } = linkedController(signal);
    this.running.add(controller);
    const chunks: Promise<void>[] = [];
    try {
      for (; position < end; position += this.connection.chunkBytes) {
        const chunkEnd = Math.min(end, position + this.connection.chunkBytes);
        chunks.push(
          this.fetchChunk(
            position,
            chunkEnd,
            target.subarray(position - start, chunkEnd - start),
            controller.signal,
            sink,
          ),
        );
      }
      await Promise.all(chunks);
    } catch (thrown) {
      controller.abort(); // one chunk failed for good: the others are of no use
      await Promise.allSettled(chunks);
      throw thrown;
    } finally {
      release();
      this.running.delete(controller);
    }
    return target;
  }

  close(): void {
    for (const controller of this.running) controller.abort();
  }

  private async fetchChunk(
    start: number,
    end: number,
    target: Uint8Array,
    signal: AbortSignal,
    sink: ByteSink | undefined,
  ): Promise<void> {
    let done = 0;
    await this.connection.persist(this, signal, async (progressed) => {
      const opened = await this.connection.request(this.url, { range: [start + done, end] }, signal);
      try {
        this.check(opened.response, start + done);
        while (done < target.length) {
          const piece = await opened.next();
          if (!piece) throw new TransientFailure(`the connection ended ${target.length - done} bytes early`);
          const fitting = piece.subarray(0, target.length - done);
          target.set(fitting, done);
          sink?.(start + done, target.subarray(done, done + fitting.length));
          done += fitting.length;
          if (fitting.length > 0) progressed();
        }
      } finally {
        opened.close();
      }
    });
  }

  private check(response: Response, start: number): void {
    if (response.status === 404 || response.status === 416) throw this.changed('is gone or shorter');
    refuseBadStatus(response, this.name, this.url);
    const contentType = response.headers.get('content-type');
    if (contentType?.startsWith('text/html')) throw notAModel(this.name, this.url, 'a web page');
    if (response.status === 200) throw new TransientFailure('the server ignored the range this time');
    const range = parseContentRange(response.headers.get('content-range'));
    if (range && range.start !== start) {
      throw new TransientFailure(`the server sent bytes from ${range.start} instead of ${start}`);
    }
    if (range?.size !== undefined && range.size !== this.size)
      throw this.changed(`has ${range.size} bytes instead of ${this.size}`);
    const validator = validatorOf(response);
    if (validator !== '' && this.validator !== '' && validator !== this.validator)
      throw this.changed('has another ETag');
  }

  private changed(how: string): WpError {
    return new WpError(
      'network',
      `${this.name} changed on the server while it was downloaded: it now ${how}.`,
      'Load the model again.',
      { url: this.url, file: this.name, size: this.size, etag: this.validator },
    );
  }
}
