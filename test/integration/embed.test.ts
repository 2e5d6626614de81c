// From a folder of sentence-transformers, a cross-encoder and a classifier to what transformers computes with them: the host and
// the page's side of a call, in one thread.

import assert from 'node:assert/strict';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { similarity, WpError, type Embeddings, type Model } from '../../runtime/index.ts';
import { loadDirectly } from '../support/load-directly.ts';

interface Goldens {
  embedder: Record<'vectors' | 'plain' | 'first8' | 'query' | 'cls' | 'last', number[][]> & {
    texts: string[];
    ids: number[][];
    truncated: number[];
  };
  ranker: { query: string; documents: string[]; scores: number[] };
  classifier: { labels: string[]; probabilities: number[][] };
}

const fixtures = new URL('../fixtures/sentences/', import.meta.url);
const goldens = JSON.parse(await readFile(new URL('goldens.json', fixtures), 'utf8')) as Goldens;
const pathOf = (name: string) => fileURLToPath(new URL(`${name}/`, fixtures));
const f16 = { backend: 'wasm', precision: 'f16', threads: 1 } as const;

const failsWith = (code: string, message?: RegExp) => (error: unknown) => {
  assert.ok(error instanceof WpError, String(error));
  assert.equal(error.code, code, error.message);
  if (message) assert.match(`${error.message} ${error.hint}`, message);
  return true;
};

function assertNear({ vectors }: Pick<Embeddings, 'vectors'>, expected: number[][], tolerance = 1e-5): void {
  assert.equal(vectors.length, expected.length);
  vectors.forEach((vector, i) => {
    assert.equal(vector.length, expected[i]!.length);
    expected[i]!.forEach((number, j) => assert.ok(Math.abs(vector[j]! - number) <= tolerance, `vector ${i}, ${j}`));
  });
}

