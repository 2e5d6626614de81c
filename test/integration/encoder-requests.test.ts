// Which files loading an encoder asks a server for: what its kind has not is an error in a page's console each time.

import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { it } from 'node:test';
import { loadDirectly } from '../support/load-directly.ts';
import { serveModel } from '../loading/model-server.ts';

const CASES: readonly { what: string; folder: string }[] = [
  { what: 'sentence-transformers', folder: 'sentences/embedder' },
  { what: 'a classifier', folder: 'sentences/classifier' },
  { what: 'a tagger', folder: 'sentences/tagger' },
  { what: 'a model of images', folder: 'vision/vit' },
  { what: 'a model of two towers', folder: 'vision/clip' },
];

for (const { what, folder } of CASES) {
  it(`${what}: nothing that is not there`, async () => {
    const path = new URL(`../fixtures/${folder}/`, import.meta.url);
    const names = (await readdir(path, { recursive: true })).filter((name) => /\.(json|safetensors)$/.test(name));
    const files = await Promise.all(names.map(async (name) => [name, await readFile(new URL(name, path))] as const));
    const server = await serveModel(Object.fromEntries(files));
    try {
      const model = await loadDirectly(server.url, { backend: 'wasm', precision: 'f16', threads: 1 });
      await model.dispose();
      const asked = new Set(server.requests.map((request) => request.path));
      assert.ok(asked.has('config.json'));
      assert.deepEqual(
        [...asked].filter((name) => !server.files.has(name)),
        [],
      );
    } finally {
      await server.close();
    }
  });
}
