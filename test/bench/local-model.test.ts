// A model that lies outside of the project, as the bench serves it.

import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { localModel } from '../../bench/local-model.mjs';
import { OptionError, readOptions } from '../../bench/options.mjs';
import { serveFiles } from '../../bench/serve-files.mjs';

describe('a model on this machine', () => {
  const content = Uint8Array.from({ length: 5000 }, (_, i) => i % 251);
  let folder: string;
  let path: string;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'bench-model-'));
    path = join(folder, 'of two + words.gguf');
    await writeFile(path, content);
    await mkdir(join(folder, 'onnx'));
    await writeFile(join(folder, 'onnx', 'config.json'), '{}');
  });
  after(() => rm(folder, { recursive: true }));

  it('is served whole, and by range', async () => {
    const { files, address } = await localModel(path);
    const { url, close } = await serveFiles(files);
    try {
      const whole = await fetch(url + address);
      assert.equal(whole.status, 200);
      assert.deepEqual(new Uint8Array(await whole.arrayBuffer()), content);
      const part = await fetch(url + address, { headers: { range: 'bytes=100-4099' } });
      assert.equal(part.status, 206);
      assert.equal(part.headers.get('content-range'), 'bytes 100-4099/5000');
      assert.deepEqual(new Uint8Array(await part.arrayBuffer()), content.slice(100, 4100));
      assert.equal((await fetch(`${url}onnx/config.json`)).status, 404);
    } finally {
      close();
    }
  });

  it('may be a folder with folders', async () => {
    const { files, address } = await localModel(folder);
    assert.equal(address, '');
    assert.deepEqual(Object.keys(files).sort(), ['of two + words.gguf', 'onnx/config.json']);
  });

  it('names the results, and is wllama’s file too', () => {
    const options = readOptions(['--model', path, '--peer', 'wllama']);
    assert.equal(options['gguf'], path);
    assert.match(String(options['json']), /results\/of-two-words\.gguf-auto/);
  });

  it('must exist', () => {
    assert.throws(() => readOptions(['--model', './no-such-file.gguf']), OptionError);
  });
});
