// The way of an encoder into the package: the script that embeds models, a name after `wp:`, and vectors like transformers'.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { distApi } from './dist-api.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const from = join(root, 'test/fixtures/sentences/embedder');
const goldens = JSON.parse(await readFile(join(from, '../goldens.json'), 'utf8')) as {
  embedder: { texts: string[]; vectors: number[][] };
};

describe('an embedded encoder', () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'embedded-'));
  });
  after(async () => {
    await rm(folder, { recursive: true });
  });

  it('is written with few bits, found by its name, and gives the vectors of the original', async () => {
    const script = join(root, 'scripts/embedded-model.ts');
    const options = ['--from', from, '--out', join(folder, 'small'), '--bits', '8', '--notice', ''];
    await promisify(execFile)(process.execPath, ['--import', 'tsx', script, ...options], { cwd: root });

    const { configureRuntime, loadModel, similarity } = await distApi();
    configureRuntime({ embeddedBase: pathToFileURL(`${folder}/`) });
    const model = await loadModel('wp:small', { backend: 'wasm', threads: 1 });
    assert.equal(model.info.plan.precision, '8bit');
    const { texts, vectors: expected } = goldens.embedder;
    const { vectors } = await model.embed(texts);
    vectors.forEach((vector, i) => {
      const likeness = similarity(vector, Float32Array.from(expected[i]!));
      assert.ok(likeness > 0.99, `text ${i}: ${likeness}`);
    });
    await model.dispose();
  });
});
