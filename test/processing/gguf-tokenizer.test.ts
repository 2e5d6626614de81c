// Tokenizers made of GGUF metadata, against the tokens that llama.cpp keeps for its vocabularies, and against bad metadata.

import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { WpError } from '../../runtime/errors.ts';
import { preTokenizerRules } from '../../runtime/processing/gguf-pre-tokenizers.ts';
import { readGgufTokenizer } from '../../runtime/processing/gguf-tokenizer.ts';
import { createTokenizer, type TextTokenizer } from '../../runtime/processing/tokenizer.ts';
import { readGgufHeader } from '../../runtime/weights/gguf/header.ts';
import { MemoryFile } from '../weights/memory-files.ts';

const shared = new URL('../../../shared/models/', import.meta.url);
const without = (path: string): string | false =>
  existsSync(new URL(path, shared)) ? false : `../shared/models/${path} is not on this machine`;
const read = (path: string): Uint8Array => new Uint8Array(readFileSync(new URL(path, shared)));
const readText = (path: string): string => new TextDecoder().decode(read(path));

async function metadataOf(path: string): Promise<ReadonlyMap<string, unknown>> {
  return (await readGgufHeader(new MemoryFile(path, read(path)))).metadata;
}

function tokenizerOf(metadata: ReadonlyMap<string, unknown>): TextTokenizer {
  const { tokenizer, tokenizerConfig } = readGgufTokenizer(metadata);
  return createTokenizer(tokenizer, tokenizerConfig);
}

describe("llama.cpp's vocabularies", () => {
  for (const name of ['gpt-2', 'falcon', 'mpt', 'phi-3', 'bert-bge']) {
    const path = `ggml-vocab/ggml-vocab-${name}.gguf`;
    it(`${name}: the tokens of its test texts`, { skip: without(path) }, async () => {
      const tokenizer = tokenizerOf(await metadataOf(path));
      const inputs = readText(`${path}.inp`).split('\n__ggml_vocab_test__\n');
      const outputs = readText(`${path}.out`).split('\n');
      assert.ok(inputs.length > 40);
      inputs.forEach((text, i) => {
        const expected = (outputs[i]!.match(/\d+/g) ?? []).map(Number);
        assert.deepEqual(tokenizer.encode(text, { addSpecialTokens: false }), expected, JSON.stringify(text));
      });
    });
  }
});

const base: Record<string, unknown> = {
  'tokenizer.ggml.model': 'gpt2',
  'tokenizer.ggml.pre': 'gpt-2',
  'tokenizer.ggml.tokens': ['a', 'b', 'ab', '<|im_end|>', '', 'ab', '__proto__'],
  'tokenizer.ggml.token_type': [1, 1, 1, 3, 5, 5, 1],
  'tokenizer.ggml.merges': ['a b'],
  'tokenizer.ggml.eos_token_id': 3,
};
const changed = (changes: Record<string, unknown>): ReadonlyMap<string, unknown> =>
  new Map(Object.entries({ ...base, ...changes }).filter(([, value]) => value !== undefined));

describe('a tokenizer of GGUF metadata', () => {
  it('keeps ids where texts are empty, repeated or named like properties', () => {
    const { tokenizer, tokenizerConfig, endTokens } = readGgufTokenizer(changed({}));
    const made = createTokenizer(tokenizer, tokenizerConfig);
    assert.equal(made.vocabularySize, 7);
    assert.deepEqual(made.encode('abab'), [2, 2]);
    assert.equal(made.idToToken(6), '__proto__');
    assert.equal(made.decode([2, 0]), 'aba');
    assert.deepEqual(endTokens, [3]);
    assert.ok(made.isSpecial(3));
  });

  it('puts tokens around a text as the file says', () => {
    const around = (changes: Record<string, unknown>): number[] => tokenizerOf(changed(changes)).encode('ab');
    assert.deepEqual(around({}), [2]);
    assert.deepEqual(around({ 'tokenizer.ggml.add_bos_token': true, 'tokenizer.ggml.bos_token_id': 0 }), [0, 2]);
    assert.deepEqual(around({ 'tokenizer.ggml.add_eos_token': true }), [2, 3]);
    assert.deepEqual(around({ 'tokenizer.ggml.pre': 'llama-bpe', 'tokenizer.ggml.bos_token_id': 1 }), [1, 2]);
    assert.deepEqual(around({ 'tokenizer.ggml.add_bos_token': true, 'tokenizer.ggml.bos_token_id': 0xffffffff }), [2]);
  });

  it('takes the chat template', () => {
    const { tokenizerConfig } = readGgufTokenizer(changed({ 'tokenizer.chat_template': '{{ messages }}' }));
    assert.equal(tokenizerConfig.chat_template, '{{ messages }}');
    assert.equal(tokenizerConfig.eos_token, '<|im_end|>');
  });

  for (const [what, code, changes] of [
    ['no vocabulary', 'missing-tokenizer', { 'tokenizer.ggml.tokens': undefined }],
    ['an empty vocabulary', 'missing-tokenizer', { 'tokenizer.ggml.tokens': [] }],
    ['tokens that are no texts', 'corrupt-file', { 'tokenizer.ggml.tokens': [1, 2] }],
    ['types for other tokens', 'corrupt-file', { 'tokenizer.ggml.token_type': [1] }],
    ['an end outside the vocabulary', 'corrupt-file', { 'tokenizer.ggml.eos_token_id': 7 }],
    ['no merges', 'corrupt-file', { 'tokenizer.ggml.merges': undefined }],
    ['merges of three parts', 'corrupt-file', { 'tokenizer.ggml.merges': ['a b c'] }],
    ['an unknown cut', 'unsupported-config', { 'tokenizer.ggml.pre': 'own-cut' }],
    ['a property as a cut', 'unsupported-config', { 'tokenizer.ggml.pre': 'constructor' }],
    ['an unknown kind', 'unsupported-config', { 'tokenizer.ggml.model': 'rwkv' }],
    ['SPM without scores', 'corrupt-file', { 'tokenizer.ggml.model': 'llama' }],
    ['WordPiece without an unknown token', 'corrupt-file', { 'tokenizer.ggml.model': 'bert' }],
  ] as const) {
    it(`refuses ${what}`, () => {
      assert.throws(
        () => tokenizerOf(changed(changes)),
        (thrown: unknown) => thrown instanceof WpError && thrown.code === code,
      );
    });
  }

  it('names the cut that it does not know', () => {
    assert.throws(() => preTokenizerRules('own-cut'), /own-cut/);
  });
});
