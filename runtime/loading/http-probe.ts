// Opens a file on a server with one request: is it there, is it a file and not a web page, how long is it, which version,
// and does the server give ranges? The answer's first bytes are kept, so that small files and headers cost nothing more.

import { WpError } from '../errors.ts';
import type { HttpConnection, OpenResponse } from './http-connection.ts';
import {
  TransientFailure,
  isWebPage,
  notAModel,
  parseContentRange,
  refuseBadStatus,
  validatorOf,
} from './http-response.ts';
import { RangeDownload } from './range-download.ts';
import type { RemoteFile } from './remote-file.ts';

/** For servers without ranges, and fetched when one is met. */
const streaming = () => import('./stream-download.ts');

/** Without ranges, files up to this size are kept whole: their length is then certain even if it was compressed on the way. */
const wholeFileBytes = 4 * 2 ** 20;
/** A server that tells no size makes us hold what it sends; beyond this it is refused. */
const maximumUnsizedBytes = 2 ** 31;

/**
 * Resolves to undefined for 404 and 410. `firstBytes`: how much is wanted with the first answer (1 when a stored copy is
 * likely to serve the rest).
 */
export async function openRemote(
  connection: HttpConnection,
  file: { name: string; url: string },
  firstBytes: number,
  signal: AbortSignal | undefined,
): Promise<RemoteFile | undefined> {
  return connection.persist(file, signal, async () => {
    const opened = await connection.request(file.url, { range: [0, firstBytes] }, signal);
    let keep = false;
    try {
      const { response } = opened;
      if (response.status === 404 || response.status === 410) return undefined;
      if (response.status === 416) return await emptyFile(file, response);
      refuseBadStatus(response, file.name, file.url);
      const encoding = response.headers.get('content-encoding');
      const isEncoded = encoding !== null && encoding !== '' && encoding !== 'identity';
      if (response.status === 206 && !isEncoded) return await openRanged(connection, file, firstBytes, opened, signal);
      const stream = await openStream(connection, file, opened, isEncoded, signal);
      keep = stream.goesOn;
      return stream.remote;
    } finally {
      if (!keep) opened.close();
    }
  });
}

/** 416 answers "the first byte" of an empty file. */
async function emptyFile(file: { name: string; url: string }, response: Response): Promise<RemoteFile> {
  if (/\*\/0$/.test(response.headers.get('content-range') ?? '*/0')) {
    const { WholeDownload } = await streaming();
    return new WholeDownload({ ...file, size: 0, validator: validatorOf(response), first: new Uint8Array(0) });
  }
  throw new WpError('network', `The server refused the first bytes of ${file.name} (HTTP 416).`, 'Check the server.', {
    url: file.url,
    status: 416,
  });
}

async function openRanged(
  connection: HttpConnection,
  file: { name: string; url: string },
  firstBytes: number,
  opened: OpenResponse,
  signal: AbortSignal | undefined,
): Promise<RemoteFile> {
  const { response } = opened;
  const range = parseContentRange(response.headers.get('content-range'));
  if (range && range.start !== 0) throw new TransientFailure(`the server sent bytes from ${range.start} instead of 0`);
  const wanted = range ? range.end : firstBytes;
  // A connection that breaks here has still told all that is needed, once a byte has come: reading goes on from there.
  const { bytes: first, ended } = await readUpTo(opened, wanted, { keepBroken: range?.size !== undefined });
  refuseWebPage(file, response, first);
  // Content-Range is hidden from a cross-origin page unless the server exposes it. A body shorter than asked is the whole
  // file; otherwise HEAD tells, whose Content-Length every page may read.
  let size = range?.size ?? (!range && ended && first.length < firstBytes ? first.length : undefined);
  if (size === undefined) {
    const head = await connection.request(file.url, { method: 'HEAD' }, signal);
    head.close();
    const length = head.response.ok ? contentLength(head.response) : undefined;
    if (length === undefined) throw unknownSize(file);
    size = length;
  }
  if (first.length > size) {
    throw new WpError(
      'network',
      `The server sent ${first.length} bytes of ${file.name} but calls it ${size} bytes long.`,
      'Check the server.',
      {
        url: file.url,
        actual: first.length,
        size,
      },
    );
  }
  const validator = validatorOf(response);
  return new RangeDownload(connection, { ...file, size, validator, first });
}

/** `goesOn`: more of the answer is read later. */
async function openStream(
  connection: HttpConnection,
  file: { name: string; url: string },
  opened: OpenResponse,
  isEncoded: boolean,
  signal: AbortSignal | undefined,
): Promise<{ remote: RemoteFile; goesOn: boolean }> {
  const { StreamDownload, WholeDownload } = await streaming();
  const { response } = opened;
  // Content-Length counts the compressed bytes, which are not those that we get to see.
  const length = isEncoded ? undefined : contentLength(response);
  const validator = validatorOf(response);
  if (length === undefined || length <= wholeFileBytes) {
    const { bytes: first } = await readUpTo(opened, maximumUnsizedBytes, { signal });
    refuseWebPage(file, response, first);
    if (first.length >= maximumUnsizedBytes) throw unknownSize(file);
    // More than announced is a compressed file whose encoding CORS hides; fewer is a connection that broke.
    if (length !== undefined && first.length < length) {
      throw new TransientFailure(`the connection ended after ${first.length} of ${length} bytes`);
    }
    return { remote: new WholeDownload({ ...file, size: first.length, validator, first }), goesOn: false };
  }
  const { bytes: first } = await readUpTo(opened, 1);
  refuseWebPage(file, response, first);
  const remote = new StreamDownload(connection, { ...file, size: length, validator, first }, opened);
  return { remote, goesOn: true };
}

function refuseWebPage(file: { name: string; url: string }, response: Response, first: Uint8Array): void {
  if (isWebPage(file.name, response.headers.get('content-type'), first))
    throw notAModel(file.name, file.url, 'a web page');
}

/** Reads until at least `bytes` have come or the body ends; the last piece may reach beyond. */
async function readUpTo(
  opened: OpenResponse,
  bytes: number,
  options: { signal?: AbortSignal | undefined; keepBroken?: boolean } = {},
): Promise<{ bytes: Uint8Array; ended: boolean }> {
  const pieces: Uint8Array[] = [];
  let length = 0;
  let ended = false;
  while (length < bytes && !ended) {
    options.signal?.throwIfAborted();
    let piece: Uint8Array | undefined;
    try {
      piece = await opened.next();
    } catch (thrown) {
      if (!(thrown instanceof TransientFailure) || !options.keepBroken || length === 0) throw thrown;
      break;
    }
    if (piece) {
      pieces.push(piece);
      length += piece.length;
    } else {
      ended = true;
    }
  }
  if (pieces.length === 1) return { bytes: pieces[0]!, ended };
  const all = new Uint8Array(length);
  let offset = 0;
  for (const piece of pieces) {
    all.set(piece, offset);
    offset += piece.length;
  }
  return { bytes: all, ended };
}

function contentLength(response: Response): number | undefined {
  const header = response.headers.get('content-length');
  return header !== null && /^\d+$/.test(header) ? Number(header) : undefined;
}

function unknownSize(file: { name: string; url: string }): WpError {
  return new WpError(
    'network',
    `The server does not tell how long ${file.name} is.`,
    'Let it send Content-Length, or Content-Range with Access-Control-Expose-Headers: Content-Range, ETag.',
    { url: file.url },
  );
}
