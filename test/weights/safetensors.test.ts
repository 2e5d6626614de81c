import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { WpError } from '../../runtime/errors.ts';
import { openModelFiles } from '../../runtime/loading/open-files.ts';
import { parseSource } from '../../runtime/loading/source.ts';
import { openCheckpoint } from '../../runtime/weights/checkpoint.ts';
import { toFloats } from '../../runtime/weights/convert.ts';
import { duplicateKey } from '../../runtime/weights/duplicate-key.ts';
import { readSafetensorsHeader } from '../../runtime/weights/safetensors.ts';
import { MemoryFile, f32Bytes, joined, memoryFiles, safetensors } from './memory-files.ts';

interface Golden {
  metadata: Record<string, string>;
  tensors: Record<string, { dtype: string; shape: number[]; sha256: string; values?: number[] }>;
}

const fixtures = new URL('./fixtures/', import.meta.url);
const goldens = JSON.parse(readFileSync(new URL('golden.json', fixtures), 'utf8')) as Record<string, Golden>;

const read = (bytes: Uint8Array) => readSafetensorsHeader(new MemoryFile('model.safetensors', bytes));
const rejects = async (bytes: Uint8Array, pattern: RegExp, code = 'corrupt-file'): Promise<void> => {
  await assert.rejects(read(bytes), (thrown: unknown) => {
    assert.ok(thrown instanceof WpError, String(thrown));
    assert.equal(thrown.code, code);
    assert.match(thrown.message, pattern);
    assert.match(thrown.message, /model\.safetensors/);
    return true;
  });
};

describe('safetensors, against the reference implementation', () => {
  for (const [path, golden] of Object.entries(goldens)) {
    it(path, async () => {
      const bytes = new Uint8Array(readFileSync(new URL(path, fixtures)));
      const { tensors, metadata } = await read(bytes);
      assert.deepEqual(Object.fromEntries(metadata), golden.metadata);
      assert.deepEqual(tensors.map(({ name }) => name).sort(), Object.keys(golden.tensors).sort());
      for (const { name, dtype, shape, start, end } of tensors) {
        const expected = golden.tensors[name]!;
        assert.deepEqual({ dtype, shape }, { dtype: expected.dtype, shape: expected.shape });
        const data = bytes.slice(start, end);
        assert.equal(createHash('sha256').update(data).digest('hex'), expected.sha256, name);
        const format = ({ F32: 'f32', F16: 'f16', BF16: 'bf16' } as const)[dtype as 'F32'];
        if (format) assert.deepEqual([...toFloats(data, format)], expected.values, name);
      }
    });
  }
});

