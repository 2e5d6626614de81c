// Text tasks over ONNX exports, in the layout of a hub repository: what transformers computes with the same checkpoints.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { similarity, type Classification } from '../../runtime/index.ts';
import { loadDirectly } from '../support/load-directly.ts';
import { assertClose, failsWith, fixture, withFolder } from './fixtures.ts';

const sentences = (path: string): string => fixture(`../sentences/${path}`);
const goldens = JSON.parse(readFileSync(sentences('goldens.json'), 'utf8')) as {
  embedder: { texts: string[]; vectors: number[][]; cls: number[][]; truncated: number[] };
  ranker: { query: string; documents: string[]; scores: number[] };
  classifier: { labels: string[]; probabilities: number[][] };
};

const pipelines = JSON.parse(readFileSync(sentences('pipelines.json'), 'utf8')) as {
  texts: string[];
  tagger: Record<'simple' | 'average', Classification[][]>;
  premises: string[];
  labels: string[];
  entailer: Record<'plain' | 'multi', Classification[][]>;
};

function assertSame(actual: readonly Classification[], expected: readonly Classification[]): void {
  const place = ({ label, start, end }: Classification): unknown => ({ label, start, end });
  assert.deepEqual(actual.map(place), expected.map(place));
  const scores = (list: readonly Classification[]): number[] => list.map(({ score }) => score);
  assertClose(scores(actual), scores(expected), 1e-4);
}

/** The checkpoint's folder with the export in the place of its weights. */
function repository(
  name: string,
  variants: Record<string, string> = { 'model.onnx': `${name}.onnx` },
): Record<string, string> {
  const small = ['config.json', 'tokenizer.json', 'tokenizer_config.json'];
  const ofSentences = ['1_Pooling', 'modules.json', 'sentence_bert_config.json', 'config_sentence_transformers.json'];
  return {
    ...Object.fromEntries(
      [...small, ...(name === 'embedder' ? ofSentences : [])].map((file) => [file, sentences(`${name}/${file}`)]),
    ),
    ...Object.fromEntries(Object.entries(variants).map(([file, from]) => [`onnx/${file}`, fixture(from)])),
  };
}

