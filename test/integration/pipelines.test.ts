// Entities and zero-shot labels, as transformers' pipelines make them of the same checkpoints.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { WpError, type Classification, type Model } from '../../runtime/index.ts';
import type { Aggregation } from '../../runtime/model.ts';
import { loadDirectly } from '../support/load-directly.ts';

interface Entity {
  label: string;
  score: number;
  start: number;
  end: number;
}

interface Goldens {
  texts: string[];
  tagger: Record<Aggregation, Entity[][]>;
  byteTagger: Record<Aggregation, Entity[][]>;
  premises: string[];
  labels: string[];
  entailer: Record<'plain' | 'template' | 'multi' | 'one', Classification[][]>;
}

const fixtures = new URL('../fixtures/sentences/', import.meta.url);
const goldens = JSON.parse(await readFile(new URL('pipelines.json', fixtures), 'utf8')) as Goldens;
const load = (name: string) =>
  loadDirectly(fileURLToPath(new URL(`${name}/`, fixtures)), { backend: 'wasm', precision: 'f16', threads: 1 });
const isInvalid = (error: unknown) => error instanceof WpError && error.code === 'invalid-argument';

for (const [folder, expected] of [
  ['tagger', goldens.tagger],
  ['byte-tagger', goldens.byteTagger],
] as const) {
  describe(`entities: ${folder}`, () => {
    let model: Model;
    before(async () => {
      model = await load(folder);
    });
    after(() => model.dispose());

    it('tells what it labels', () => {
      assert.deepEqual(model.info.encoder?.tasks, ['embed', 'classify']);
      assert.equal(model.info.encoder.labelsTokens, true);
      assert.deepEqual(model.info.encoder.labels, ['O', 'B-PER', 'I-PER', 'B-LOC', 'I-LOC']);
    });

    for (const aggregation of ['none', 'simple', 'first', 'average', 'max'] as const) {
      it(`by ${aggregation}: labels, places, scores`, async () => {
        const found = await model.classify(goldens.texts, { aggregation });
        found.forEach((entities, i) => {
          const places = ({ label, start, end }: Classification): unknown => ({ label, start, end });
          assert.deepEqual(entities.map(places), expected[aggregation][i]!.map(places), goldens.texts[i]);
          entities.forEach(({ score, text, start, end }, j) => {
            assert.ok(Math.abs(score - expected[aggregation][i]![j]!.score) <= 1e-4, `text ${i}, entity ${j}`);
            assert.equal(text, goldens.texts[i]!.slice(start, end));
          });
        });
      });
    }

    it('simple unless asked otherwise; refuses another way', async () => {
      const [entities] = await model.classify(goldens.texts[0]!);
      assert.equal(entities?.length, expected.simple[0]?.length);
      await assert.rejects(model.classify('a', { aggregation: 'best' as never }), isInvalid);
    });
  });
}

describe('zero-shot labels of texts', () => {
  const { premises, labels, entailer } = goldens;
  let model: Model;
  before(async () => {
    model = await load('entailer');
  });
  after(() => model.dispose());

  const same = (found: Classification[][], expected: Classification[][]): void => {
    found.forEach((scores, i) => {
      const names = (list: Classification[]): string[] => list.map(({ label }) => label);
      assert.deepEqual(names(scores), names(expected[i]!), `text ${i}`);
      scores.forEach(({ score }, j) => assert.ok(Math.abs(score - expected[i]![j]!.score) <= 1e-4, `text ${i}, ${j}`));
    });
  };

  it('as transformers: one label of many, a template, several labels, only one; a long text is cut', async () => {
    assert.deepEqual(model.info.encoder?.tasks, ['embed', 'classify', 'zeroShot']);
    same(await model.zeroShot(premises, labels), entailer.plain);
    same(await model.zeroShot(premises, labels, { template: 'what is {}?' }), entailer.template);
    same(await model.zeroShot(premises, labels, { multiLabel: true }), entailer.multi);
    same(await model.zeroShot(premises, labels.slice(0, 1)), entailer.one);
    same(await model.zeroShot(premises[0]!, labels), entailer.plain.slice(0, 1));
  });

  it('says how far it is in texts', async () => {
    const said: { done: number; total: number }[] = [];
    await model.zeroShot(premises, labels, { onProgress: (progress) => said.push(progress) });
    assert.deepEqual(said.at(-1), { done: 3, total: 3 });
  });

  it('refuses what it cannot do', async () => {
    await assert.rejects(model.zeroShot(premises, []), isInvalid);
    await assert.rejects(model.zeroShot(premises, 'cat' as never), isInvalid);
    await assert.rejects(model.zeroShot([7] as never, labels), isInvalid);
    await assert.rejects(model.zeroShot(premises, labels, { template: 'no place' }), isInvalid);
    await assert.rejects(model.zeroShot(premises, ['cat '.repeat(1000)]), isInvalid);
    await assert.rejects(model.classify(premises, { aggregation: 'max' }), isInvalid);
  });
});