describe('safetensors that contradict themselves', () => {
  const good = {
    a: { dtype: 'F32', shape: [2], bytes: f32Bytes([1, 2]) },
    b: { dtype: 'F32', shape: [1], bytes: f32Bytes([3]) },
  };
  const withB = (change: object) =>
    safetensors(good, undefined, (json) => ({ ...json, b: { ...(json['b'] as object), ...change } }));

  it('reads the sample that the others spoil', async () => {
    assert.equal((await read(safetensors(good))).tensors.length, 2);
  });
  it('too short for a length', () => rejects(new Uint8Array(7), /7 bytes/));
  it('a length beyond the file', async () => {
    const file = safetensors(good);
    await rejects(file.slice(0, 40), /truncated/);
  });
  it('a length beyond the cap', async () => {
    const file = safetensors(good);
    file.fill(0xff, 0, 8);
    await rejects(file, /18446744073709551615.*100000000/);
  });
  it('a truncated tensor', () => rejects(safetensors(good).slice(0, -1), /truncated/));
  it('bytes after the last tensor', async () => {
    const file = safetensors(good);
    const longer = new Uint8Array(file.length + 3);
    longer.set(file);
    await rejects(longer, /3 bytes that belong to no tensor/);
  });
  it('no JSON', () => rejects(joined('{"a":', []), /not JSON/));
  it('no UTF-8', async () => {
    const file = joined('{"aaaa":1}', []);
    file[11] = 0xff;
    await rejects(file, /not JSON/);
  });
  it('no object', () => rejects(joined('[1]', []), /not a JSON object/));
  it('the same name twice', () =>
    rejects(joined('{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"\\u0061":{}}', []), /"a" twice/));
  it('metadata that is no text', () => rejects(joined('{"__metadata__":{"a":1}}', []), /"a" is not a text/));
  it('a tensor that is no object', () => rejects(joined('{"a":null}', []), /no object/));
  it('an unknown dtype', () => rejects(withB({ dtype: 'F33' }), /"F33"/));
  it('a dtype that is a name of Object.prototype', () => rejects(withB({ dtype: 'constructor' }), /unknown dtype/));
  it('no dtype', () => rejects(withB({ dtype: undefined }), /unknown dtype undefined/));
  for (const shape of [[-1], [0.5], ['1'], 'x', [2 ** 53], [null], Array<number>(65).fill(1)]) {
    it(`the shape ${JSON.stringify(shape).slice(0, 20)}`, () => rejects(withB({ shape }), /impossible shape/));
  }
  it('a shape that does not fit its bytes', () => rejects(withB({ shape: [3] }), /4 bytes; F32 \[3\] takes 12/));
  it('a shape whose product would wrap to the right size', () =>
    rejects(withB({ shape: [2 ** 32, 2 ** 32] }), /takes/));
  for (const offsets of [[0], [4, 0], [-4, 0], 'x', [0, 1e300], [0.5, 4.5]]) {
    it(`the offsets ${JSON.stringify(offsets)}`, () => rejects(withB({ data_offsets: offsets }), /impossible offsets/));
  }
  it('an overlap', () => rejects(withB({ data_offsets: [4, 8] }), /overlaps .* by 4/));
  it('a gap', () =>
    rejects(joined('{"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}', [new Uint8Array(2)]), /gap of 1/));
  it('offsets beyond the file', () => rejects(withB({ data_offsets: [800, 804] }), /truncated/));

  it('a Git LFS pointer, a web page and other texts are no models', async () => {
    const pointer = 'version https://git-lfs.github.com/spec/v1\noid sha256:0000\nsize 123456\n';
    await rejects(new TextEncoder().encode(pointer), /Git LFS pointer/, 'not-a-model');
    await rejects(new TextEncoder().encode('<!doctype html><title>x</title>'), /web page/, 'not-a-model');
    await rejects(new TextEncoder().encode('Not found: no such object'), /begins with "Not found/, 'not-a-model');
  });
});

describe('duplicate keys of JSON', () => {
  const cases: [string, string | undefined][] = [
    ['{"a":1,"b":{"a":2},"c":[{"a":1},{"a":2}]}', undefined],
    ['{"a":1,"a":2}', 'a'],
    ['{"x":{"k":[1,2,{"q":1,"q":2}]}}', 'q'],
    ['{"a\\"":1,"a\\u0022":2}', 'a"'],
    ['{"a":"b,\\"a\\":1","b":"{"}', undefined],
    ['["a","a"]', undefined],
    ['{"a":["a","b","a"],"b":1}', undefined],
    ['{"\\\\":1,"x":2}', undefined],
  ];
  for (const [text, expected] of cases) it(text, () => assert.equal(duplicateKey(text), expected));
});

describe('checkpoints', () => {
  const shard = (name: string) => new Uint8Array(readFileSync(new URL(`sharded/${name}`, fixtures)));
  const names = ['model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors'] as const;
  const index = readFileSync(new URL('sharded/model.safetensors.index.json', fixtures), 'utf8');
  const all = { [names[0]]: shard(names[0]), [names[1]]: shard(names[1]), 'model.safetensors.index.json': index };
  const failsWith = (code: string, pattern: RegExp) => (thrown: unknown) => {
    assert.ok(thrown instanceof WpError, String(thrown));
    assert.equal(thrown.code, code);
    assert.match(thrown.message, pattern);
    return true;
  };

  it('opens shards by their index, from a folder', async () => {
    const source = parseSource(new URL('sharded/', fixtures).href, { embeddedBase: '' });
    const files = await openModelFiles(source);
    const checkpoint = await openCheckpoint(files);
    assert.deepEqual([...checkpoint.tensors.keys()].sort(), [
      'model.a.weight',
      'model.b.weight',
      'model.c.weight',
      'model.norm.weight',
    ]);
    assert.equal(
      checkpoint.totalBytes,
      (JSON.parse(index) as { metadata: { total_size: number } }).metadata.total_size,
    );
    const golden = goldens[`sharded/${names[1]}`]!.tensors['model.b.weight']!;
    assert.deepEqual([...toFloats(await checkpoint.read('model.b.weight'), 'bf16')], golden.values);
    await assert.rejects(checkpoint.read('nope'), failsWith('missing-tensor', /nope/));
    await files.close();
  });

  it('names the shard that is missing', async () => {
    const files = memoryFiles({ ...all, [names[1]]: new Uint8Array(0) });
    files.opened.delete(names[1]);
    await assert.rejects(openCheckpoint(files), failsWith('not-found', /model-00002-of-00002/));
  });

  it('names the tensors that the index promises in vain', async () => {
    const wrong = index.replaceAll('"model.b.weight"', '"model.z.weight"');
    await assert.rejects(
      openCheckpoint(memoryFiles({ ...all, 'model.safetensors.index.json': wrong })),
      failsWith('missing-tensor', /model\.z\.weight \(model-00002/),
    );
  });

  it('refuses indices that lead out of the folder or are none', async () => {
    for (const shard of [
      '../../etc/passwd',
      '/x.safetensors',
      'https://x/y.safetensors',
      7,
      '..',
      'a/../b.safetensors',
    ]) {
      const text = JSON.stringify({ weight_map: { a: shard } });
      await assert.rejects(
        openCheckpoint(memoryFiles({ 'model.safetensors.index.json': text })),
        failsWith('corrupt-file', /shard/),
      );
    }
    for (const text of ['{}', '[]', 'null', '{"weight_map":[]}', '{"weight_map":{}}']) {
      await assert.rejects(
        openCheckpoint(memoryFiles({ 'model.safetensors.index.json': text })),
        failsWith('corrupt-file', /weight_map|no tensor/),
      );
    }
  });

  it('says what it looked for when there are no weights', async () => {
    await assert.rejects(
      openCheckpoint(memoryFiles({ 'config.json': '{}' })),
      failsWith('not-found', /model\.safetensors\.index\.json/),
    );
  });

  it('tells the notice of the file', async () => {
    const file = safetensors({}, { 'wp-models.notice': 'Tells stories.' });
    assert.equal((await openCheckpoint(memoryFiles({ 'model.safetensors': file }))).notice, 'Tells stories.');
  });
});
