import assert from 'node:assert/strict';
import { gzipSync } from 'node:zlib';
import { afterEach, describe, it } from 'node:test';
import { WpError } from '../../runtime/errors.ts';
import type { HttpOptions } from '../../runtime/loading/http-connection.ts';
import { openModelFiles } from '../../runtime/loading/open-files.ts';
import { openRequired, type ModelFiles } from '../../runtime/loading/model-files.ts';
import { LoadProgressTracker } from '../../runtime/loading/progress.ts';
import { noStore, type FileStore } from '../../runtime/loading/store.ts';
import { parseSource } from '../../runtime/loading/source.ts';
import { serveModel, type ModelServer, type ServedFile } from './model-server.ts';
import { patternBytes } from './pattern.ts';

const http: HttpOptions = { chunkBytes: 64 * 1024, retryDelayMs: 5, stallTimeoutMs: 200 };
const weights = patternBytes(1_500_000);
let server: ModelServer;
let files: ModelFiles;

async function open(
  content: Record<string, ServedFile | Uint8Array | string>,
  options: HttpOptions = {},
): Promise<ModelFiles> {
  server = await serveModel(content);
  files = await openModelFiles(parseSource(server.url, { embeddedBase: '' }), { http: { ...http, ...options } });
  return files;
}

afterEach(async () => {
  await files.close();
  await server.close();
});

const failsWith = (code: string, pattern?: RegExp) => (thrown: unknown) => {
  assert.ok(thrown instanceof WpError, String(thrown));
  assert.equal(thrown.code, code);
  if (pattern) assert.match(thrown.message + thrown.hint, pattern);
  return true;
};