describe('embed', () => {
  const { texts, ids, truncated, vectors, plain, first8, query } = goldens.embedder;
  let model: Model;
  before(async () => {
    model = await loadDirectly(pathOf('embedder'), f16);
  });
  after(() => model.dispose());

  it('tells what the model can do', () => {
    assert.deepEqual(model.info.encoder, {
      tasks: ['embed'],
      dimensions: 32,
      maxTokens: 16,
      pooling: 'mean',
      normalize: true,
      prompts: { query: 'query: ', document: 'document: ' },
      defaultPrompt: undefined,
      similarity: 'cosine',
      labels: [],
      isMultiLabel: false,
    });
  });

  it('vectors as transformers, long texts cut, the empty one and half a surrogate pair included', async () => {
    const result = await model.embed(texts);
    assertNear(result, vectors);
    assert.equal(result.tokens, ids.flat().length);
    assert.deepEqual(result.truncated, truncated);
  });

  it('one text; fewer dimensions; not normalised; prompts by name and by text', async () => {
    assertNear(await model.embed(texts[0]!), [vectors[0]!]);
    assertNear(await model.embed(texts, { dimensions: 8 }), first8);
    assertNear(await model.embed(texts, { normalize: false }), plain);
    assertNear(await model.embed(texts, { promptName: 'query' }), query);
    assertNear(await model.embed(texts, { prompt: 'query: ' }), query);
  });

  it('many texts are many steps, and each text gets its own vector', async () => {
    const many = Array.from({ length: 200 }, (_, i) => texts[i % texts.length]!);
    const said: number[] = [];
    const result = await model.embed(many, { onProgress: ({ done, total }) => said.push(done / total) });
    assertNear(
      result,
      many.map((_, i) => vectors[i % texts.length]!),
    );
    assert.equal(said.at(-1), 1);
    assert.deepEqual(await model.embed([]), {
      data: new Float32Array(0),
      dimensions: 32,
      vectors: [],
      tokens: 0,
      truncated: [],
    });
  });

  it('a text of ten million characters is cut and not read to its end', async () => {
    const long = `${texts[3]!} `.repeat(1e5);
    assert.ok(long.length > 9e6);
    const { vectors: cut, truncated: indices } = await model.embed([long, ' '.repeat(1e7)]);
    assertNear({ vectors: cut }, [vectors[3]!, vectors[2]!]);
    assert.deepEqual(indices, [0, 1]);
  });

  it('aborts before and between steps, and goes on afterwards', async () => {
    const isAbort = (error: unknown) => error instanceof Error && error.name === 'AbortError';
    await assert.rejects(model.embed(texts, { signal: AbortSignal.abort() }), isAbort);
    const controller = new AbortController();
    const many = Array.from({ length: 2000 }, () => texts[0]!);
    let done = 0;
    const call = model.embed(many, {
      signal: controller.signal,
      onProgress: (progress) => {
        done = progress.done;
        controller.abort();
      },
    });
    await assert.rejects(call, isAbort);
    assert.ok(done > 0 && done < many.length);
    assertNear(await model.embed(texts), vectors);
  });

  it('refuses what it cannot do, with what it can', async () => {
    const bad: [Promise<unknown>, RegExp][] = [
      [model.embed(7 as never), /texts is number/],
      [model.embed(['a', null] as never), /texts\[1\] is null/],
      [model.embed(['a'], { dimensions: 33 }), /have 32/],
      [model.embed(['a'], { dimensions: 0.5 }), /have 32/],
      [model.embed(['a'], { promptName: 'toString' }), /query, document/],
      [model.embed(['a'], { promptName: 'query', prompt: 'x' }), /Both/],
    ];
    await Promise.all(bad.map(([call, message]) => assert.rejects(call, failsWith('invalid-argument', message))));
    await assert.rejects(model.classify(['a']), failsWith('unsupported-operation', /can embed/));
    await assert.rejects(model.rerank('a', ['b']), failsWith('unsupported-operation', /can embed/));
    await assert.rejects(
      model.chat([{ role: 'user', content: 'Hi' }]).next(),
      failsWith('unsupported-operation', /model\.embed/),
    );
    await assert.rejects(model.complete('Hi').next(), failsWith('unsupported-operation', /model\.embed/));
    await assert.rejects(model.logits([1]), failsWith('unsupported-operation', /model\.embed/));
  });

  it('a disposed model says so', async () => {
    const other = await loadDirectly(pathOf('embedder'), f16);
    const running = other.embed(Array.from({ length: 500 }, () => texts[0]!));
    await other.dispose();
    await assert.rejects(running);
    await assert.rejects(other.embed('a'), failsWith('disposed'));
  });

  it('8 bits lie near', async () => {
    const small = await loadDirectly(pathOf('embedder'), { ...f16, precision: '8bit' });
    const result = await small.embed(texts);
    result.vectors.forEach((vector, i) => assert.ok(similarity(vector, vectors[i]!) >= 0.99, `text ${i}`));
    await small.dispose();
  });
});

it('embed on a model that writes names what it can', async () => {
  const folder = fileURLToPath(new URL('../fixtures/decoders/llama-tied/', import.meta.url));
  const tokenizer = new URL('./tiny-tokenizer.json', import.meta.url);
  await withCopy(folder, async (copy) => {
    await cp(fileURLToPath(tokenizer), join(copy, 'tokenizer.json'));
    const model = await loadDirectly(copy, f16);
    await assert.rejects(model.embed('a'), failsWith('unsupported-operation', /model\.chat/));
    await model.dispose();
  });
});

