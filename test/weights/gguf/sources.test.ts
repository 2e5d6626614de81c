// The same GGUF model from each kind of source.

import assert from 'node:assert/strict';
import { openAsBlob, readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { WpError } from '../../../runtime/errors.ts';
import type { ModelFiles } from '../../../runtime/loading/model-files.ts';
import { openModelFiles } from '../../../runtime/loading/open-files.ts';
import { LoadProgressTracker } from '../../../runtime/loading/progress.ts';
import { parseSource } from '../../../runtime/loading/source.ts';
import { openGguf } from '../../../runtime/weights/gguf/open.ts';
import { serveModel } from '../../loading/model-server.ts';

const folder = new URL('./fixtures/', import.meta.url);
const parts = ['llama-llama3-00001-of-00002.gguf', 'llama-llama3-00002-of-00002.gguf'] as const;
const bytes = new Map(parts.map((name) => [name, new Uint8Array(readFileSync(new URL(name, folder)))]));

/** Every tensor's bytes, from these files. */
async function tensorsOf(files: ModelFiles): Promise<Map<string, Uint8Array>> {
  try {
    const { checkpoint } = await openGguf(files);
    const tensors = new Map<string, Uint8Array>();
    for (const name of checkpoint.tensors.keys()) tensors.set(name, await checkpoint.read(name));
    return tensors;
  } finally {
    await files.close();
  }
}

const context = { embeddedBase: '' };
const dropped = (names: readonly string[]): Promise<File[]> =>
  Promise.all(names.map(async (name) => new File([await openAsBlob(new URL(name, folder))], name)));

describe('a GGUF model', () => {
  const fromPath = openModelFiles(parseSource(new URL(parts[1], folder).href, context)).then(tensorsOf);

  it('in a folder, in two parts', async () => {
    assert.equal((await fromPath).size, 21);
  });

  it('dropped', async () => {
    const files = await openModelFiles(parseSource(await dropped(parts), context));
    assert.deepEqual(await tensorsOf(files), await fromPath);
  });

  it('dropped without one of its parts is refused, by the name of the part', async () => {
    const files = await openModelFiles(parseSource(await dropped([parts[1]]), context));
    await assert.rejects(
      tensorsOf(files),
      (thrown: unknown) =>
        thrown instanceof WpError && thrown.code === 'not-found' && thrown.message.includes(parts[0]),
    );
  });

  for (const ranges of [true, false]) {
    it(`on a server ${ranges ? 'with' : 'without'} byte ranges`, async () => {
      const server = await serveModel(
        Object.fromEntries(parts.map((name) => [name, { bytes: bytes.get(name)!, ranges }])),
      );
      try {
        const progress = new LoadProgressTracker({ report: () => undefined });
        const files = await openModelFiles(parseSource(`${server.url}${parts[0]}`, context), { progress });
        assert.deepEqual(await tensorsOf(files), await fromPath);
      } finally {
        await server.close();
      }
    });
  }

  it('that a server does not have is not found; a page in its place is no model', async () => {
    const server = await serveModel({ 'page.gguf': '<!doctype html><title>Not found</title>' });
    try {
      for (const [name, code] of [
        ['missing.gguf', 'not-found'],
        ['page.gguf', 'not-a-model'],
      ] as const) {
        const files = await openModelFiles(parseSource(`${server.url}${name}`, context));
        await assert.rejects(
          tensorsOf(files),
          (thrown: unknown) => thrown instanceof WpError && thrown.code === code && thrown.message.includes(name),
        );
      }
    } finally {
      await server.close();
    }
  });
});
