// A static file server for the project's pages, tests and benches: right MIME types, ranges (a model's download is resumed
// through them), revalidation by ETag, and the headers that make a page cross-origin isolated, unless it is told not to.
// It serves one folder and nothing outside of it. Nothing but Node is needed.

import { createReadStream } from 'node:fs';
import { realpath, stat } from 'node:fs/promises';
import { createServer } from 'node:http';
import { extname, join, resolve, sep } from 'node:path';
import { isolationHeaders } from './isolation.mjs';

const mimeTypes = {
  '.css': 'text/css; charset=utf-8',
  '.gif': 'image/gif',
  '.htm': 'text/html; charset=utf-8',
  '.html': 'text/html; charset=utf-8',
  '.ico': 'image/x-icon',
  '.jpeg': 'image/jpeg',
  '.jpg': 'image/jpeg',
  '.js': 'text/javascript; charset=utf-8',
  '.json': 'application/json; charset=utf-8',
  '.map': 'application/json; charset=utf-8',
  '.md': 'text/markdown; charset=utf-8',
  '.mjs': 'text/javascript; charset=utf-8',
  '.png': 'image/png',
  '.svg': 'image/svg+xml; charset=utf-8',
  '.ts': 'text/plain; charset=utf-8',
  '.txt': 'text/plain; charset=utf-8',
  '.wasm': 'application/wasm',
  '.wav': 'audio/wav',
  '.webmanifest': 'application/manifest+json; charset=utf-8',
  '.webp': 'image/webp',
  '.woff2': 'font/woff2',
};

/** Names that carry a hash of their content never change; everything else is asked for again, by its ETag. */
const cacheControl = (path) =>
  /[\\/]dist[\\/][^\\/]*-[\w-]{8}\.js$/.test(path) ? 'public, max-age=31536000, immutable' : 'no-cache';

/** What a `Range` header asks of `size` bytes: undefined for the whole file, null when it cannot be satisfied. */
export function parseRange(header, size) {
  const match = /^bytes=(\d*)-(\d*)$/.exec(header ?? '');
  // No header, several ranges, or another unit: the whole file is a correct answer.
  if (!match || (match[1] === '' && match[2] === '')) return undefined;
  if (match[1] === '') {
    const length = Math.min(Number(match[2]), size);
    return length > 0 ? { start: size - length, end: size - 1 } : null;
  }
  const start = Number(match[1]);
  const end = match[2] === '' ? size - 1 : Math.min(Number(match[2]), size - 1);
  if (match[2] !== '' && Number(match[2]) < start) return undefined;
  return start < size ? { start, end } : null;
}

async function fileFor(pathname, root, home) {
  if (pathname === '/' && home) return { redirect: home };
  let path = resolve(join(root, ...pathname.split('/').map((part) => decodeURIComponent(part))));
  let info = await stat(path);
  if (info.isDirectory()) {
    if (!pathname.endsWith('/')) return { redirect: `${pathname}/` };
    path = join(path, 'index.html');
    info = await stat(path);
  }
  // A link may lead out of the folder, and so may `..` that was written as %2e%2e.
  const real = await realpath(path);
  const hidden = real
    .slice(root.length)
    .split(sep)
    .some((part) => part.startsWith('.') && part !== '.');
  if (!real.startsWith(root + sep) || hidden || !info.isFile())
    throw Object.assign(new Error('outside'), { code: 'ENOENT' });
  return { path: real, info };
}

