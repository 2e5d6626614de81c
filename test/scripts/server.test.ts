// The static server that pages, tests and benches are served by: ranges, revalidation, isolation, and nothing from outside of
// its folder.

import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { parseRange, startServer, type RunningServer } from '../../scripts/server.mjs';

/** fetch() would tidy the path up before it is sent. */
function statusOf(server: RunningServer, path: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const sent = request({ host: '127.0.0.1', port: server.port, path }, (response) => {
      response.resume();
      resolve(response.statusCode!);
    });
    sent.on('error', reject);
    sent.end();
  });
}

describe('the static server', () => {
  let folder: string;
  let server: RunningServer;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'wp-models-server-'));
    const root = join(folder, 'root');
    await mkdir(join(root, 'site'), { recursive: true });
    await mkdir(join(root, 'dist'));
    await writeFile(join(folder, 'secret.txt'), 'secret');
    await writeFile(join(root, '.hidden'), 'hidden');
    await writeFile(join(root, 'digits.bin'), '0123456789');
    await writeFile(join(root, 'empty.txt'), '');
    await writeFile(join(root, 'ünï code.txt'), 'words');
    await writeFile(join(root, 'site/index.html'), '<p>site');
    await writeFile(join(root, 'dist/kernel.wasm'), '');
    await writeFile(join(root, 'dist/chunk-AbCd1234.js'), '');
    await symlink(join(folder, 'secret.txt'), join(root, 'link.txt'));
    server = await startServer({ root, home: '/site/' });
  });

  after(async () => {
    await server.close();
    await rm(folder, { recursive: true, force: true });
  });

  const get = (path: string, init?: RequestInit): Promise<Response> => fetch(new URL(path, server.url), init);

  it('serves a file with its type', async () => {
    const response = await get('digits.bin');
    assert.equal(response.status, 200);
    assert.equal(await response.text(), '0123456789');
    assert.equal(response.headers.get('accept-ranges'), 'bytes');
    assert.equal((await get('dist/kernel.wasm')).headers.get('content-type'), 'application/wasm');
    assert.equal((await get('dist/chunk-AbCd1234.js')).headers.get('content-type'), 'text/javascript; charset=utf-8');
    assert.equal(await (await get('%C3%BCn%C3%AF%20code.txt')).text(), 'words');
    assert.equal(await (await get('empty.txt')).text(), '');
  });

  it('leads from / to the page, and from a folder to its index', async () => {
    assert.equal((await get('')).url, `${server.url}site/`);
    assert.equal((await get('site?x=1')).url, `${server.url}site/?x=1`);
    assert.equal(await (await get('site/')).text(), '<p>site');
    assert.equal((await get('dist/')).status, 404);
  });

  for (const [range, status, body, contentRange] of [
    ['bytes=2-4', 206, '234', 'bytes 2-4/10'],
    ['bytes=7-', 206, '789', 'bytes 7-9/10'],
    ['bytes=-3', 206, '789', 'bytes 7-9/10'],
    ['bytes=8-99', 206, '89', 'bytes 8-9/10'],
    ['bytes=10-', 416, '', 'bytes */10'],
    ['bytes=-0', 416, '', 'bytes */10'],
    ['bytes=0-1,4-5', 200, '0123456789', null],
    ['lines=1-2', 200, '0123456789', null],
  ] as const) {
    it(`answers ${range} with ${status}`, async () => {
      const response = await get('digits.bin', { headers: { range } });
      assert.equal(response.status, status);
      assert.equal(await response.text(), body);
      assert.equal(response.headers.get('content-range'), contentRange);
    });
  }

  it('answers a range only of the version that was asked for', async () => {
    const etag = (await get('digits.bin')).headers.get('etag')!;
    const withRange = (tag: string): Promise<Response> =>
      get('digits.bin', { headers: { range: 'bytes=0-0', 'if-range': tag } });
    assert.equal((await withRange(etag)).status, 206);
    assert.equal((await withRange('"another"')).status, 200);
  });

  it('lets a browser revalidate, and keep what carries a hash', async () => {
    const first = await get('digits.bin');
    assert.equal(first.headers.get('cache-control'), 'no-cache');
    const again = await get('digits.bin', { headers: { 'if-none-match': first.headers.get('etag')! } });
    assert.equal(again.status, 304);
    assert.match((await get('dist/chunk-AbCd1234.js')).headers.get('cache-control')!, /immutable/);
  });

  it('isolates pages, unless it is told not to', async () => {
    assert.equal((await get('site/')).headers.get('cross-origin-opener-policy'), 'same-origin');
    assert.equal((await get('nothing')).headers.get('cross-origin-embedder-policy'), 'require-corp');
    const plain = await startServer({ root: join(folder, 'root'), isolated: false });
    const response = await fetch(`${plain.url}digits.bin`);
    await plain.close();
    assert.equal(response.headers.get('cross-origin-opener-policy'), null);
    assert.equal(response.headers.get('access-control-allow-origin'), '*');
  });

  for (const [path, status] of [
    ['/../secret.txt', 404],
    ['/%2e%2e/secret.txt', 404],
    ['/..%2fsecret.txt', 404],
    ['/..%5csecret.txt', 404],
    ['/link.txt', 404],
    ['/.hidden', 404],
    ['/%00', 404],
    ['/%zz', 400],
    ['/digits.bin/more', 404],
    ['//', 400],
  ] as const) {
    it(`refuses ${path} with ${status}`, async () => assert.equal(await statusOf(server, path), status));
  }

  it('refuses to be written to', async () => {
    const response = await get('digits.bin', { method: 'PUT', body: 'x' });
    assert.equal(response.status, 405);
  });

  it('answers HEAD without a body', async () => {
    const response = await get('digits.bin', { method: 'HEAD' });
    assert.equal(response.headers.get('content-length'), '10');
    assert.equal(await response.text(), '');
  });

  it('takes a free port when its own is taken, if it may', async () => {
    const occupant = createServer();
    await new Promise<void>((resolve) => occupant.listen(0, '127.0.0.1', resolve));
    const { port } = occupant.address() as AddressInfo;
    const root = join(folder, 'root');
    try {
      await assert.rejects(startServer({ root, port }), { code: 'EADDRINUSE' });
      const other = await startServer({ root, port, fallback: true });
      assert.notEqual(other.port, port);
      await other.close();
    } finally {
      occupant.close();
    }
  });

  it('lets a caller answer first', async () => {
    const special = await startServer({
      root: join(folder, 'root'),
      onRequest: (_request, response, url) => {
        if (url.pathname !== '/special') return false;
        response.end('special');
        return true;
      },
    });
    assert.equal(await (await fetch(`${special.url}special`)).text(), 'special');
    assert.equal(await (await fetch(`${special.url}digits.bin`)).text(), '0123456789');
    await special.close();
  });

  it('reads ranges', () => {
    assert.equal(parseRange(undefined, 10), undefined);
    assert.equal(parseRange('bytes=-', 10), undefined);
    assert.equal(parseRange('bytes=5-2', 10), undefined);
    assert.deepEqual(parseRange('bytes=-99', 10), { start: 0, end: 9 });
  });
});
