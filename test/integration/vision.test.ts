// From folders of vision transformers, CLIP and SigLIP, and pixels, to what transformers computes with them: the page's side, the
// host and the processor in one thread.

import assert from 'node:assert/strict';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { WpError, type Classification, type ImagePixels, type Model } from '../../runtime/index.ts';
import { loadDirectly } from '../support/load-directly.ts';

type Rows = number[][];
interface Goldens {
  labels: string[];
  names: string[];
  vit: { probabilities: Rows; vectors: Rows };
  deit: { probabilities: Rows; vectors: Rows };
  dinov2: { probabilities: Rows; vectors: Rows };
  clip: { scores: Record<string, Rows>; texts: Rows; vectors: Rows };
  siglip: { scores: Record<string, Rows>; texts: Rows; vectors: Rows };
}

const fixtures = new URL('../fixtures/', import.meta.url);
const read = (path: string) => readFile(new URL(path, fixtures));
const goldens = JSON.parse(String(await read('vision/goldens.json'))) as Goldens;
const { sizes } = JSON.parse(String(await read('images/goldens.json'))) as { sizes: [number, number][] };
const bytes = await read('images/images.bin');
let at = 0;
const pictures: ImagePixels[] = sizes.map(([width, height]) => ({
  data: new Uint8Array(bytes.subarray(at, (at += 3 * width * height))),
  width,
  height,
}));
const pathOf = (name: string) => fileURLToPath(new URL(`vision/${name}/`, fixtures));
const f16 = { backend: 'wasm', precision: 'f16', threads: 1 } as const;
const load = (name: string) => loadDirectly(pathOf(name), f16);

const failsWith = (code: string, message: RegExp) => (error: unknown) => {
  assert.ok(error instanceof WpError, String(error));
  assert.equal(error.code, code, error.message);
  assert.match(`${error.message} ${error.hint}`, message);
  return true;
};

function assertNear(actual: readonly ArrayLike<number>[], expected: Rows): void {
  assert.equal(actual.length, expected.length);
  expected.forEach((row, i) => {
    assert.equal(actual[i]!.length, row.length);
    row.forEach((number, j) =>
      assert.ok(Math.abs(actual[i]![j]! - number) <= 2e-5, `${i}, ${j}: ${actual[i]![j]}, ${number}`),
    );
  });
}

/** Scores in the order of `labels`; each list must be sorted. */
function scoresOf(lists: Classification[][], labels: readonly string[]): Rows {
  for (const list of lists) {
    assert.deepEqual(
      list.map(({ score }) => score),
      list.map(({ score }) => score).sort((a, b) => b - a),
    );
  }
  return lists.map((list) => labels.map((label) => list.find((found) => found.label === label)!.score));
}

async function using(name: string, use: (model: Model) => Promise<void>): Promise<void> {
  const model = await load(name);
  try {
    await use(model);
  } finally {
    await model.dispose();
  }
}

describe('classifiers of images agree with transformers', () => {
  for (const name of ['vit', 'deit', 'dinov2'] as const) {
    it(name, () =>
      using(name, async (model) => {
        const { probabilities, vectors } = goldens[name];
        assert.deepEqual(model.info.encoder?.tasks, ['embed', 'classify']);
        const said: number[] = [];
        const lists = await model.classify(pictures, { onProgress: ({ done, total }) => said.push(done / total) });
        assertNear(scoresOf(lists, goldens.names), probabilities);
        assert.equal(said.at(-1), 1);
        assertNear(scoresOf(await model.classify(pictures[2]!), goldens.names), [probabilities[2]!]);
        const result = await model.embed(pictures);
        assertNear(result.vectors, vectors);
        assert.equal((await model.embed(pictures, { dimensions: 8 })).vectors[3]!.length, 8);
        assert.ok(Math.abs((await model.similarity(pictures[0]!, pictures[0]!)) - 1) < 1e-6);
      }),
    );
  }
});

describe('two towers agree with transformers', () => {
  for (const name of ['clip', 'siglip'] as const) {
    it(name, () =>
      using(name, async (model) => {
        const { scores, texts, vectors } = goldens[name];
        const { encoder } = model.info;
        assert.deepEqual(encoder?.tasks, ['embed', 'zeroShot']);
        assert.deepEqual([encoder?.images?.width, encoder?.images?.readsTexts], [16, true]);
        assertNear((await model.embed(pictures)).vectors, vectors);
        assertNear((await model.embed(goldens.labels)).vectors, texts);
        for (const [template, expected] of Object.entries(scores)) {
          const isDefault = template === 'This is a photo of {}.';
          const options = isDefault ? {} : { template };
          assertNear(scoresOf(await model.zeroShot(pictures, goldens.labels, options), goldens.labels), expected);
        }
        const dot = vectors[1]!.reduce((sum, number, i) => sum + number * texts[2]![i]!, 0);
        assert.ok(Math.abs((await model.similarity(pictures[1]!, goldens.labels[2]!)) - dot) <= 2e-5);
        const memory = await model.memory();
        assert.ok(memory.actual.weights > 0 && memory.planned.total >= memory.planned.weights);
      }),
    );
  }
});

