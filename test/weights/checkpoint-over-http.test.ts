// Checkpoints from servers that behave as servers do.

import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'node:test';
import type { Graph } from '../../runtime/graph/types.ts';
import { openModelFiles } from '../../runtime/loading/open-files.ts';
import type { ModelFiles } from '../../runtime/loading/model-files.ts';
import { LoadProgressTracker } from '../../runtime/loading/progress.ts';
import { parseSource } from '../../runtime/loading/source.ts';
import { FORMATS } from '../../runtime/quantization/formats.ts';
import { openCheckpoint } from '../../runtime/weights/checkpoint.ts';
import { createWeightSource } from '../../runtime/weights/weight-source.ts';
import { serveModel, type ModelServer, type ServedFile } from '../loading/model-server.ts';
import { f32Bytes, safetensors, seeded, type TensorSpec } from './memory-files.ts';

let server: ModelServer;
let files: ModelFiles;
const progress = (): LoadProgressTracker => new LoadProgressTracker({ report: () => undefined });

async function open(
  content: Record<string, ServedFile | Uint8Array | string>,
  tracker = progress(),
): Promise<ModelFiles> {
  server = await serveModel(content);
  files = await openModelFiles(parseSource(server.url, { embeddedBase: '' }), {
    http: { retryDelayMs: 5 },
    progress: tracker,
  });
  return files;
}

afterEach(async () => {
  await files.close();
  await server.close();
});

const random = seeded(3);
const matrix = (rows: number): TensorSpec => ({
  dtype: 'F32',
  shape: [rows, 256],
  bytes: f32Bytes(Float32Array.from({ length: rows * 256 }, random)),
});
// Alphabetical, as files are: what is stacked (k, q, v) stands apart, with o in between.
const tensors = Object.fromEntries(['k', 'o', 'q', 'unused', 'v'].map((name) => [name, matrix(1200)]));
const bytes = safetensors(tensors);
const graph = {
  weights: [
    {
      name: 'q+k+v',
      shape: [3600, 256],
      role: 'attention-qkv',
      parts: ['q', 'k', 'v'].map((tensor) => ({ tensor, rows: 1200 })),
    },
    { name: 'o', shape: [1200, 256], role: 'attention-output', parts: [{ tensor: 'o', rows: 1200 }] },
  ],
} as unknown as Graph;
const formats = new Map([
  ['q+k+v', FORMATS.f32],
  ['o', FORMATS.f32],
]);

async function streamAll(): Promise<Map<string, Uint8Array>> {
  const result = new Map<string, Uint8Array>();
  const source = createWeightSource(await openCheckpoint(files), graph);
  for await (const { name, matrix: packed } of source.stream(formats)) result.set(name, packed.planes[0]!);
  return result;
}

function expectAll(result: ReadonlyMap<string, Uint8Array>): void {
  assert.deepEqual(result.get('o'), tensors['o']!.bytes);
  assert.deepEqual(
    result.get('q+k+v'),
    new Uint8Array(Buffer.concat(['q', 'k', 'v'].map((name) => tensors[name]!.bytes))),
  );
}

describe('a checkpoint over HTTP', () => {
  it('streams stacked weights from a server without ranges in one answer', async () => {
    await open({ 'model.safetensors': { bytes, ranges: false, etag: '"1"' } });
    expectAll(await streamAll());
    assert.equal(server.requests.length, 1);
  });

  it('streams through drops, and counts each byte once', async () => {
    const tracker = progress();
    await open({ 'model.safetensors': { bytes, etag: '"1"', drops: 20, dropAfterBytes: 200_000 } }, tracker);
    expectAll(await streamAll());
    const { loadedBytes } = tracker.snapshot();
    const unused = tensors['unused']!.bytes.length;
    assert.ok(loadedBytes >= bytes.length - unused && loadedBytes <= bytes.length, String(loadedBytes));
  });

  it('skips the tensors that the graph does not use', async () => {
    await open({ 'model.safetensors': { bytes, etag: '"1"' } });
    expectAll(await streamAll());
    assert.ok(server.sentBytes < bytes.length - 500_000, `${server.sentBytes} of ${bytes.length} bytes were sent`);
  });

  it('finds the index where the server answers 403, or a page, for what does not exist', async () => {
    const index = JSON.stringify({
      weight_map: Object.fromEntries(Object.keys(tensors).map((name) => [name, 'model-00001-of-00001.safetensors'])),
    });
    const content = { 'model.safetensors.index.json': index, 'model-00001-of-00001.safetensors': bytes };
    await open(content);
    server.fallback = { bytes: new Uint8Array(1), status: 403 };
    assert.equal((await openCheckpoint(files)).tensors.size, 5);
    await files.close();
    await server.close();
    await open(content);
    server.fallback = { bytes: new TextEncoder().encode('<html>'), contentType: 'text/html' };
    assert.equal((await openCheckpoint(files)).tensors.size, 5);
  });

  it('keeps the reason when neither can be had', async () => {
    await open({});
    server.fallback = { bytes: new Uint8Array(1), status: 403 };
    await assert.rejects(openCheckpoint(files), { code: 'network' });
    server.fallback = { bytes: new TextEncoder().encode('<html>'), contentType: 'text/html' };
    await assert.rejects(openCheckpoint(files), { code: 'not-a-model' });
  });
});
