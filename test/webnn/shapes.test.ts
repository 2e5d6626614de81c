// What of the WebNN backend needs no browser: the shapes that a step is cut into, the bytes of 4-bit constants, and the plan that
// gives way where there is no WebNN.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { nibblesInOrder } from '../../runtime/backends/webnn/constants.ts';
import { meanMatrix, outputRows, tokenRows } from '../../runtime/backends/webnn/feeds.ts';
import { placeOutputs, rectangles, type Text, textsOf } from '../../runtime/backends/webnn/rectangles.ts';
import { chooseBackends } from '../../runtime/planning/backend-choice.ts';
import { chooseWebNnDevice, webNnConstantBytes } from '../../runtime/planning/webnn.ts';
import { FORMATS } from '../../runtime/quantization/formats.ts';
import { packMatrix, unpackMatrix } from '../../runtime/quantization/pack.ts';
import type { Capabilities } from '../../runtime/types.ts';
import { loadDirectly } from '../support/load-directly.ts';
import { tinyDecoder } from '../support/tiny-decoder.ts';

/** Texts of these lengths, one after another, each with one output. */
function textsOfLengths(lengths: readonly number[]): Text[] {
  let first = 0;
  return lengths.map((length, i) => ({ first, end: (first += length), outputs: [i] }));
}

const shapesFor = (lengths: readonly number[], maxRows = 4096) =>
  rectangles(textsOfLengths(lengths), maxRows).map(
    ({ shape: { batch, length }, texts }) => `${texts.length} in ${batch} × ${length}`,
  );

describe('shapes of a step', () => {
  it('takes the least that holds the texts, longest first', () => {
    assert.deepEqual(shapesFor([5]), ['1 in 1 × 16']);
    assert.deepEqual(shapesFor([16, 17, 300, 2]), ['1 in 1 × 512', '1 in 1 × 32', '1 in 1 × 16', '1 in 1 × 16']);
    assert.deepEqual(shapesFor([600]), ['1 in 1 × 1024']);
  });

  it('fills batches, and cuts those that would be mostly padding', () => {
    assert.deepEqual(shapesFor([9, 9, 9]), ['3 in 4 × 16']);
    assert.deepEqual(shapesFor(Array<number>(9).fill(9)), ['8 in 8 × 16', '1 in 1 × 16']);
    assert.deepEqual(shapesFor(Array<number>(40).fill(20)), ['32 in 32 × 32', '8 in 8 × 32']);
  });

  it('keeps to the rows of a step, but for one text that is longer', () => {
    assert.deepEqual(shapesFor(Array<number>(8).fill(100), 512), ['4 in 4 × 128', '4 in 4 × 128']);
    assert.deepEqual(shapesFor([100, 100], 64), ['1 in 1 × 128', '1 in 1 × 128']);
  });

  it('reads the texts off the spans, and refuses what is no text after text', () => {
    const texts = textsOf(Int32Array.from([0, 2, 0, 2, 2, 3]));
    assert.deepEqual(
      texts.map(({ first, end }) => [first, end]),
      [
        [0, 2],
        [2, 3],
      ],
    );
    assert.throws(() => textsOf(Int32Array.from([0, 2, 1, 2])), { code: 'unsupported-operation' });
    assert.throws(() => textsOf(Int32Array.from([0, 0, 0, 0])), { code: 'unsupported-operation' });
    assert.throws(() => placeOutputs(texts, [{ first: 1, end: 3 }]), { code: 'unsupported-operation' });
  });

  it('puts rows, chosen rows and means to their places', () => {
    const texts = textsOf(Int32Array.from([0, 1, 1, 3, 1, 3]));
    placeOutputs(texts, [
      { first: 1, end: 3 },
      { first: 0, end: 1 },
    ]);
    const [rectangle, ...others] = rectangles(texts, 4096).map((one) => ({
      ...one,
      shape: { ...one.shape, length: 4 },
    }));
    assert.equal(others.length, 1);
    // The longer text stands first: it is output 0.
    assert.deepEqual([...tokenRows(Float32Array.of(1, 2, 3), rectangle!)], [2, 3, 0, 0]);
    assert.deepEqual([...outputRows(Int32Array.of(2, 0), rectangle!)], [1]);
    assert.deepEqual([...meanMatrix(Int32Array.of(1, 3, 0, 1), rectangle, 4)], [0.5, 0.5, 0, 0]);
    assert.deepEqual([...outputRows(Int32Array.of(2, 0), others[0]!)], [0]);
  });

  it('4-bit codes in the order of columns, signed and unsigned', () => {
    const numbers = Float32Array.from({ length: 64 }, (_, i) => ((i * 7) % 15) - 7);
    const packed = packMatrix(numbers, 2, 32, FORMATS.q4g32);
    const codesOf = (isSigned: boolean) =>
      [...nibblesInOrder(packed.planes[0]!, isSigned)].flatMap((byte) => [byte & 15, byte >> 4]);
    const unsigned = codesOf(false).map((code) => code - 8);
    const signed = codesOf(true).map((code) => (code > 7 ? code - 16 : code));
    assert.deepEqual(signed, unsigned);
    const scale = unpackMatrix(packed)[0]! / unsigned[0]!;
    unpackMatrix(packed)
      .subarray(0, 32)
      .forEach((value, i) => assert.ok(Math.abs(unsigned[i]! * scale - value) < 1e-3, `column ${i}`));
  });
});

