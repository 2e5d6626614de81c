// Real vocabularies, when they are there: what transformers and llama.cpp say that texts become with them.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { createTextStream } from '../../runtime/processing/text-stream.ts';
import { createTokenizer, type TextTokenizer } from '../../runtime/processing/tokenizer.ts';
import { sharedJson, sharedSkip, sharedText, type TokenizerGolden } from './support.ts';

interface HubCase {
  input: string;
  encoded: { input_ids: number[] };
  decoded_with_special: string;
  decoded_without_special: string;
}

const loaded = new Map<string, TextTokenizer>();

function load(folder: string): TextTokenizer {
  const path = `tokenizers/${folder}`;
  let tokenizer = loaded.get(folder);
  tokenizer ??= createTokenizer(sharedJson(`${path}/tokenizer.json`), sharedJson(`${path}/tokenizer_config.json`));
  loaded.set(folder, tokenizer);
  return tokenizer;
}

/** A stream of tokens gives what decoding them at once gives, for vocabularies whose tokens can be decoded alone. */
function checkStream(tokenizer: TextTokenizer, ids: readonly number[], label: string): void {
  if (tokenizer.tokenBytes(0) === undefined) return;
  const stream = createTextStream(tokenizer);
  assert.equal(ids.map((id) => stream.push(id)).join('') + stream.end(), tokenizer.decode(ids), label);
}

/** GPT-2 comes as vocab.json and merges.txt: its tokenizer.json is these two and the byte-level defaults. */
function loadGpt2(): TextTokenizer {
  const merges = sharedText('tokenizers/gpt2/merges.txt').split('\n');
  return createTokenizer({
    added_tokens: [{ id: 50256, content: '<|endoftext|>', special: true, normalized: false }],
    pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, use_regex: true },
    decoder: { type: 'ByteLevel' },
    model: {
      type: 'BPE',
      vocab: sharedJson('tokenizers/gpt2/vocab.json'),
      merges: merges.filter((line) => line !== '' && !line.startsWith('#version')),
    },
  });
}

/** The goldens were decoded with this clean-up, which transformers dropped with version 5, and so do we: it corrupts text. */
function cleanUp(text: string): string {
  const pairs = [
    [' .', '.'],
    [' ?', '?'],
    [' !', '!'],
    [' ,', ','],
    [" ' ", "'"],
    [" n't", "n't"],
    [" 'm", "'m"],
    [" 's", "'s"],
    [" 've", "'ve"],
    [" 're", "'re"],
  ] as const;
  return pairs.reduce((result, [from, to]) => result.replaceAll(from, to), text);
}

describe('hub tokenizers', () => {
  const cases = [
    ['all-MiniLM-L6-v2', 'bert-base-uncased', () => load('all-MiniLM-L6-v2')],
    ['t5-small', 't5-base', () => load('t5-small')],
    ['whisper.tiny', 'openai/whisper-large-v2', () => load('whisper.tiny')],
    ['gpt2', 'distilgpt2', loadGpt2],
  ] as const;
  for (const [folder, model, create] of cases) {
    const skip = sharedSkip(`tokenizers/${folder}`, 'tokenizers/hf-expected/tokenizer_tests.json');
    it(`${folder} as transformers' ${model}`, { skip }, () => {
      const tokenizer = create();
      const tests = (sharedJson('tokenizers/hf-expected/tokenizer_tests.json') as Record<string, HubCase[]>)[model]!;
      assert.ok(tests.length >= 18);
      for (const test of tests) {
        const ids = test.encoded.input_ids;
        const label = JSON.stringify(test.input);
        assert.deepEqual(tokenizer.encode(test.input), ids, label);
        assert.equal(
          cleanUp(tokenizer.decode(ids, { skipSpecialTokens: false })),
          cleanUp(test.decoded_with_special),
          label,
        );
        assert.equal(cleanUp(tokenizer.decode(ids)), cleanUp(test.decoded_without_special), label);
        checkStream(tokenizer, ids, label);
      }
    });
  }

  const texts = [
    ['all-MiniLM-L6-v2', 'bert_uncased', () => load('all-MiniLM-L6-v2')],
    ['t5-small', 't5_base', () => load('t5-small')],
    ['whisper.tiny', 'whisper_large_v2', () => load('whisper.tiny')],
    ['gpt2', 'gpt2', loadGpt2],
  ] as const;
  for (const [folder, name, create] of texts) {
    const file = `tokenizers/hf-expected/${name === 'gpt2' ? 'gpt2_encoded_tokens' : `${name}_encoded`}.json`;
    it(`${folder} on a paragraph`, { skip: sharedSkip(`tokenizers/${folder}`, file) }, () => {
      const golden = sharedJson(file) as { text: string; token_ids: number[] };
      assert.deepEqual(create().encode(golden.text), golden.token_ids);
    });
  }
});

describe('llama.cpp vocabularies', () => {
  const cases = [
    ['phi-3', 'tokenizers/phi-3-mini', () => load('phi-3-mini')],
    ['bert-bge', 'tokenizers/all-MiniLM-L6-v2', () => load('all-MiniLM-L6-v2')],
    ['gpt-2', 'tokenizers/gpt2', loadGpt2],
  ] as const;
  for (const [name, folder, create] of cases) {
    const [inputs, outputs] = ['inp', 'out'].map((end) => `ggml-vocab/ggml-vocab-${name}.gguf.${end}`) as [
      string,
      string,
    ];
    it(name, { skip: sharedSkip(folder, inputs, outputs) }, () => {
      const tokenizer = create();
      const texts = sharedText(inputs).split('\n__ggml_vocab_test__\n');
      const lines = sharedText(outputs).split('\n');
      assert.ok(texts.length > 40);
      for (const [i, text] of texts.entries()) {
        const expected = lines[i]!.split(' ')
          .filter((word) => word !== '')
          .map(Number);
        assert.deepEqual(tokenizer.encode(text, { addSpecialTokens: false }), expected, JSON.stringify(text));
        checkStream(tokenizer, expected, JSON.stringify(text));
      }
    });
  }
});

describe('the Python package on real vocabularies', () => {
  // Made by ../fixtures/processing/make_real_goldens.py.
  const url = new URL('../fixtures/processing/real-goldens.json', import.meta.url);
  const goldens = JSON.parse(readFileSync(url, 'utf8')) as Record<string, TokenizerGolden[]>;
  for (const [folder, cases] of Object.entries(goldens)) {
    it(folder, { skip: sharedSkip(`tokenizers/${folder}/tokenizer.json`) }, () => {
      const tokenizer = load(folder);
      for (const golden of cases) {
        const label = JSON.stringify(golden.text);
        assert.deepEqual(tokenizer.encode(golden.text), golden.ids, label);
        assert.deepEqual(tokenizer.encode(golden.text, { addSpecialTokens: false }), golden.idsPlain, label);
        assert.equal(tokenizer.decode(golden.ids), golden.decoded, label);
        assert.equal(tokenizer.decode(golden.ids, { skipSpecialTokens: false }), golden.decodedWithSpecial, label);
      }
    });
  }
});