async function answer(request, response, { root, home, headers, onRequest }) {
  const url = new URL(request.url, 'http://localhost');
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
  if (onRequest && (await onRequest(request, response, url))) return;
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    response.writeHead(405, { Allow: 'GET, HEAD' }).end();
    return;
  }
  const found = await fileFor(url.pathname, root, home);
  if (found.redirect) {
    response.writeHead(307, { Location: found.redirect + url.search }).end();
    return;
  }
  const { path, info } = found;
  const etag = `"${info.size.toString(36)}-${Math.round(info.mtimeMs).toString(36)}"`;
  response.setHeader('Content-Type', mimeTypes[extname(path).toLowerCase()] ?? 'application/octet-stream');
  response.setHeader('Cache-Control', cacheControl(path));
  response.setHeader('Accept-Ranges', 'bytes');
  response.setHeader('ETag', etag);
  if (request.headers['if-none-match'] === etag) {
    response.writeHead(304).end();
    return;
  }
  const current = request.headers['if-range'] === undefined || request.headers['if-range'] === etag;
  const range = current ? parseRange(request.headers.range, info.size) : undefined;
  if (range === null) {
    response.writeHead(416, { 'Content-Range': `bytes */${info.size}` }).end();
    return;
  }
  const { start, end } = range ?? { start: 0, end: info.size - 1 };
  response.setHeader('Content-Length', info.size === 0 ? 0 : end - start + 1);
  if (range) response.setHeader('Content-Range', `bytes ${start}-${end}/${info.size}`);
  response.writeHead(range ? 206 : 200);
  if (request.method === 'HEAD' || info.size === 0) {
    response.end();
    return;
  }
  const file = createReadStream(path, { start, end });
  // The status is sent already: a broken connection is the only way left to say that the file could not be read.
  file.on('error', () => response.destroy());
  response.on('close', () => file.destroy());
  file.pipe(response);
}

function refuse(response, error) {
  const missing = ['ENOENT', 'ENOTDIR', 'ENAMETOOLONG', 'ERR_INVALID_ARG_VALUE'].includes(error.code);
  const status = missing ? 404 : error instanceof URIError || error instanceof TypeError ? 400 : 500;
  if (response.headersSent) {
    response.destroy();
    return;
  }
  if (status === 500) console.error(error);
  response.writeHead(status, { 'Content-Type': 'text/plain; charset=utf-8' });
  response.end({ 404: 'Not found.', 400: 'Bad request.', 500: 'The server failed.' }[status]);
}

function listen(server, host, port) {
  return new Promise((resolvePort, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.off('error', reject);
      resolvePort(server.address().port);
    });
  });
}

/**
 * Serves a folder on this machine.
 *
 * @param {object} options
 * @param {string} options.root the folder
 * @param {number} [options.port] 0, the default, takes a free one
 * @param {boolean} [options.fallback] take a free port when `port` is taken, instead of failing
 * @param {boolean} [options.isolated] send COOP and COEP; default true
 * @param {string} [options.home] the path that `/` redirects to; default: none, and `/` is index.html
 * @param {Record<string, string>} [options.headers] sent with every answer
 * @param {(request, response, url: URL) => boolean | Promise<boolean>} [options.onRequest] may answer first: true when it did
 * @returns {Promise<{ url: string, port: number, close: () => Promise<void> }>} `url` ends with a slash
 */
export async function startServer({
  root,
  port = 0,
  fallback = false,
  isolated = true,
  home,
  headers = {},
  onRequest,
}) {
  const realRoot = await realpath(root);
  const host = '127.0.0.1';
  const allHeaders = {
    'X-Content-Type-Options': 'nosniff',
    ...(isolated ? isolationHeaders : { 'Access-Control-Allow-Origin': '*' }),
    ...headers,
  };
  const options = { root: realRoot, home, headers: allHeaders, onRequest };
  const server = createServer((request, response) => {
    answer(request, response, options).catch((error) => refuse(response, error));
  });
  const actualPort = await listen(server, host, port).catch((error) => {
    if (fallback && (error.code === 'EADDRINUSE' || error.code === 'EACCES')) return listen(server, host, 0);
    throw error;
  });
  return {
    url: `http://${host}:${actualPort}/`,
    port: actualPort,
    close: () =>
      new Promise((done) => {
        server.close(() => done());
        server.closeAllConnections();
      }),
  };
}