describe('configurations of sentence-transformers', () => {
  const load = async (changes: Record<string, unknown>) =>
    withCopy(pathOf('embedder'), async (copy) => {
      for (const [name, value] of Object.entries(changes)) {
        if (value === undefined) await rm(join(copy, name));
        else await writeFile(join(copy, name), JSON.stringify(value));
      }
      return loadDirectly(copy, f16);
    });
  const { texts, cls, last, vectors, plain } = goldens.embedder;

  const sound: [string, Record<string, unknown>, number[][]][] = [
    ['the first token', { '1_Pooling/config.json': { pooling_mode_cls_token: true } }, cls],
    ['the last token', { '1_Pooling/config.json': { pooling_mode: 'lasttoken' } }, last],
    ['nothing but the checkpoint', { 'modules.json': undefined }, vectors],
    [
      'no normalisation',
      {
        'modules.json': [
          { path: '', type: 'sentence_transformers.models.Transformer' },
          { path: '1_Pooling', type: 'sentence_transformers.models.Pooling' },
        ],
      },
      plain,
    ],
  ];
  for (const [what, changes, expected] of sound) {
    it(`${what}`, async () => {
      const model = await load(changes);
      assertNear(await model.embed(texts), expected);
      await model.dispose();
    });
  }

  const bad: [string, Record<string, unknown>][] = [
    ['a dense module', { 'modules.json': [{ path: '2_Dense', type: 'sentence_transformers.models.Dense' }] }],
    ['a folder outside', { 'modules.json': [{ path: '../x', type: 'sentence_transformers.models.Pooling' }] }],
    ['two poolings', { '1_Pooling/config.json': { pooling_mode_cls_token: true, pooling_mode_mean_tokens: true } }],
    ['an unknown pooling', { '1_Pooling/config.json': { pooling_mode_max_tokens: true } }],
    ['a length that is none', { 'sentence_bert_config.json': { max_seq_length: -1 } }],
    ['a prompt that is no text', { 'config_sentence_transformers.json': { prompts: { query: 1 } } }],
    ['a distance', { 'config_sentence_transformers.json': { similarity_fn_name: 'euclidean' } }],
  ];
  for (const [what, changes] of bad) {
    it(`refuses ${what}`, () => assert.rejects(load(changes), failsWith('unsupported-config')));
  }

  it('an architecture that is neither names both kinds', () =>
    assert.rejects(
      load({ 'config.json': { model_type: 't5' } }),
      failsWith('unsupported-architecture', /llama.*bert/),
    ));
});

it('rerank: scores as transformers, best first', async () => {
  const { query, documents, scores } = goldens.ranker;
  const model = await loadDirectly(pathOf('ranker'), f16);
  assert.deepEqual(model.info.encoder?.tasks, ['embed', 'rerank']);
  const ranked = await model.rerank(query, documents);
  assert.deepEqual(
    ranked.map(({ index }) => index),
    scores.map((_, i) => i).sort((a, b) => scores[b]! - scores[a]!),
  );
  for (const { index, score } of ranked) assert.ok(Math.abs(score - scores[index]!) <= 1e-5, `document ${index}`);
  await assert.rejects(model.classify('a'), failsWith('unsupported-operation'));
  await model.dispose();
});

it('classify: probabilities as transformers, likeliest first', async () => {
  const { labels, probabilities } = goldens.classifier;
  const model = await loadDirectly(pathOf('classifier'), f16);
  assert.deepEqual(model.info.encoder?.labels, labels);
  const classes = await model.classify(goldens.embedder.texts);
  classes.forEach((scores, i) => {
    assert.deepEqual(
      scores.map(({ score }) => score),
      scores.map(({ score }) => score).sort((a, b) => b - a),
    );
    for (const { label, score } of scores) {
      assert.ok(Math.abs(score - probabilities[i]![labels.indexOf(label)]!) <= 1e-5, `text ${i}, ${label}`);
    }
  });
  await model.dispose();
});

it('similarity is the cosine', () => {
  assert.equal(similarity([3, 0], [0.5, 0]), 1);
  assert.equal(similarity([1, 0], [0, 2]), 0);
  assert.equal(similarity([1, 1], [-1, -1]), -1);
  assert.equal(similarity([0, 0], [1, 1]), 0);
  assert.throws(() => similarity([1], [1, 2]), failsWith('invalid-argument'));
});

async function withCopy<T>(folder: string, use: (copy: string) => Promise<T>): Promise<T> {
  const copy = await mkdtemp(join(tmpdir(), 'wp-sentences-'));
  try {
    await cp(folder, copy, { recursive: true });
    return await use(`${copy}/`);
  } finally {
    await rm(copy, { recursive: true });
  }
}