describe('bad input', () => {
  const pixels = (width: number, height: number, length: number) => ({ data: new Uint8Array(length), width, height });

  it('is refused by what is wrong with it, and the model goes on', () =>
    using('clip', async (model) => {
      const image = pictures[0]!;
      const bad: [() => Promise<unknown>, string, RegExp][] = [
        [() => model.embed(7 as never), 'invalid-argument', /texts is number/],
        [() => model.embed([image, 'a cat'] as never), 'invalid-argument', /texts and images/],
        [() => model.embed({} as never), 'invalid-argument', /object of another kind/],
        [() => model.zeroShot([image, null] as never, ['a']), 'invalid-argument', /Image 1 is null/],
        [() => model.zeroShot('cat.jpg', ['a']), 'invalid-argument', /no address/],
        [() => model.zeroShot(new URL('https://example.com/cat.jpg'), ['a']), 'unsupported-operation', /In Node/],
        [() => model.zeroShot(new Blob(['no image']), ['a']), 'unsupported-operation', /In Node/],
        [() => model.embed(pixels(0, 5, 0)), 'invalid-argument', /0 × 5.*empty/],
        [() => model.embed(pixels(1.5, 2, 9)), 'invalid-argument', /empty/],
        [() => model.embed(pixels(4, 4, 32)), 'invalid-argument', /32 bytes for 4 × 4/],
        [() => model.embed(pixels(20_000, 20_000, 3)), 'invalid-argument', /100 million/],
        [() => model.zeroShot(image, []), 'invalid-argument', /no labels/],
        [() => model.zeroShot(image, [3] as never), 'invalid-argument', /labels\[0\] is number/],
        [() => model.zeroShot(image, ['a'], { template: 'no place' }), 'invalid-argument', /\{\}/],
        [() => model.embed(image, { dimensions: 17 }), 'invalid-argument', /have 16/],
        [() => model.classify(image), 'unsupported-operation', /embed and zeroShot/],
        [() => model.classify('a cat'), 'unsupported-operation', /embed and zeroShot/],
        [() => model.rerank('a', ['b']), 'unsupported-operation', /embed and zeroShot/],
        [() => model.chat([{ role: 'user', content: 'Hi' }]).next(), 'unsupported-operation', /encodes images/],
      ];
      for (const [call, code, message] of bad) await assert.rejects(call(), failsWith(code, message), String(message));
      assertNear((await model.embed(image)).vectors, [goldens.clip.vectors[0]!]);
    }));

  it('a model of images only takes no texts, one of texts no images', async () => {
    await using('vit', async (model) => {
      await assert.rejects(
        model.zeroShot(pictures[0]!, ['a']),
        failsWith('unsupported-operation', /embed and classify/),
      );
      await assert.rejects(model.classify('not an address'), failsWith('invalid-argument', /no address/));
      await assert.rejects(model.tokenize('a'), failsWith('unsupported-operation', /read texts/));
    });
    const words = await loadDirectly(fileURLToPath(new URL('sentences/classifier/', fixtures)), f16);
    await assert.rejects(words.classify(pictures[0]!), failsWith('invalid-argument', /reads texts/));
    await words.dispose();
  });

  it('aborts before and between images', () =>
    using('vit', async (model) => {
      const isAbort = (error: unknown) => error instanceof Error && error.name === 'AbortError';
      await assert.rejects(model.classify(pictures, { signal: AbortSignal.abort() }), isAbort);
      const controller = new AbortController();
      const many = Array.from({ length: 400 }, () => pictures[0]!);
      let done = 0;
      const onProgress = (progress: { done: number }) => {
        done = progress.done;
        controller.abort();
      };
      await assert.rejects(model.classify(many, { signal: controller.signal, onProgress }), isAbort);
      assert.ok(done > 0 && done < many.length);
      assertNear(scoresOf(await model.classify(pictures[1]!), goldens.names), [goldens.vit.probabilities[1]!]);
    }));

  it('a folder that does not say how its images are made ready, or says it otherwise', async () => {
    const changed = async (change: (folder: string) => Promise<void>) => {
      const copy = await mkdtemp(join(tmpdir(), 'wp-vision-'));
      try {
        await cp(pathOf('vit'), copy, { recursive: true });
        await change(copy);
        return await loadDirectly(`${copy}/`, f16);
      } finally {
        await rm(copy, { recursive: true });
      }
    };
    const preprocessor = 'preprocessor_config.json';
    const without = changed((folder) => rm(join(folder, preprocessor)));
    await assert.rejects(without, failsWith('not-found', /preprocessor_config\.json/));
    const strange = changed((folder) => writeFile(join(folder, preprocessor), '{"image_processor_type": "Sam"}'));
    await assert.rejects(strange, failsWith('unsupported-config', /ViTImageProcessor/));
    // As newer versions of transformers write it for a whole processor.
    const nested = await changed(async (folder) => {
      const config: unknown = JSON.parse(await readFile(join(folder, preprocessor), 'utf8'));
      await rm(join(folder, preprocessor));
      await writeFile(join(folder, 'processor_config.json'), JSON.stringify({ image_processor: config }));
    });
    assertNear(scoresOf(await nested.classify(pictures), goldens.names), goldens.vit.probabilities);
    await nested.dispose();
  });
});
