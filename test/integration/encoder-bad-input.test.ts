// Texts that nobody meant to send: each task of encoders answers rightly or with a WpError, and a thousand calls leave nothing.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { WpError, type Model } from '../../runtime/index.ts';
import { loadDirectly } from '../support/load-directly.ts';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

const NAMES = ['embedder', 'classifier', 'tagger', 'byte-tagger', 'entailer', 'ranker'] as const;
const models = new Map<(typeof NAMES)[number], Model>();
const model = (name: (typeof NAMES)[number]): Model => models.get(name)!;

before(async () => {
  for (const name of NAMES) {
    const folder = fileURLToPath(new URL(`../fixtures/sentences/${name}/`, import.meta.url));
    models.set(name, await loadDirectly(folder, { backend: 'wasm', precision: 'f16', threads: 1 }));
  }
});
after(() => Promise.all([...models.values()].map((loaded) => loaded.dispose())));

/** Every task, on these texts; what comes of each, as plain data. */
async function answers(texts: readonly string[]): Promise<unknown[]> {
  const { vectors } = await model('embedder').embed(texts);
  return [
    vectors.map((vector) => [...vector]),
    await model('classifier').classify(texts),
    await model('tagger').classify(texts, { aggregation: 'first' }),
    await model('byte-tagger').classify(texts),
    await model('entailer').zeroShot(texts, ['cat', 'dog']),
    await model('ranker').rerank('cat', texts),
    await model('ranker').rerank(texts[0]!, ['cat']),
  ];
}

function numbersOf(answer: unknown): number[] {
  if (typeof answer === 'number') return [answer];
  return typeof answer === 'object' && answer !== null ? Object.values(answer).flatMap(numbersOf) : [];
}

const TEXTS: Record<string, string> = {
  'nothing at all': '',
  'spaces only': ' \t\n  ',
  'control characters': '\u0000\u0001\u200b\ufeff',
  'half a surrogate pair': 'cat \ud800 dog \udc00',
  'the other half first': '\udc00\ud800',
  'ten million letters without a space': 'x'.repeat(1e7),
  'ten million characters': 'the cat sits. '.repeat(7.2e5),
  'ten million spaces': ' '.repeat(1e7),
};

describe('texts that nobody meant', () => {
  for (const [what, text] of Object.entries(TEXTS)) {
    it(`${what}: finite numbers, and entities that lie in the text`, async () => {
      const [vectors, classes, entities, byteEntities, labels, ...ranked] = await answers([text]);
      for (const answer of [vectors, classes, labels, ranked]) {
        const numbers = numbersOf(answer);
        assert.ok(numbers.length > 0 && numbers.every(Number.isFinite));
      }
      for (const [found] of [entities, byteEntities] as [{ start: number; end: number; text: string }[]][]) {
        for (const { start, end, text: named } of found) {
          assert.ok(start >= 0 && start <= end && end <= text.length);
          assert.equal(named, text.slice(start, end));
        }
      }
    });
  }

  it('half a surrogate pair counts as U+FFFD', async () => {
    const whole = (text: string) => text.replace(/[\ud800\udc00]/g, '\ufffd');
    const text = TEXTS['half a surrogate pair']!;
    const [broken, replaced] = [await answers([text]), await answers([whole(text)])];
    assert.deepEqual(JSON.parse(whole(JSON.stringify(broken).replace(/\\ud[89c]00/gi, '\ufffd'))), replaced);
  });

  it('what is no text is refused by each task', async () => {
    const calls: ((bad: never) => Promise<unknown>)[] = [
      (bad) => model('embedder').embed(bad),
      (bad) => model('classifier').classify(bad),
      (bad) => model('tagger').classify(bad),
      (bad) => model('entailer').zeroShot(bad, ['cat']),
      (bad) => model('entailer').zeroShot('cat', bad),
      (bad) => model('ranker').rerank(bad, ['cat']),
      (bad) => model('ranker').rerank('cat', bad),
    ];
    for (const bad of [7, null, [7], ['a', undefined], {}] as never[]) {
      for (const call of calls) {
        await assert.rejects(call(bad), (error) => error instanceof WpError && error.code === 'invalid-argument');
      }
    }
  });

  it('no texts, no answers', async () => {
    assert.deepEqual(await model('classifier').classify([]), []);
    assert.deepEqual(await model('tagger').classify([]), []);
    assert.deepEqual(await model('entailer').zeroShot([], ['cat']), []);
    assert.deepEqual(await model('ranker').rerank('cat', []), []);
  });
});

it('a thousand calls leave nothing behind', async () => {
  const texts = ['The cat sits on the mat.', '', 'Ünïcode 猫 café'];
  const used = (): number => {
    collectGarbage();
    collectGarbage();
    const { heapUsed, arrayBuffers } = process.memoryUsage();
    return heapUsed + arrayBuffers;
  };
  const round = async (calls: number): Promise<void> => {
    for (let i = 0; i < calls; i += 7) await answers(texts);
  };
  await round(300); // what is made once, and compiled
  const before = used();
  await round(1000);
  const grown = used() - before;
  // A call's answer and what waits for it are a kilobyte or two: kept, they would be twice or four times this.
  assert.ok(grown < 6e5, `${grown} bytes more after a thousand calls`);
});