const PAGE: Capabilities = {
  webgpu: { available: false, reason: 'This browser has no WebGPU.' },
  webnn: { available: true, reason: 'navigator.ml exists.' },
  wasm: { available: true, simd: true, relaxedSimd: true, threads: true, reason: 'WebAssembly with SIMD.' },
  crossOriginIsolated: false,
  cores: 8,
  deviceMemoryBytes: undefined,
  storage: { opfs: false, quotaBytes: undefined, usedBytes: undefined },
  browser: { name: 'chrome', version: '150', mobile: false },
};

describe('WebNN in the plan', () => {
  const names = (choices: { backend: string }[]) => choices.map(({ backend }) => backend);

  it('runs encoders where it was asked for; what auto takes stands behind it', () => {
    assert.deepEqual(names(chooseBackends(PAGE, 'webnn', true)), ['webnn', 'wasm']);
    assert.deepEqual(names(chooseBackends(PAGE, 'auto', true)), ['wasm']);
  });

  it('gives way with the reason', () => {
    const [none] = chooseBackends({ ...PAGE, webnn: { available: false, reason: 'No ml.' } }, 'webnn', true);
    assert.deepEqual(none, {
      backend: 'wasm',
      reason: 'WebNN was asked for. No ml. There is no WebGPU: This browser has no WebGPU.',
    });
    const [decoder] = chooseBackends(PAGE, 'webnn', false);
    assert.match(decoder!.reason, /WebNN was asked for\. It runs encoders only\./);
  });

  it('asks for the GPU where there is a real one, for the NPU where it was wished', () => {
    const gpu = { available: true, description: 'Acme', isFallback: false } as Capabilities['webgpu'];
    assert.equal(chooseWebNnDevice(PAGE).device, 'cpu');
    assert.equal(chooseWebNnDevice({ ...PAGE, webgpu: gpu }).device, 'gpu');
    assert.equal(chooseWebNnDevice({ ...PAGE, webgpu: { ...gpu, isFallback: true } as typeof gpu }).device, 'cpu');
    assert.equal(chooseWebNnDevice(PAGE, 'npu').device, 'npu');
    assert.throws(() => chooseWebNnDevice(PAGE, 'tpu' as never));
  });

  it('plans four copies of the constants, without tables', () => {
    const graph = tinyDecoder();
    const tables = graph.operations.flatMap((operation) =>
      operation.op === 'embed' ? operation.attributes.weight : [],
    );
    const numbers = graph.weights
      .filter(({ name }) => !tables.includes(name))
      .reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
    assert.equal(webNnConstantBytes(graph), 16 * numbers);
  });

  it('an encoder loads without WebNN, and its plan says why', async () => {
    const source = fileURLToPath(new URL('../fixtures/sentences/embedder/', import.meta.url));
    const model = await loadDirectly(source, { backend: 'webnn', precision: 'f16', threads: 1 });
    const { backend, reasons } = model.info.plan;
    await model.dispose();
    assert.equal(backend, 'wasm');
    const reason = reasons.find(({ topic }) => topic === 'backend')!.reason;
    assert.match(reason, /^WebNN was asked for\. This browser has no navigator\.ml\./);
  });
});
