// What can be wrong with a model's source, seen from outside: each case is a WpError with its code and a hint, and the next
// load works. The readers' own tests go deeper (test/weights, test/loading, test/models).

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import type { WpErrorCode } from '../../runtime/errors.ts';
import { serveModel, type ModelServer } from '../loading/model-server.ts';
import { distApi, type Api } from './dist-api.ts';

const fixture = (name: string): Uint8Array =>
  readFileSync(new URL(`../fixtures/decoders/llama-tied/${name}`, import.meta.url));
const json = (name: string): Record<string, unknown> =>
  JSON.parse(new TextDecoder().decode(fixture(name))) as Record<string, unknown>;
const tokenizer = readFileSync(new URL('./tiny-tokenizer.json', import.meta.url));

/** A folder that loads; each case breaks one thing. */
const SOUND = {
  'config.json': fixture('config.json'),
  'model.safetensors': fixture('model.safetensors'),
  'tokenizer.json': new Uint8Array(tokenizer),
};

interface Case {
  what: string;
  code: WpErrorCode;
  files?: Record<string, Uint8Array | string>;
  without?: string[];
  path?: string;
  options?: Parameters<Api['loadModel']>[1];
  message?: RegExp;
}

const weights = fixture('model.safetensors');
const headerLength = new DataView(weights.buffer, weights.byteOffset).getUint32(0, true);
const withHeader = (
  edit: (header: Record<string, { shape: number[]; dtype: string; data_offsets: number[] }>) => void,
): Uint8Array => {
  const header = JSON.parse(new TextDecoder().decode(weights.subarray(8, 8 + headerLength))) as Parameters<
    typeof edit
  >[0];
  edit(header);
  const text = new TextEncoder().encode(JSON.stringify(header));
  const padded = Math.ceil(text.length / 8) * 8;
  const out = new Uint8Array(8 + padded + weights.length - 8 - headerLength).fill(0x20);
  new DataView(out.buffer).setUint32(0, padded, true);
  out.fill(0, 4, 8);
  out.set(text, 8);
  out.set(weights.subarray(8 + headerLength), 8 + padded);
  return out;
};
const NORM = 'model.norm.weight';

const CASES: readonly Case[] = [
  { what: 'a folder that is not there', code: 'not-found', path: 'nowhere/' },
  { what: 'an empty source', code: 'invalid-source', path: '' },
  {
    what: 'an HTML page instead of a configuration',
    code: 'not-a-model',
    files: { 'config.json': '<!doctype html><title>Hi' },
  },
  {
    what: 'an HTML page instead of weights',
    code: 'not-a-model',
    files: { 'model.safetensors': '<!doctype html><title>Hi</title>' },
  },
  { what: 'no weights', code: 'not-found', without: ['model.safetensors'] },
  { what: 'no tokenizer', code: 'missing-tokenizer', without: ['tokenizer.json'] },
  { what: 'a configuration that is not JSON', code: 'corrupt-file', files: { 'config.json': '{"model_type": ' } },
  {
    what: 'an architecture that is not ours',
    code: 'unsupported-architecture',
    files: { 'config.json': JSON.stringify({ ...json('config.json'), model_type: 'mamba' }) },
    message: /mamba/,
  },
  {
    what: 'a field that changes the mathematics',
    code: 'unsupported-config',
    files: { 'config.json': JSON.stringify({ ...json('config.json'), attn_logit_softcapping: 50 }) },
    message: /attn_logit_softcapping/,
  },
  {
    what: 'a header longer than the file',
    code: 'corrupt-file',
    files: { 'model.safetensors': weights.slice(0, 100) },
  },
  {
    what: 'a file cut off in its data',
    code: 'corrupt-file',
    files: { 'model.safetensors': weights.slice(0, weights.length - 64) },
  },
  {
    what: 'tensors that overlap',
    code: 'corrupt-file',
    files: {
      'model.safetensors': withHeader(
        (header) => (header[NORM]!.data_offsets = [0, header[NORM]!.data_offsets[1]! - header[NORM]!.data_offsets[0]!]),
      ),
    },
  },
  {
    what: 'a dtype that nobody knows',
    code: 'corrupt-file',
    files: { 'model.safetensors': withHeader((header) => (header[NORM]!.dtype = 'F13')) },
  },
  {
    what: 'a tensor that is missing',
    code: 'missing-tensor',
    files: {
      'model.safetensors': withHeader((header) => {
        header['model.something_else.weight'] = header[NORM]!;
        delete header[NORM];
      }),
    },
    message: /model\.norm\.weight/,
  },
  {
    what: 'a missing shard',
    code: 'not-found',
    without: ['model.safetensors'],
    files: {
      'model.safetensors.index.json': JSON.stringify({
        metadata: {},
        weight_map: { [NORM]: 'model-00001-of-00002.safetensors' },
      }),
    },
    message: /model-00001-of-00002/,
  },
  {
    what: 'more memory than allowed',
    code: 'out-of-memory',
    options: { memoryLimitBytes: 1000 },
    message: /limit is 1\.0 kB/,
  },
  { what: 'a context that the model does not have', code: 'invalid-argument', options: { contextLength: 1e9 } },
  { what: 'a backend that is not here', code: 'backend-unavailable', options: { backend: 'webgpu' } },
];

describe('a source that is wrong', () => {
  let api: Api;
  let server: ModelServer;
  before(async () => {
    api = await distApi();
    server = await serveModel({});
  });
  after(() => server.close());

  const fill = (files: Record<string, Uint8Array | string>, without: readonly string[] = []): void => {
    server.files.clear();
    for (const [name, content] of Object.entries({ ...SOUND, ...files })) {
      if (without.includes(name)) continue;
      server.files.set(name, { bytes: typeof content === 'string' ? new TextEncoder().encode(content) : content });
    }
  };

  for (const { what, code, files, without, path, options, message } of CASES) {
    it(`${what}: ${code}`, async () => {
      fill(files ?? {}, without);
      const source = path === undefined ? server.url : path === '' ? '' : `${server.url}${path}`;
      await assert.rejects(api.loadModel(source, { backend: 'wasm', ...options }), (error: unknown) => {
        assert.ok(error instanceof api.WpError, String(error));
        assert.equal(error.code, code, error.message);
        assert.notEqual(error.hint, '', `no hint: ${error.message}`);
        if (message) assert.match(error.message, message);
        return true;
      });
    });
  }

  it('and then one that is right', async () => {
    fill({});
    const model = await api.loadModel(server.url, { backend: 'wasm' });
    assert.ok((await model.logits([1, 2, 3])).every(Number.isFinite));
    await model.dispose();
  });

  it('a load that is cancelled: AbortError, and the next one works', async () => {
    fill({});
    server.files.get('model.safetensors')!.stallAfterBytes = 2000;
    server.files.get('model.safetensors')!.stalls = 1;
    const controller = new AbortController();
    const loading = api.loadModel(server.url, { backend: 'wasm', signal: controller.signal });
    setTimeout(() => controller.abort(), 100);
    await assert.rejects(loading, { name: 'AbortError' });
    const model = await api.loadModel(server.url, { backend: 'wasm' });
    await model.dispose();
  });
});
