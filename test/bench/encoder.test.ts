// The encoders' bench: its two files of one model say the same to both engines, and its figures are what was measured.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as ort from 'onnxruntime-web';
import { smallFiles } from '../../bench/encoder/files.mjs';
import { encoderOnnx } from '../../bench/encoder/onnx.mjs';
import { quantizedSafetensors } from '../../bench/encoder/quantized.mjs';
import { ENCODER_SHAPES, encoderTensors, encoderWeights } from '../../bench/encoder/shapes.mjs';
import { batchesOf, encoderCells, encoderColumns, encoderRatios } from '../../bench/encoder/table.mjs';
import { sentences } from '../../bench/encoder/texts.mjs';
import { OptionError, readOptions } from '../../bench/options.mjs';
import { reportPage } from '../../bench/report.mjs';
import { createWasmBackend } from '../../runtime/backends/wasm/index.ts';
import { readEncoder } from '../../runtime/models/encoders/index.ts';
import { type FormatName, FORMATS } from '../../runtime/quantization/formats.ts';
import { unpackMatrix } from '../../runtime/quantization/pack.ts';
import { openCheckpoint } from '../../runtime/weights/checkpoint.ts';
import { createWeightSource } from '../../runtime/weights/weight-source.ts';
import { packWeights, relativeError } from '../support/encoder-goldens.ts';
import { runEncoder } from '../support/run-encoder.ts';
import { memoryFiles } from '../weights/memory-files.ts';

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

describe('the ONNX encoders, in onnxruntime-web', () => {
  ort.env.wasm.numThreads = 1;
  const shape = 'tiny-bert';
  const texts = [
    [2, 9, 30, 31, 3],
    [2, 77, 3],
  ];
  const tensors = new Map(
    encoderTensors(ENCODER_SHAPES[shape]!).map((tensor) => [tensor.name, encoderWeights(tensor)]),
  );
  const config: unknown = JSON.parse(new TextDecoder().decode(smallFiles(shape)['config.json']));
  const encoder = readEncoder(config).text!;
  const graph = encoder.graph({ outputs: ['hidden'], tensorNames: new Set(tensors.keys()) });
  const inputs = encoder.inputs(
    graph,
    texts.map((ids) => ({ ids })),
  );

  /** Rows of the tokens that are not padding. */
  async function rowsOf(model: Uint8Array): Promise<Float32Array> {
    const session = await ort.InferenceSession.create(model, { executionProviders: ['wasm'] });
    const [rows, columns] = [texts.length, 5];
    const numbers = (of: (id: number | undefined) => number) =>
      BigInt64Array.from({ length: rows * columns }, (_, i) =>
        BigInt(of(texts[Math.floor(i / columns)]![i % columns])),
      );
    const tensor = (of: (id: number | undefined) => number) => new ort.Tensor('int64', numbers(of), [rows, columns]);
    const { last_hidden_state: output } = await session.run({
      input_ids: tensor((id) => id ?? 0),
      attention_mask: tensor((id) => (id === undefined ? 0 : 1)),
      token_type_ids: tensor(() => 0),
    });
    await session.release();
    const data = output!.data as Float32Array;
    return Float32Array.from([...data.subarray(0, 5 * 64), ...data.subarray(5 * 64, 8 * 64)]);
  }

  it('compute what wp-models computes of the same weights: as exported and fused, and nearly in 8 bits', async () => {
    const backend = await createWasmBackend({ threads: 1 });
    const { hidden } = await runEncoder(backend, graph, packWeights(graph, tensors, 'f32'), inputs);
    backend.dispose();
    assert.ok(relativeError(await rowsOf(encoderOnnx(shape, { weights: 'fp32' })), hidden!) < 1e-5);
    assert.ok(relativeError(await rowsOf(encoderOnnx(shape, { weights: 'fp32', form: 'fused' })), hidden!) < 1e-5);
    assert.ok(relativeError(await rowsOf(encoderOnnx(shape, { weights: 'q8' })), hidden!) < 0.03);
    assert.ok(relativeError(await rowsOf(encoderOnnx(shape, { weights: 'q8', form: 'fused' })), hidden!) < 0.03);
  });

  it('have 8-bit safetensors beside them that differ by the rounding of weights only', async () => {
    const checkpoint = await openCheckpoint(memoryFiles({ 'model.safetensors': quantizedSafetensors(shape) }));
    const source = createWeightSource(checkpoint, graph);
    const formats = new Map(
      graph.weights.map((weight) => [weight.name, FORMATS[source.storedFormat(weight) as FormatName]]),
    );
    for await (const { name, matrix } of source.stream(formats)) {
      const expected = packWeights(graph, tensors, 'f32').get(name)!;
      assert.ok(relativeError(unpackMatrix(matrix), unpackMatrix(expected)) < 0.01, name);
    }
  });
});
