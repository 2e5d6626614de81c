// Serves files by range, be they on a disk or only made up, from a port of their own: models come from other origins than
// pages do.

import { createServer } from 'node:http';
import { parseRange } from '../scripts/server.mjs';

const HEADERS = {
  'access-control-allow-origin': '*',
  'access-control-allow-headers': '*',
  'access-control-expose-headers': '*',
  'cross-origin-resource-policy': 'cross-origin',
  'accept-ranges': 'bytes',
  'content-type': 'application/octet-stream',
};
const PIECE_BYTES = 4 << 20;

/**
 * @param {Record<string, { size: number, read(from: number, to: number): Uint8Array }>} files by path from the server's root
 * @returns {Promise<{ url: string, close: () => void }>} `url` ends with a slash
 */
export async function serveFiles(files) {
  const server = createServer((request, response) => {
    const name = decodeURIComponent(new URL(request.url, 'http://localhost').pathname.slice(1));
    if (request.method === 'OPTIONS') return response.writeHead(204, HEADERS).end();
    if (!Object.hasOwn(files, name)) return response.writeHead(404, HEADERS).end();
    const file = files[name];
    const range = parseRange(request.headers.range, file.size);
    if (range === null) {
      return response.writeHead(416, { ...HEADERS, 'content-range': `bytes */${file.size}` }).end();
    }
    const { start, end } = range ?? { start: 0, end: file.size - 1 };
    const headers = { ...HEADERS, 'content-length': end - start + 1 };
    if (range) headers['content-range'] = `bytes ${start}-${end}/${file.size}`;
    response.writeHead(range ? 206 : 200, headers);
    if (request.method === 'HEAD') return response.end();
    send(response, file, start, end + 1);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}/`,
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

/** Makes bytes only as fast as they are taken. */
function send(response, file, from, to) {
  let at = from;
  const push = () => {
    while (at < to) {
      if (response.destroyed) return;
      const end = Math.min(at + PIECE_BYTES, to);
      const hasRoom = response.write(file.read(at, end));
      at = end;
      if (!hasRoom) return void response.once('drain', push);
    }
    response.end();
  };
  push();
}