describe('tasks on exports', () => {
  it('embed: vectors, padding, truncation, abort', () =>
    withFolder(repository('embedder'), async (folder) => {
      const model = await loadDirectly(folder, {});
      assert.equal(model.info.onnx?.file, 'onnx/model.onnx');
      assert.deepEqual(model.info.encoder?.tasks, ['embed']);
      assert.deepEqual(
        [model.info.modelType, model.info.encoder?.dimensions, model.info.encoder?.maxTokens],
        ['bert', 32, 16],
      );
      const { texts, vectors, truncated } = goldens.embedder;
      const result = await model.embed(texts);
      result.vectors.forEach((vector, i) => assertClose(vector, vectors[i]!, 1e-5));
      assert.deepEqual(result.truncated, truncated);
      const many = Array.from({ length: 150 }, (_, i) => texts[i % texts.length]!);
      const all = await model.embed(many);
      all.vectors.forEach((vector, i) => assertClose(vector, vectors[i % texts.length]!, 1e-5));
      await assert.rejects(model.embed(texts, { signal: AbortSignal.abort() }), { name: 'AbortError' });
      await assert.rejects(model.classify('a'), failsWith('unsupported-operation', /can embed/));
      await model.dispose();
    }));

  it('classify', () =>
    withFolder(repository('classifier'), async (folder) => {
      const model = await loadDirectly(`${folder}onnx/model.onnx`, {});
      const { labels, probabilities } = goldens.classifier;
      assert.deepEqual(model.info.encoder?.labels, labels);
      const classes = await model.classify(goldens.embedder.texts);
      classes.forEach((scores, i) => {
        for (const { label, score } of scores) assertClose([score], [probabilities[i]![labels.indexOf(label)]!], 1e-5);
      });
      await model.dispose();
    }));

  it('rerank', () =>
    withFolder(repository('ranker'), async (folder) => {
      const model = await loadDirectly(folder, {});
      const { query, documents, scores } = goldens.ranker;
      const ranked = await model.rerank(query, documents);
      for (const { index, score } of ranked) assertClose([score], [scores[index]!], 1e-5);
      await model.dispose();
    }));

  it('entities: labels of tokens, with their places', () =>
    withFolder(repository('tagger'), async (folder) => {
      const model = await loadDirectly(folder, {});
      assert.deepEqual([model.info.encoder?.tasks, model.info.encoder?.labelsTokens], [['classify'], true]);
      for (const aggregation of ['simple', 'average'] as const) {
        const found = await model.classify(pipelines.texts, { aggregation });
        found.forEach((entities, i) => assertSame(entities, pipelines.tagger[aggregation][i]!));
      }
      await model.dispose();
    }));

  it('zero-shot: labels of texts by entailment', () =>
    withFolder(repository('entailer'), async (folder) => {
      const model = await loadDirectly(folder, {});
      const { premises, labels, entailer } = pipelines;
      assert.deepEqual(model.info.encoder?.tasks, ['classify', 'zeroShot']);
      const plain = await model.zeroShot(premises, labels);
      plain.forEach((scores, i) => assertSame(scores, entailer.plain[i]!));
      const multi = await model.zeroShot(premises, labels, { multiLabel: true });
      multi.forEach((scores, i) => assertSame(scores, entailer.multi[i]!));
      await assert.rejects(model.classify('a', { aggregation: 'max' }), failsWith('invalid-argument'));
      await model.dispose();
    }));

  it('without a tokenizer there are tensors only, and it is said', () =>
    withFolder(
      { 'model.onnx': fixture('embedder.onnx'), 'config.json': sentences('embedder/config.json') },
      async (folder) => {
        const model = await loadDirectly(`${folder}model.onnx`, {});
        assert.equal(model.info.encoder, undefined);
        assert.ok(model.info.plan.reasons.some(({ reason }) => /No tokenizer\.json/.test(reason)));
        await assert.rejects(model.embed('a'), failsWith('unsupported-operation'));
        await model.dispose();
      },
    ));

  it('a checkpoint of ours beside an export is taken first', () =>
    withFolder(
      { ...repository('embedder'), 'model.safetensors': sentences('embedder/model.safetensors') },
      async (folder) => {
        const model = await loadDirectly(folder, { backend: 'wasm', threads: 1 });
        assert.equal(model.info.onnx, undefined);
        await model.dispose();
      },
    ));

  it('variants: what was published for a wish is taken; what was not is rewritten', () =>
    withFolder(
      repository('embedder', { 'model.onnx': 'embedder.onnx', 'model_quantized.onnx': 'embedder.onnx' }),
      async (folder) => {
        const published = await loadDirectly(folder, { precision: '8bit' });
        assert.deepEqual(
          [published.info.onnx?.file, published.info.plan.precision],
          ['onnx/model_quantized.onnx', '8bit'],
        );
        await published.dispose();
        const auto = await loadDirectly(folder, {});
        assert.equal(auto.info.onnx?.file, 'onnx/model_quantized.onnx');
        await auto.dispose();
        const rewritten = await loadDirectly(folder, { precision: '4bit' });
        assert.deepEqual([rewritten.info.onnx?.file, rewritten.info.plan.precision], ['onnx/model.onnx', '4bit']);
        assert.ok(rewritten.info.plan.reasons.some(({ reason }) => /rewritten here/.test(reason)));
        const { texts, vectors } = goldens.embedder;
        const result = await rewritten.embed(texts);
        result.vectors.forEach((vector, i) =>
          assert.ok(similarity(vector, vectors[i]!) > 0.97, `${i}: ${similarity(vector, vectors[i]!)}`),
        );
        await rewritten.dispose();
        await assert.rejects(loadDirectly(folder, { precision: '3bit' }), failsWith('unsupported-format', /2bit/));
        await assert.rejects(loadDirectly(folder, { precision: { bits: 4 } }), failsWith('invalid-argument'));
      },
    ));
});
