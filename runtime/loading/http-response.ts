// What an HTTP answer means for a model's file: is it one, may it be tried again, and which WpError says what went wrong.

import { WpError, isAbortError } from '../errors.ts';

/** A failure that another attempt may cure: a dropped connection, a busy server. Never leaves loading/. */
export class TransientFailure extends Error {
  constructor(
    message: string,
    /** What the server asked for with Retry-After. */
    readonly retryAfterMs: number | undefined = undefined,
    readonly status: number | undefined = undefined,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** Throws for a status that is neither 200, 206 nor one the caller handles (404, 416). */
export function refuseBadStatus(response: Response, name: string, url: string): void {
  const { status } = response;
  if (status === 200 || status === 206) return;
  if (status === 408 || status === 425 || status === 429 || status >= 500) {
    throw new TransientFailure(`the server answered ${status}`, retryAfter(response), status);
  }
  if (status === 401 || status === 403) {
    throw new WpError(
      'network',
      `The server refused ${name} (HTTP ${status}).`,
      'If the model is private or gated, accept its terms and pass a token with the option `headers`: ' +
        '{ Authorization: "Bearer …" }. Hugging Face also answers 401 for a repository that does not exist: check the name.',
      { url, status, file: name },
    );
  }
  throw new WpError('network', `The server answered HTTP ${status} for ${name}.`, 'Check the address of the model.', {
    url,
    status,
    file: name,
  });
}

function retryAfter(response: Response): number | undefined {
  const header = response.headers.get('retry-after');
  if (!header) return undefined;
  const seconds = Number(header);
  if (Number.isFinite(seconds)) return Math.min(60_000, Math.max(0, seconds * 1000));
  const date = Date.parse(header);
  return Number.isNaN(date) ? undefined : Math.min(60_000, Math.max(0, date - Date.now()));
}

/** A rejected fetch or a broken body as a TransientFailure; aborts and WpErrors pass unchanged. */
export function asTransient(thrown: unknown): unknown {
  if (thrown instanceof WpError || thrown instanceof TransientFailure || isAbortError(thrown)) return thrown;
  // Browsers tell no reason for a failed fetch, on purpose; Node puts it into the cause.
  const cause = thrown instanceof Error && thrown.cause instanceof Error ? ` (${thrown.cause.message})` : '';
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return new TransientFailure(`${message}${cause}`, undefined, undefined, { cause: thrown });
}

/** What is thrown when the attempts are used up. */
export function givenUp(failure: TransientFailure, name: string, url: string, attempts: number): WpError {
  return new WpError(
    'network',
    `${name} could not be downloaded: ${failure.message} (${attempts} attempts).`,
    failure.status === undefined
      ? 'Check the connection, and that the server allows this page (CORS: Access-Control-Allow-Origin). What has arrived is kept where the browser allows it; load again to continue.'
      : 'The server is busy or broken: try again later. What has arrived is kept where the browser allows it.',
    { url, file: name, attempts, status: failure.status },
    { cause: failure },
  );
}

/** A web page where a file was expected: single-page servers answer every path with one. */
export function isWebPage(name: string, contentType: string | null, first: Uint8Array): boolean {
  if (/\.html?$/.test(name)) return false;
  if (contentType && /^\s*(text\/html|application\/xhtml\+xml)/i.test(contentType)) return true;
  return /\.(json|safetensors|gguf)$/i.test(name) && /^\uFEFF?\s*</.test(asText(first));
}

const byteOrderMark: readonly number[] = [0xef, 0xbb, 0xbf];

/** The bytes as text when the first 8 or more are printable ASCII, else ''. A safetensors file begins with a length whose bytes are not. */
function asText(bytes: Uint8Array): string {
  const head = bytes.subarray(0, 64);
  if (head.length < 2) return '';
  for (const byte of head.subarray(0, 8)) {
    const isText = (byte >= 0x20 && byte < 0x7f) || (byte >= 9 && byte <= 13) || byteOrderMark.includes(byte);
    if (!isText) return '';
  }
  return new TextDecoder().decode(head);
}

/** What a text is that stands where weights should, or undefined when the bytes are no text. */
export function describeText(bytes: Uint8Array): string | undefined {
  const text = asText(bytes);
  if (text === '') return undefined;
  if (/^\uFEFF?\s*</.test(text)) return 'a web page';
  if (text.startsWith('version https://git-lfs'))
    return 'a Git LFS pointer (the weights themselves were not checked out)';
  return `a text that begins with "${text.slice(0, 24).replace(/\s+/g, ' ')}"`;
}

export function notAModel(name: string, url: string, what: string): WpError {
  return new WpError(
    'not-a-model',
    `${url} answered with ${what} instead of ${name}.`,
    'Check the address: it must be the folder that holds config.json and the weights themselves.',
    { url, file: name },
  );
}

/** 'bytes 0-99/1234' → its numbers; undefined when the header is missing (or hidden by CORS) or not understood. */
export function parseContentRange(
  header: string | null,
): { start: number; end: number; size: number | undefined } | undefined {
  const match = header && /^bytes\s+(\d+)-(\d+)\/(\d+|\*)$/i.exec(header.trim());
  if (!match) return undefined;
  return { start: Number(match[1]), end: Number(match[2]) + 1, size: match[3] === '*' ? undefined : Number(match[3]) };
}

/** A strong or weak ETag without the W/ prefix, else the date, else ''. */
export function validatorOf(response: Response): string {
  const tag = response.headers.get('etag');
  return tag ? tag.replace(/^W\//, '') : (response.headers.get('last-modified') ?? '');
}
