// A download that goes through the store: what is there is read and verified, what is missing is fetched in whole blocks
// and kept as it arrives, so that a cancel or a broken connection loses at most a block of each request.

import { isAbortError, throwIfAborted } from '../errors.ts';
import type { ByteSink, RemoteFile } from './remote-file.ts';
import type { StoredFile } from './store.ts';

/** Blocks of one fetch: what is held beside the result is bounded by `runBlocks × parallelRuns` blocks. */
const runBlocks = 16;
const parallelRuns = 2;

export interface StoredDownloadEvents {
  downloaded(bytes: number): void;
  cached(bytes: number): void;
}

export class StoredDownload {
  /** Blocks on their way, so that two readers of one block fetch it once. */
  private readonly arriving = new Map<number, Promise<Uint8Array>>();
  private readonly counted: Uint8Array;

  constructor(
    private readonly remote: RemoteFile,
    private readonly stored: StoredFile,
    private readonly events: StoredDownloadEvents,
  ) {
    this.counted = new Uint8Array(Math.ceil(remote.size / stored.blockBytes));
  }

  async fetch(start: number, end: number, signal: AbortSignal | undefined): Promise<Uint8Array> {
    const result = new Uint8Array(end - start);
    const { blockBytes } = this.stored;
    const put: ByteSink = (position, bytes) => {
      const from = Math.max(0, start - position);
      const fitting = bytes.subarray(from, Math.max(from, end - position));
      if (fitting.length > 0) result.set(fitting, position + from - start);
    };
    const lastBlock = Math.floor((end - 1) / blockBytes);
    let runs: Promise<void>[] = [];
    let block = Math.floor(start / blockBytes);
    while (block <= lastBlock) {
      throwIfAborted(signal);
      if (await this.takeArriving(block, put)) {
        block += 1;
        continue;
      }
      if (this.stored.has(block)) {
        const bytes = await this.stored.read(block);
        if (bytes) {
          this.count(block, bytes.length, 'cached');
          put(block * blockBytes, bytes);
          block += 1;
          continue;
        }
      }
      let runEnd = block + 1;
      while (
        runEnd <= lastBlock &&
        runEnd - block < runBlocks &&
        !this.stored.has(runEnd) &&
        !this.arriving.has(runEnd)
      )
        runEnd += 1;
      const run = this.stored.isWritable
        ? this.fetchBlocks(block, runEnd, signal, put)
        : this.fetchBytes(Math.max(start, block * blockBytes), Math.min(end, runEnd * blockBytes), signal, put);
      run.catch(() => undefined); // awaited below; a rejection in the meantime is not unhandled
      runs.push(run);
      if (runs.length >= parallelRuns) {
        await runs[0];
        runs = runs.slice(1);
      }
      block = runEnd;
    }
    await Promise.all(runs);
    return result;
  }

  async close(): Promise<void> {
    this.remote.close();
    await Promise.allSettled(this.arriving.values());
    await this.stored.close();
  }

  /** True when another reader was fetching the block and it came. */
  private async takeArriving(block: number, put: ByteSink): Promise<boolean> {
    const arriving = this.arriving.get(block);
    if (!arriving) return false;
    try {
      put(block * this.stored.blockBytes, await arriving);
      return true;
    } catch (thrown) {
      // The other reader was cancelled: this one fetches for itself. Any other failure would meet us, too.
      if (isAbortError(thrown)) return false;
      throw thrown;
    }
  }

  private async fetchBytes(start: number, end: number, signal: AbortSignal | undefined, put: ByteSink): Promise<void> {
    await this.remote.fetch(start, end, signal, (position, bytes) => {
      this.events.downloaded(bytes.length);
      put(position, bytes);
    });
  }

  /** Fetches blocks [first, last) whole, keeps each as soon as it is complete, and hands them to those who wait for them. */
  private async fetchBlocks(
    first: number,
    last: number,
    signal: AbortSignal | undefined,
    put: ByteSink,
  ): Promise<void> {
    const { blockBytes } = this.stored;
    const start = first * blockBytes;
    const end = Math.min(this.remote.size, last * blockBytes);
    const missing = new Map<number, number>();
    const held = new Map<number, Uint8Array>();
    const writes: Promise<void>[] = [];
    const settle = new Map<number, { resolve: (bytes: Uint8Array) => void; reject: (reason: unknown) => void }>();
    for (let block = first; block < last; block++) {
      const length = Math.min(end, (block + 1) * blockBytes) - block * blockBytes;
      missing.set(block, length);
      const promise = new Promise<Uint8Array>((resolve, reject) => settle.set(block, { resolve, reject }));
      promise.catch(() => undefined); // there may be no one waiting
      this.arriving.set(block, promise);
    }
    const finish = (block: number, bytes: Uint8Array): void => {
      this.counted[block] = 1;
      put(block * blockBytes, bytes);
      writes.push(
        this.stored.write(block, bytes).finally(() => {
          settle.get(block)!.resolve(bytes);
          this.arriving.delete(block);
        }),
      );
    };
    try {
      await this.remote.fetch(start, end, signal, (position, bytes) => {
        let offset = 0;
        while (offset < bytes.length) {
          const block = Math.floor((position + offset) / blockBytes);
          const within = position + offset - block * blockBytes;
          const piece = bytes.subarray(offset, Math.min(bytes.length, offset + blockBytes - within));
          let buffer = held.get(block);
          if (!buffer) held.set(block, (buffer = new Uint8Array(Math.min(blockBytes, end - block * blockBytes))));
          buffer.set(piece, within);
          if (this.counted[block] === 0) this.events.downloaded(piece.length);
          const left = missing.get(block)! - piece.length;
          missing.set(block, left);
          if (left === 0) {
            held.delete(block);
            finish(block, buffer);
          }
          offset += piece.length;
        }
      });
      await Promise.all(writes);
    } catch (thrown) {
      await Promise.allSettled(writes);
      for (let block = first; block < last; block++) {
        if (!missing.get(block)) continue;
        this.arriving.delete(block);
        settle.get(block)!.reject(thrown);
      }
      throw thrown;
    }
  }

  private count(block: number, bytes: number, kind: 'cached' | 'downloaded'): void {
    if (this.counted[block]) return;
    this.counted[block] = 1;
    this.events[kind](bytes);
  }
}
