// Image tasks over ONNX exports of ViT, DINOv2, CLIP and SigLIP: what transformers computes with the same checkpoints.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import type { Classification, ImagePixels, Model } from '../../runtime/index.ts';
import { loadDirectly } from '../support/load-directly.ts';
import { assertClose, failsWith, fixture, withFolder } from './fixtures.ts';

type Rows = number[][];
type Towers = { scores: Record<string, Rows>; texts: Rows; vectors: Rows };
const read = <T>(path: string): T => JSON.parse(readFileSync(fixture(path), 'utf8')) as T;
const goldens = read<{
  labels: string[];
  names: string[];
  vit: { probabilities: Rows };
  dinov2: { vectors: Rows };
  clip: Towers;
  siglip: Towers;
}>('../vision/goldens.json');

const bytes = new Uint8Array(readFileSync(fixture('../images/images.bin')));
let at = 0;
const pictures: ImagePixels[] = read<{ sizes: [number, number][] }>('../images/goldens.json').sizes.map(
  ([width, height]) => ({ data: bytes.slice(at, (at += 3 * width * height)), width, height }),
);

function assertRows(actual: readonly ArrayLike<number>[], expected: Rows): void {
  assert.equal(actual.length, expected.length);
  expected.forEach((row, i) => assertClose(actual[i]!, row, 2e-5));
}

const inOrder = (lists: Classification[][], labels: readonly string[]): Rows =>
  lists.map((list) => labels.map((label) => list.find((found) => found.label === label)!.score));

/** The checkpoint's folder with the export in the place of its weights, without `missing`. */
function using(name: string, use: (model: Model) => Promise<void>, missing = '', onnx = name): Promise<void> {
  const texts = name === 'clip' || name === 'siglip' ? ['tokenizer.json', 'tokenizer_config.json'] : [];
  const beside = ['config.json', 'preprocessor_config.json', ...texts].filter((file) => file !== missing);
  const files = {
    ...Object.fromEntries(beside.map((file) => [file, fixture(`../vision/${name}/${file}`)])),
    [`onnx/${onnx === name ? 'model' : 'text_model'}.onnx`]: fixture(`${onnx}.onnx`),
  };
  return withFolder(files, async (folder) => {
    const model = await loadDirectly(onnx === name ? folder : `${folder}onnx/text_model.onnx`, {});
    await use(model).finally(() => model.dispose());
  });
}

describe('images on exports', () => {
  it('classes of ViT; more images than a step, abort, what it cannot do', () =>
    using('vit', async (model) => {
      assert.deepEqual([model.info.modelType, model.info.layers], ['vit', 2]);
      assert.deepEqual([model.info.encoder?.tasks, model.info.encoder?.images?.width], [['classify'], 16]);
      const { probabilities } = goldens.vit;
      const many = [...pictures, ...pictures, pictures[0]!];
      const said: number[] = [];
      const lists = await model.classify(many, { onProgress: ({ done }) => said.push(done) });
      assertRows(inOrder(lists, goldens.names), [...probabilities, ...probabilities, probabilities[0]!]);
      assert.equal(said.at(-1), 9);
      const controller = new AbortController();
      const aborted = model.classify(many, { signal: controller.signal, onProgress: () => controller.abort() });
      await assert.rejects(aborted, { name: 'AbortError' });
      await assert.rejects(model.embed(pictures), failsWith('unsupported-operation', /classify/));
      await assert.rejects(model.tokenize('a'), failsWith('unsupported-operation'));
      await assert.rejects(
        model.classify({ data: new Uint8Array(3), width: 4, height: 4 }),
        failsWith('invalid-argument', /4 × 4/),
      );
    }));

  it('vectors of DINOv2', () =>
    using('dinov2', async (model) => {
      assert.deepEqual([model.info.encoder?.tasks, model.info.encoder?.dimensions], [['embed'], 32]);
      assertRows((await model.embed(pictures)).vectors, goldens.dinov2.vectors);
    }));

  for (const name of ['clip', 'siglip'] as const) {
    it(`${name}: vectors of both, labels that it was never taught, similarity`, () =>
      using(name, async (model) => {
        const { scores, texts, vectors } = goldens[name];
        const { encoder } = model.info;
        assert.deepEqual([encoder?.tasks, encoder?.images?.readsTexts], [['embed', 'zeroShot'], true]);
        assertRows((await model.embed(pictures)).vectors, vectors);
        assertRows((await model.embed(goldens.labels)).vectors, texts);
        for (const [template, expected] of Object.entries(scores)) {
          const lists = await model.zeroShot(pictures, goldens.labels, { template });
          assertRows(inOrder(lists, goldens.labels), expected);
        }
        const dot = vectors[1]!.reduce((sum, number, i) => sum + number * texts[2]![i]!, 0);
        assertClose([await model.similarity(pictures[1]!, goldens.labels[2]!)], [dot], 2e-5);
        await assert.rejects(model.zeroShot(pictures, []), failsWith('invalid-argument', /no labels/));
        await assert.rejects(model.classify(pictures), failsWith('unsupported-operation', /zeroShot/));
      }));
  }

  it('more labels than a step has room for: each keeps its weight', () =>
    using('siglip', async (model) => {
      const labels = Array.from({ length: 70 }, (_, i) => goldens.labels[i % 3]!);
      const [list] = await model.zeroShot(pictures[0]!, labels, { template: '{}' });
      assert.equal(list!.length, 70);
      const expected = goldens.siglip.scores['{}']![0]!;
      for (const { label, score } of list!) assertClose([score], [expected[goldens.labels.indexOf(label)]!], 2e-5);
    }));

  it('one tower alone: texts of CLIP', () =>
    using(
      'clip',
      async (model) => {
        assert.deepEqual([model.info.encoder?.tasks, model.info.encoder?.maxTokens], [['embed'], 14]);
        assertRows((await model.embed(goldens.labels)).vectors, goldens.clip.texts);
      },
      '',
      'clip-text',
    ));

  it('without the files that say how, there are tensors only, and it is said', () =>
    using(
      'vit',
      async (model) => {
        assert.equal(model.info.encoder, undefined);
        assert.ok(model.info.plan.reasons.some(({ reason }) => /No preprocessor_config\.json/.test(reason)));
      },
      'preprocessor_config.json',
    ));
});
