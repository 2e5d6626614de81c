// A server on 127.0.0.1 that misbehaves to order: drops connections, ignores ranges, answers with pages, stalls.

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface ServedFile {
  bytes: Uint8Array;
  etag?: string;
  /** Default true. */
  ranges?: boolean;
  /** Breaks the connection after so many bytes of a body, this many times. */
  dropAfterBytes?: number;
  drops?: number;
  contentType?: string;
  /** Answers with this status instead, so many times (default: always). */
  status?: number;
  statusTimes?: number;
  headers?: Record<string, string>;
  /** Sends no Content-Length (chunked). */
  unsized?: boolean;
  /** Sends the headers and `stallAfterBytes` bytes, then nothing, so many times. */
  stallAfterBytes?: number;
  stalls?: number;
  /** Holds answers back until so many requests wait at once. */
  gather?: number;
}

export interface Request {
  method: string;
  path: string;
  range: string | undefined;
  headers: IncomingMessage['headers'];
}

export interface ModelServer {
  url: string;
  files: Map<string, ServedFile>;
  requests: Request[];
  /** Bytes of bodies that were written. */
  sentBytes: number;
  /** Requests that run at this moment, and the most that ever did. */
  mostAtOnce: number;
  /** What paths that are not there answer with. Default: 404. */
  fallback: ServedFile | undefined;
  close(): Promise<void>;
}

export async function serveModel(files: Record<string, ServedFile | Uint8Array | string>): Promise<ModelServer> {
  const served = new Map<string, ServedFile>();
  for (const [name, file] of Object.entries(files)) {
    if (typeof file === 'string') served.set(name, { bytes: new TextEncoder().encode(file), etag: `"${name}-1"` });
    else served.set(name, file instanceof Uint8Array ? { bytes: file, etag: `"${name}-1"` } : file);
  }
  let running = 0;
  const waiting: (() => void)[] = [];
  const server = createServer((request, response) => {
    running += 1;
    model.mostAtOnce = Math.max(model.mostAtOnce, running);
    response.once('close', () => (running -= 1));
    const path = decodeURIComponent(new URL(request.url ?? '/', 'http://x').pathname.slice('/model/'.length));
    model.requests.push({ method: request.method ?? '', path, range: request.headers.range, headers: request.headers });
    const file = served.get(path) ?? model.fallback;
    waiting.push(() => answer(request, response, file, model));
    if (waiting.length >= (file?.gather ?? 1)) for (const go of waiting.splice(0)) go();
  });
  const model: ModelServer = {
    url: '',
    files: served,
    requests: [],
    sentBytes: 0,
    mostAtOnce: 0,
    fallback: undefined,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  model.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/model/`;
  return model;
}

function answer(
  request: IncomingMessage,
  response: ServerResponse,
  file: ServedFile | undefined,
  model: ModelServer,
): void {
  response.setHeader('Access-Control-Allow-Origin', '*');
  if (!file) {
    response.writeHead(404).end('not here');
    return;
  }
  if (file.status !== undefined && (file.statusTimes ?? Infinity) > 0) {
    if (file.statusTimes !== undefined) file.statusTimes -= 1;
    response.writeHead(file.status, file.headers).end();
    return;
  }
  const match = file.ranges !== false && /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '');
  const start = match ? Number(match[1]) : 0;
  const end = match ? Math.min(Number(match[2]) + 1, file.bytes.length) : file.bytes.length;
  if (match && start >= file.bytes.length) {
    response.writeHead(416, { 'Content-Range': `bytes */${file.bytes.length}` }).end();
    return;
  }
  const body = file.bytes.subarray(start, end);
  const headers: Record<string, string> = {
    'Content-Type': file.contentType ?? 'application/octet-stream',
    ...(file.etag === undefined ? {} : { ETag: file.etag }),
    ...(file.unsized ? {} : { 'Content-Length': String(body.length) }),
    ...(match ? { 'Content-Range': `bytes ${start}-${end - 1}/${file.bytes.length}` } : {}),
    ...file.headers,
  };
  response.writeHead(match ? 206 : 200, headers);
  if (request.method === 'HEAD') {
    response.end();
    return;
  }
  const cut = (limit: number | undefined): Uint8Array | undefined =>
    limit !== undefined && body.length > limit ? body.subarray(0, limit) : undefined;
  const dropped = (file.drops ?? 0) > 0 ? cut(file.dropAfterBytes) : undefined;
  if (dropped) {
    file.drops! -= 1;
    model.sentBytes += dropped.length;
    response.write(dropped, () => response.destroy());
    return;
  }
  const stalled = (file.stalls ?? 0) > 0 ? cut(file.stallAfterBytes) : undefined;
  if (stalled) {
    file.stalls! -= 1;
    model.sentBytes += stalled.length;
    response.write(stalled);
    return;
  }
  model.sentBytes += body.length;
  response.end(body);
}
