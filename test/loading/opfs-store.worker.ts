// The worker of opfs-store.browser.test.ts: only dedicated workers may write the private file system. It loads a file whose
// bytes are known from a server that is a function, and tells what came from where.

import { WpError } from '../../runtime/errors.ts';
import { httpFiles } from '../../runtime/loading/http-files.ts';
import type { ModelFiles } from '../../runtime/loading/model-files.ts';
import { openStore } from '../../runtime/loading/opfs-store.ts';
import { LoadProgressTracker } from '../../runtime/loading/progress.ts';
import type { FileStore, StoredEntry } from '../../runtime/loading/store.ts';
import { patternBytes } from './pattern.ts';

export const blockBytes = 4096;

export interface LoadCommand {
  folder: string;
  name: string;
  size: number;
  etag?: string;
  seed?: number;
  /** Bytes to read; default all. */
  start?: number;
  end?: number;
  maximumBytes?: number;
  /** So many reads at once, each of a part that begins where the one before ends. */
  parts?: number;
  /** The server sends so many bytes of the load, then nothing more: the load hangs (`then: 'hang'`) or is aborted. */
  stopAfterBytes?: number;
  then?: 'abort' | 'hang';
  /** The server cannot be reached. */
  offline?: boolean;
  /** Leave the files open until `release`. */
  keepOpen?: boolean;
}

export interface LoadResult {
  outcome: 'equal' | 'different' | string;
  networkBytes: number;
  cachedBytes: number;
  notes: string[];
}

export type Command =
  | ({ type: 'load' } & LoadCommand)
  | { type: 'release' }
  | { type: 'damage'; folder: string; url: string; at: number }
  | { type: 'list'; folder: string }
  | { type: 'remove'; folder: string };

let kept: ModelFiles | undefined;

async function load(command: LoadCommand): Promise<LoadResult> {
  const bytes = patternBytes(command.size, command.seed);
  const abort = new AbortController();
  let networkBytes = 0;
  const server = (_: RequestInfo | URL, init?: RequestInit): Promise<Response> => {
    if (command.offline) return Promise.reject(new TypeError('no connection'));
    const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(new Headers(init?.headers).get('range') ?? '')!;
    const start = Number(first);
    const end = Math.min(bytes.length, Number(last) + 1);
    let at = start;
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        if (command.stopAfterBytes !== undefined && networkBytes >= command.stopAfterBytes) {
          if (command.then === 'abort') abort.abort();
          else postMessage({ type: 'hanging' });
          return new Promise(() => undefined);
        }
        const piece = bytes.slice(at, Math.min(end, at + 1000));
        networkBytes += piece.length;
        at += piece.length;
        controller.enqueue(piece);
        if (at === end) controller.close();
        return undefined;
      },
    });
    const headers = { 'Content-Range': `bytes ${start}-${end - 1}/${bytes.length}`, ETag: command.etag ?? '"1"' };
    return Promise.resolve(new Response(body, { status: 206, headers }));
  };
  const store = await openStore({ folder: command.folder, blockBytes, maximumBytes: command.maximumBytes });
  const progress = new LoadProgressTracker({ report: () => undefined });
  const files = httpFiles({
    folder: 'https://example.test/model/',
    query: '?token=secret',
    description: 'test',
    weightsName: undefined,
    store,
    progress,
    // Chunks of one request keep the count of what arrives exact.
    http: { fetch: server, chunkBytes: 16 * blockBytes, maximumRequests: 1, retryDelayMs: 1, attempts: 2 },
  });
  const start = command.start ?? 0;
  const end = command.end ?? command.size;
  let outcome: string;
  try {
    const file = await files.open(command.name, abort.signal);
    const { parts = 1 } = command;
    const edges = Array.from({ length: parts + 1 }, (_, i) => start + Math.round(((end - start) * i) / parts));
    const pieces = await Promise.all(edges.slice(1).map((edge, i) => file!.readRange(edges[i]!, edge, abort.signal)));
    const read = new Uint8Array(await new Blob(pieces as BlobPart[]).arrayBuffer());
    outcome = read.length === end - start && read.every((byte, i) => byte === bytes[start + i]) ? 'equal' : 'different';
  } catch (thrown) {
    outcome = thrown instanceof WpError ? thrown.code : thrown instanceof Error ? thrown.name : String(thrown);
  }
  const notes = files.notes().map(({ reason }) => reason);
  if (command.keepOpen) kept = files;
  else await files.close();
  return { outcome, networkBytes, cachedBytes: progress.snapshot().cachedBytes, notes };
}

/** Turns over one byte of the stored data, as a failing disk would. */
async function damage(command: { folder: string; at: number }): Promise<string> {
  const folder = await (await navigator.storage.getDirectory()).getDirectoryHandle(command.folder);
  for await (const [name, handle] of (
    folder as unknown as { entries(): AsyncIterable<[string, FileSystemFileHandle]> }
  ).entries()) {
    if (!name.endsWith('.data')) continue;
    const access = await (
      handle as unknown as {
        createSyncAccessHandle(): Promise<{
          read(b: Uint8Array, o: { at: number }): number;
          write(b: Uint8Array, o: { at: number }): number;
          close(): void;
        }>;
      }
    ).createSyncAccessHandle();
    const byte = new Uint8Array(1);
    access.read(byte, { at: command.at });
    byte[0]! ^= 0xff;
    access.write(byte, { at: command.at });
    access.close();
    return name;
  }
  throw new Error('There is no stored data to damage.');
}

async function run(command: Command): Promise<unknown> {
  const storeOf = (folder: string): Promise<FileStore> => openStore({ folder, blockBytes });
  switch (command.type) {
    case 'load':
      return load(command);
    case 'release':
      await kept?.close();
      kept = undefined;
      return null;
    case 'damage':
      return damage(command);
    case 'list':
      return (await (await storeOf(command.folder)).list()) satisfies StoredEntry[];
    case 'remove':
      return (await storeOf(command.folder)).remove();
  }
}

addEventListener('message', ({ data }: MessageEvent<{ id: number; command: Command }>) => {
  run(data.command).then(
    (value) => postMessage({ type: 'reply', id: data.id, value }),
    (thrown: unknown) => postMessage({ type: 'failed', id: data.id, message: String(thrown) }),
  );
});