describe('files over HTTP with ranges', () => {
  it('reads any range, in parallel chunks', async () => {
    const file = await openRequired(await open({ 'model.safetensors': weights }), 'model.safetensors');
    assert.equal(file.size, weights.length);
    assert.deepEqual(await file.readRange(0, weights.length), weights);
    assert.deepEqual(await file.readRange(700_001, 700_002), weights.slice(700_001, 700_002));
    assert.deepEqual(await file.readRange(5, 5), new Uint8Array(0));
    server.files.set('model.safetensors', { bytes: weights, gather: 6 });
    assert.deepEqual(
      await file.readRange(300_000, 300_000 + 12 * 65_536),
      weights.slice(300_000, 300_000 + 12 * 65_536),
    );
    assert.equal(server.mostAtOnce, 6);
  });

  it('serves small files from the one request that opened them', async () => {
    const file = await openRequired(await open({ 'config.json': '{"model_type":"llama"}' }), 'config.json');
    assert.deepEqual(await file.readJson(), { model_type: 'llama' });
    assert.equal(server.requests.length, 1);
  });

  it('opens a file once, however often it is asked for', async () => {
    await open({ 'config.json': '{}' });
    const [a, b] = await Promise.all([files.open('config.json'), files.open('config.json')]);
    assert.equal(a, b);
    assert.equal(server.requests.length, 1);
  });

  it('resumes a dropped connection where it stopped', async () => {
    await open({ 'model.safetensors': { bytes: weights, drops: 12, dropAfterBytes: 10_000 } }, { maximumRequests: 1 });
    const file = await openRequired(files, 'model.safetensors');
    assert.deepEqual(await file.readRange(300_000, 700_000), weights.slice(300_000, 700_000));
    // Bytes that arrived are never asked for again: what was sent is what was needed, and the probe.
    const probe = server.requests.filter((request) => request.range === 'bytes=0-262143').length;
    assert.ok(server.sentBytes <= 400_000 + 262_144 + probe * 10_000, `${server.sentBytes} bytes were sent`);
    assert.ok(
      server.requests.some((request) => request.range?.startsWith('bytes=310000-')),
      'no request resumed',
    );
  });

  it('gives up after so many failures without a byte, and says so', async () => {
    await open({ 'model.safetensors': { bytes: weights } });
    const file = await openRequired(files, 'model.safetensors');
    server.files.set('model.safetensors', { bytes: weights, drops: 1000, dropAfterBytes: 0 });
    await assert.rejects(file.readRange(300_000, 310_000), failsWith('network', /5 attempts/));
  });

  it('tries again after 503, as late as Retry-After says', async () => {
    await open({
      'model.safetensors': { bytes: weights, status: 503, statusTimes: 2, headers: { 'Retry-After': '0' } },
    });
    const file = await openRequired(files, 'model.safetensors');
    assert.equal(file.size, weights.length);
    assert.equal(server.requests.length, 3);
  });

  it('drops a connection that falls silent and goes on', async () => {
    await open({ 'model.safetensors': { bytes: weights } });
    const file = await openRequired(files, 'model.safetensors');
    server.files.set('model.safetensors', { bytes: weights, stalls: 1, stallAfterBytes: 1000 });
    assert.deepEqual(await file.readRange(300_000, 310_000), weights.slice(300_000, 310_000));
  });

  it('notices that the file changed on the server', async () => {
    await open({ 'model.safetensors': { bytes: weights, etag: '"1"' } });
    const file = await openRequired(files, 'model.safetensors');
    server.files.set('model.safetensors', { bytes: weights, etag: '"2"' });
    await assert.rejects(file.readRange(300_000, 310_000), failsWith('network', /changed/));
    server.files.set('model.safetensors', { bytes: weights.subarray(0, 900_000), etag: '"1"' });
    await assert.rejects(file.readRange(300_000, 310_000), failsWith('network', /900000/));
    server.files.delete('model.safetensors');
    await assert.rejects(file.readRange(300_000, 310_000), failsWith('network', /gone/));
  });

  it('rejects a range past the end as truncated', async () => {
    const file = await openRequired(await open({ 'model.safetensors': weights }), 'model.safetensors');
    await assert.rejects(file.readRange(0, weights.length + 1), failsWith('corrupt-file'));
  });

  it('stops at once when it is aborted, and can be read again', async () => {
    await open({ 'model.safetensors': { bytes: weights } });
    const file = await openRequired(files, 'model.safetensors');
    server.files.set('model.safetensors', { bytes: weights, stalls: 100, stallAfterBytes: 10 });
    const controller = new AbortController();
    const reading = file.readRange(300_000, 900_000, controller.signal);
    setTimeout(() => controller.abort(), 20);
    await assert.rejects(reading, { name: 'AbortError' });
    server.files.set('model.safetensors', { bytes: weights });
    assert.deepEqual(await file.readRange(300_000, 300_010), weights.slice(300_000, 300_010));
  });

  it('does not remember a cancelled opening', async () => {
    await open({ 'config.json': '{}' });
    await assert.rejects(files.open('config.json', AbortSignal.abort()), { name: 'AbortError' });
    assert.ok(await files.open('config.json'));
  });

  it('learns the size from HEAD when Content-Range is hidden', async () => {
    await open({ 'model.safetensors': { bytes: weights, headers: { 'Content-Range': 'hidden' } } });
    // HEAD is answered without a range.
    const file = await openRequired(files, 'model.safetensors');
    assert.equal(file.size, weights.length);
    assert.deepEqual(await file.readRange(400_000, 400_100), weights.slice(400_000, 400_100));
  });

  it('sends the headers that it was given', async () => {
    await open({ 'config.json': '{}' }, { headers: { Authorization: 'Bearer secret' } });
    await files.open('config.json');
    assert.equal(server.requests[0]?.headers.authorization, 'Bearer secret');
  });

  it('opens an empty file', async () => {
    const file = await openRequired(await open({ 'config.json': '' }), 'config.json');
    assert.equal(file.size, 0);
    assert.equal(await file.readText(), '');
  });
});

/** A store that holds whole files of this version. */
function storeOf(known: Record<string, { bytes: Uint8Array; validator: string }>): FileStore & { opened: string[] } {
  const opened: string[] = [];
  const entry = (url: string) => known[url.split('/').pop()!];
  return {
    ...noStore(''),
    notes: () => [],
    opened,
    find(url) {
      const found = entry(url);
      if (!found) return Promise.resolve(undefined);
      const { bytes, validator } = found;
      return Promise.resolve({
        ...{ url, size: bytes.length, validator, storedBytes: bytes.length },
        ...{ isComplete: true, lastUsedMs: 0 },
      });
    },
    open({ url, validator, size }) {
      const found = entry(url);
      if (found?.validator !== validator) return Promise.resolve(undefined);
      opened.push(url.split('/').pop()!);
      return Promise.resolve({
        ...{ blockBytes: size, isWritable: false, has: () => true, read: () => Promise.resolve(found.bytes) },
        ...{ write: () => Promise.resolve(), close: () => Promise.resolve() },
      });
    },
  };
}

