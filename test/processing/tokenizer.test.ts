import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { WpError } from '../../runtime/errors.ts';
import { createTokenizer } from '../../runtime/processing/tokenizer.ts';
import { createTextStream } from '../../runtime/processing/text-stream.ts';
import { Random } from '../support/random.ts';
import { SMALL, smallTokenizer } from './support.ts';

describe('tokenizers, against the Python package', () => {
  for (const kind of Object.keys(SMALL) as (keyof typeof SMALL)[]) {
    it(`encodes, decodes and streams: ${kind}`, () => {
      const tokenizer = smallTokenizer(kind);
      for (const golden of SMALL[kind].goldens) {
        const label = JSON.stringify(golden.text);
        assert.deepEqual(tokenizer.encode(golden.text), golden.ids, label);
        assert.deepEqual(tokenizer.encode(golden.text, { addSpecialTokens: false }), golden.idsPlain, label);
        assert.equal(tokenizer.decode(golden.ids), golden.decoded, label);
        assert.equal(tokenizer.decode(golden.ids, { skipSpecialTokens: false }), golden.decodedWithSpecial, label);
        const stream = createTextStream(tokenizer);
        const streamed = golden.ids.map((id) => stream.push(id)).join('') + stream.end();
        assert.equal(streamed, golden.decoded, label);
      }
    });
  }
});

describe('createTokenizer', () => {
  it('knows the special tokens that tokenizer_config.json names', () => {
    const tokenizer = createTokenizer(structuredClone(SMALL.byteLevel.tokenizer), {
      bos_token: '<|endoftext|>',
      eos_token: { content: '<|im_end|>', special: true },
      pad_token: null,
      unk_token: 'not in the vocabulary',
    });
    assert.deepEqual(
      [tokenizer.bosId, tokenizer.eosId, tokenizer.padId, tokenizer.unknownId],
      [0, 2, undefined, undefined],
    );
    assert.equal(tokenizer.vocabularySize, 422);
    assert.equal(tokenizer.isSpecial(2), true);
    assert.equal(tokenizer.isSpecial(tokenizer.tokenToId('<think>')!), false);
  });

  it('replaces lone surrogates', () => {
    const tokenizer = smallTokenizer('byteLevel');
    assert.equal(tokenizer.decode(tokenizer.encode('a\ud83eb\udd99')), 'a\ufffdb\ufffd');
  });

  it('refuses ids that are not in the vocabulary', () => {
    const tokenizer = smallTokenizer('byteLevel');
    for (const id of [422, -1, 1.5, NaN]) {
      assert.throws(() => tokenizer.decode([id]), { code: 'invalid-argument' });
      assert.throws(() => tokenizer.tokenBytes(id), { code: 'invalid-argument' });
    }
    assert.throws(() => smallTokenizer('wordPiece').decode([9999]), { code: 'invalid-argument' });
  });

  it('says that the tokenizer is missing', () => {
    assert.throws(() => createTokenizer(undefined), { code: 'missing-tokenizer' });
    assert.throws(() => createTokenizer(null, {}), { code: 'missing-tokenizer' });
  });

  it('refuses files that contradict their format', () => {
    const vocab = { a: 0, b: 1 };
    const bad: unknown[] = [
      'text',
      [],
      {},
      { model: null },
      { model: {} },
      { model: { type: 'BPE', vocab: {} } },
      { model: { type: 'BPE', vocab: 5 } },
      { model: { type: 'BPE', vocab: { a: -1 } } },
      { model: { type: 'BPE', vocab: { a: 1e12 }, merges: [] } },
      { model: { type: 'BPE', vocab: { a: 'x' }, merges: [] } },
      { model: { type: 'BPE', vocab, merges: 'a b' } },
      { model: { type: 'BPE', vocab, merges: ['ab'] } },
      { model: { type: 'BPE', vocab, merges: [['a']] } },
      { model: { type: 'BPE', vocab } },
      { model: { type: 'Unigram', vocab: [['a']], unk_id: 0 } },
      { model: { type: 'BPE', vocab, merges: [] }, added_tokens: {} },
      { model: { type: 'BPE', vocab, merges: [] }, added_tokens: [{ id: 0 }] },
      { model: { type: 'BPE', vocab, merges: [] }, decoder: 'ByteLevel' },
      { model: { type: 'BPE', vocab, merges: [] }, pre_tokenizer: [] },
    ];
    for (const json of bad) assert.throws(() => createTokenizer(json), { code: 'corrupt-file' }, JSON.stringify(json));
    assert.throws(() => createTokenizer({ model: { type: 'BPE', vocab, merges: [] } }, []), { code: 'corrupt-file' });
  });

  it('names an algorithm that it does not know', () => {
    const model = { type: 'BPE', vocab: { a: 0 }, merges: [] };
    for (const json of [
      { model, decoder: { type: 'New' } },
      { model, pre_tokenizer: { type: 'New' } },
      { model: { ...model, type: 'New' } },
    ]) {
      assert.throws(() => createTokenizer(json), { code: 'unsupported-config', message: /New/ });
    }
  });

  it('gives a WpError, or a tokenizer that works, for damaged files', (context) => {
    context.mock.method(console, 'warn', () => undefined);
    const random = new Random(1);
    const pick = <T>(list: readonly T[]): T => list[random.integer(0, list.length - 1)]!;
    const kinds = Object.keys(SMALL) as (keyof typeof SMALL)[];
    const outcomes = { works: 0, refused: 0 };
    for (let round = 0; round < 2000; round++) {
      const json = structuredClone(SMALL[pick(kinds)].tokenizer);
      damage(json, random);
      if (random.boolean()) damage(json, random);
      try {
        const tokenizer = createTokenizer(json);
        tokenizer.decode(tokenizer.encode("Hello wörld 🦙 <|im_start|> it's 12"));
        outcomes.works++;
      } catch (error) {
        assert.ok(error instanceof WpError, `round ${round}: ${String(error)}`);
        assert.notEqual(error.code, 'internal');
        outcomes.refused++;
      }
    }
    assert.ok(outcomes.works > 100 && outcomes.refused > 100, JSON.stringify(outcomes));
  });
});

const JUNK: readonly unknown[] = [
  null,
  undefined,
  0,
  -1,
  1e9,
  '',
  'x',
  [],
  {},
  true,
  ['a'],
  [['a', 'b']],
  { type: 'ByteLevel' },
  { Regex: '(' },
  '\ud800',
];

/** Removes or replaces one value, anywhere in the file. */
function damage(root: Record<string, unknown>, random: Random): void {
  let node = root;
  for (let depth = 0; depth < 8; depth++) {
    const keys = Object.keys(node);
    if (keys.length === 0) return;
    const key = keys[random.integer(0, keys.length - 1)]!;
    const value = node[key];
    if (typeof value === 'object' && value !== null && random.next() > 0.3) {
      node = value as Record<string, unknown>;
      continue;
    }
    if (random.next() < 0.3) delete node[key];
    else node[key] = JUNK[random.integer(0, JUNK.length - 1)];
    return;
  }
}
