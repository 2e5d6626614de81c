// The encoders' bench: its two files of one model say the same to both engines, and its figures are what was measured.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { smallFiles } from '../../bench/encoder/files.mjs';
import { batchesOf, encoderCells, encoderColumns, encoderRatios } from '../../bench/encoder/table.mjs';
import { sentences } from '../../bench/encoder/texts.mjs';
import { OptionError, readOptions } from '../../bench/options.mjs';
import { reportPage } from '../../bench/report.mjs';

const rates = (one: number, many: number) => ({
  1: { sentencesPerSecond: one },
  32: { sentencesPerSecond: many },
});
const about = { backend: 'wasm', loadMs: 10 };
const results = [
  {
    engine: 'wp-models',
    title: 'wp-models 8bit',
    precision: '8bit',
    ...about,
    texts: rates(60, 80),
    leastCosine: 0.9996,
  },
  {
    engine: 'transformers.js',
    title: 'tjs fp32',
    precision: 'fp32',
    ...about,
    texts: rates(10, 20),
    tokens: rates(11, 19),
  },
  { engine: 'transformers.js', title: 'tjs q8', precision: 'q8', ...about, texts: rates(30, 10), tokens: rates(40, 9) },
  { engine: 'onnxruntime-web', title: 'ort q8', error: 'Error: out of <memory>' },
];

describe('the table of encoders', () => {
  it('divides by a peer at its best, whatever its weights and whether it tokenized', () => {
    assert.deepEqual(encoderRatios(results), [
      { ours: 'wp-models 8bit', peer: 'tjs q8, tokens given', batch: 1, ratio: 1.5 },
      { ours: 'wp-models 8bit', peer: 'tjs fp32', batch: 32, ratio: 4 },
    ]);
  });

  it('has a cell for each column, and failures', () => {
    const batches = batchesOf(results);
    assert.deepEqual(batches, [1, 32]);
    assert.equal(encoderCells(results[0]!, batches).length, encoderColumns(batches).length);
    assert.match(encoderCells(results[3]!, batches).join(' '), /out of <memory>/);
  });

  it('is a section of the report, with plots', () => {
    const page = reportPage([{ kind: 'encoder', what: 'minilm', results }], '');
    assert.match(page, /Sentences a second, batch 32/);
    assert.match(page, /4\.00 ×/);
    assert.match(page, /out of &#60;memory&#62;/);
  });
});

describe('the options of encoders', () => {
  it('name the file after what is measured', () => {
    const { batches, json } = readOptions(['--encoder', 'minilm', '--backend', 'wasm', '--batch', '1,8']);
    assert.deepEqual(batches, [1, 8]);
    assert.equal(json, 'bench/results/minilm-wasm-auto-1t-chromium.json');
  });

  for (const args of [
    ['--encoder', 'maxilm', '--backend', 'wasm'],
    ['--encoder', 'minilm'],
    ['--encoder', 'minilm', '--backend', 'wasm', '--shape', 'tiny'],
    ['--encoder', 'minilm', '--backend', 'wasm', '--batch', '0'],
    ['--encoder', 'minilm', '--backend', 'wasm', '--peer', 'wllama'],
    ['--encoder', 'minilm', '--backend', 'wasm', '--in', 'node'],
  ]) {
    it(`refuse ${args.join(' ')}`, () => assert.throws(() => readOptions(args), OptionError));
  }
});

describe('the sentences', () => {
  it('are the same ones every time, of the lengths of sentences, and all of known words', () => {
    const texts = sentences(32);
    assert.deepEqual(texts, sentences(32));
    assert.equal(new Set(texts).size, 32);
    const { vocab } = JSON.parse(new TextDecoder().decode(smallFiles('tiny-bert')['tokenizer.json'])).model;
    const plain = texts.flatMap((text) => text.split(/ |(?=[.?])/));
    assert.ok(plain.filter((word) => word in vocab).length > 0.8 * plain.length);
  });
});