describe('files that an earlier visit stored', () => {
  const stored = (text: string, validator: string) => ({ bytes: new TextEncoder().encode(text), validator });

  it('are opened before they are asked for, and nothing else is', async () => {
    server = await serveModel({ 'config.json': '{}', 'tokenizer.json': '{"a":1}', 'other.json': '{}' });
    const store = storeOf({ 'tokenizer.json': stored('{"a":1}', '"tokenizer.json-1"') });
    files = await openModelFiles(parseSource(server.url, { embeddedBase: '' }), { http, store });
    files.anticipate!(['tokenizer.json', 'other.json'], new AbortController().signal);
    assert.deepEqual(await (await openRequired(files, 'config.json')).readJson(), {});
    const tokenizer = await openRequired(files, 'tokenizer.json');
    assert.deepEqual(await tokenizer.readJson(), { a: 1 });
    assert.deepEqual(server.requests.map(({ path }) => path).sort(), ['config.json', 'tokenizer.json']);
    assert.deepEqual(store.opened, ['tokenizer.json']);
  });

  it('are those of the server, or not used', async () => {
    server = await serveModel({ 'tokenizer.json': '{"a":2}' });
    const store = storeOf({ 'tokenizer.json': stored('{"a":1}', '"old"') });
    files = await openModelFiles(parseSource(server.url, { embeddedBase: '' }), { http, store });
    files.anticipate!(['tokenizer.json'], new AbortController().signal);
    assert.deepEqual(await (await openRequired(files, 'tokenizer.json')).readJson(), { a: 2 });
  });

  it('are not waited for by a load that was aborted', async () => {
    server = await serveModel({ 'tokenizer.json': { bytes: weights, stalls: 1, stallAfterBytes: 0 } });
    const store = storeOf({ 'tokenizer.json': stored('{"a":1}', '"old"') });
    const slow = { ...http, stallTimeoutMs: 60_000 };
    files = await openModelFiles(parseSource(server.url, { embeddedBase: '' }), { http: slow, store });
    const controller = new AbortController();
    files.anticipate!(['tokenizer.json'], controller.signal);
    while (server.requests.length === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    controller.abort();
    await files.close();
  });
});

describe('files over HTTP without ranges', () => {
  const large = patternBytes(6_000_000, 7);

  it('reads forward through one answer', async () => {
    await open({ 'model.safetensors': { bytes: large, ranges: false } });
    const file = await openRequired(files, 'model.safetensors');
    assert.equal(file.size, large.length);
    const pieces = await Promise.all([0, 1, 2, 3, 4, 5].map((i) => file.readRange(i * 1_000_000, (i + 1) * 1_000_000)));
    pieces.forEach((piece, i) => assert.deepEqual(piece, large.slice(i * 1_000_000, (i + 1) * 1_000_000)));
    assert.equal(server.requests.length, 1);
  });

  it('starts again to go back', async () => {
    await open({ 'model.safetensors': { bytes: large, ranges: false } });
    const file = await openRequired(files, 'model.safetensors');
    assert.deepEqual(await file.readRange(5_000_000, 5_000_100), large.slice(5_000_000, 5_000_100));
    assert.deepEqual(await file.readRange(3_000_000, 3_000_100), large.slice(3_000_000, 3_000_100));
    assert.equal(server.requests.length, 2);
  });

  it('survives drops', async () => {
    await open({ 'model.safetensors': { bytes: large, ranges: false, drops: 3, dropAfterBytes: 2_500_000 } });
    const file = await openRequired(files, 'model.safetensors');
    assert.deepEqual(await file.readRange(0, large.length), large);
  });

  it('goes on after a reader was aborted in the middle', async () => {
    await open({ 'model.safetensors': { bytes: large, ranges: false, stalls: 1, stallAfterBytes: 1_000_000 } });
    const file = await openRequired(files, 'model.safetensors');
    const controller = new AbortController();
    const reading = file.readRange(0, 3_000_000, controller.signal);
    setTimeout(() => controller.abort(), 30);
    await assert.rejects(reading, { name: 'AbortError' });
    assert.deepEqual(await file.readRange(2_000_000, 2_000_100), large.slice(2_000_000, 2_000_100));
  });

  it('reads a file whose size is not told', async () => {
    await open({ 'model.safetensors': { bytes: large, ranges: false, unsized: true } });
    const file = await openRequired(files, 'model.safetensors');
    assert.equal(file.size, large.length);
    assert.deepEqual(await file.readRange(5_999_000, 6_000_000), large.slice(5_999_000));
  });

  it('counts the bytes of a compressed file after decompression', async () => {
    const text = JSON.stringify({ words: 'again '.repeat(5000) });
    const bytes = gzipSync(text);
    await open({ 'config.json': { bytes, ranges: false, headers: { 'Content-Encoding': 'gzip' } } });
    const file = await openRequired(files, 'config.json');
    assert.equal(await file.readText(), text);
  });
});

describe('what is not a model', () => {
  it('404: undefined, and not-found where the file is required', async () => {
    await open({});
    assert.equal(await files.open('generation_config.json'), undefined);
    await assert.rejects(openRequired(files, 'config.json'), failsWith('not-found', /config\.json/));
  });

  it('a web page in place of a file', async () => {
    await open({
      'config.json': { bytes: new TextEncoder().encode('<!doctype html>'), contentType: 'text/html; charset=utf-8' },
    });
    await assert.rejects(files.open('config.json'), failsWith('not-a-model', /web page/));
  });

  it('a web page that does not say that it is one', async () => {
    await open({ 'model.safetensors': new TextEncoder().encode('\n<html><head><title>Login</title></head></html>') });
    await assert.rejects(files.open('model.safetensors'), failsWith('not-a-model'));
  });

  it('a single-page server has no optional files', async () => {
    await open({ 'config.json': '{}' });
    server.fallback = { bytes: new TextEncoder().encode('<!doctype html><p>app'), contentType: 'text/html' };
    assert.equal(await files.open('generation_config.json'), undefined);
    await assert.rejects(files.open('tokenizer.json'), failsWith('not-a-model'));
  });

  it('a safetensors file whose header length begins with the byte of "<" is a file', async () => {
    const bytes = new Uint8Array(100);
    bytes[0] = 0x3c;
    await open({ 'model.safetensors': bytes });
    assert.equal((await files.open('model.safetensors'))?.size, 100);
  });

  for (const status of [401, 403]) {
    it(`${status} speaks of tokens`, async () => {
      await open({ 'config.json': { bytes: new Uint8Array(1), status } });
      await assert.rejects(files.open('config.json'), failsWith('network', /token/));
    });
  }

  it('no server at all', async () => {
    await open({});
    await server.close();
    await assert.rejects(files.open('config.json'), failsWith('network', /CORS/));
  });

  it('text that is not JSON', async () => {
    const file = await openRequired(await open({ 'config.json': '{"a":' }), 'config.json');
    await assert.rejects(file.readJson(), failsWith('corrupt-file', /config\.json is not JSON/));
  });
});

describe('progress of downloads', () => {
  it('counts each byte once, drops or not', async () => {
    server = await serveModel({ 'model.safetensors': { bytes: weights, drops: 5, dropAfterBytes: 30_000 } });
    const progress = new LoadProgressTracker({ report: () => undefined });
    files = await openModelFiles(parseSource(server.url, { embeddedBase: '' }), { http, progress });
    const file = await openRequired(files, 'model.safetensors');
    progress.totalIsKnown();
    await file.readRange(0, 500_000);
    await file.readRange(500_000, weights.length);
    const { loadedBytes, totalBytes, cachedBytes } = progress.snapshot();
    assert.deepEqual(
      { loadedBytes, totalBytes, cachedBytes },
      { loadedBytes: weights.length, totalBytes: weights.length, cachedBytes: 0 },
    );
  });
});
