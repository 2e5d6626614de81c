// The models that the bench makes up: read by this project's readers and, as ONNX, run by onnxruntime-web.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as ort from 'onnxruntime-web';
import { onnxDecoder } from '../../bench/onnx-model.mjs';
import { OnnxDecoder } from '../../bench/peers/onnxruntime.mjs';
import { SHAPES, tensorsOf, weightBytesPerToken, type BenchShape } from '../../bench/shapes.mjs';
import { ggufFile, safetensorsFolder } from '../../bench/synthetic-model.mjs';
import { openCheckpoint } from '../../runtime/weights/checkpoint.ts';
import { readGgufHeader } from '../../runtime/weights/gguf/header.ts';
import { MemoryFile, memoryFiles } from '../weights/memory-files.ts';

const tiny = SHAPES['tiny'] as BenchShape;
/** With everything that some shape has and `tiny` has not. */
const other: BenchShape = { ...tiny, modelType: 'qwen2', attentionBias: true, tied: false };

describe('the bench’s safetensors folder', () => {
  for (const bits of [2, 3, 4, 8] as const) {
    it(`is read by the runtime, ${bits} bits`, async () => {
      const folder = safetensorsFolder(other, bits);
      const content = Object.fromEntries(
        Object.entries(folder).map(([name, file]) => [name, file.read(0, file.size)] as const),
      );
      const checkpoint = await openCheckpoint(memoryFiles(content));
      const matrices = tensorsOf(other).filter(({ dims }) => dims.length === 2);
      for (const { name, dims } of matrices) {
        const [rows, columns] = dims as [number, number];
        const planes = bits === 3 ? [2, 1] : [bits];
        planes.forEach((planeBits, p) =>
          assert.deepEqual(checkpoint.tensors.get(`${name}.plane${p}`)?.shape, [rows, (columns * planeBits) / 8]),
        );
        assert.deepEqual(checkpoint.tensors.get(`${name}.scales`)?.shape, [rows, columns / 32]);
      }
      assert.ok(checkpoint.tensors.has('model.layers.0.self_attn.q_proj.bias'));
      const formats = JSON.parse(checkpoint.metadata.get('wp-models.quantization') ?? '{}') as Record<string, string>;
      assert.deepEqual(new Set(Object.values(formats)), new Set([`q${bits}g32`]));
      const scales = new Uint16Array((await checkpoint.read('lm_head.weight.scales')).slice().buffer);
      assert.ok(scales.every((half) => half > 0 && half < 0x7c00));
    });
  }

  it('gives the same bytes by range', () => {
    const file = safetensorsFolder(tiny, 4)['model.safetensors'];
    assert.ok(file);
    const whole = file.read(0, file.size);
    for (const [from, to] of [
      [0, 9],
      [4000, 12_345],
      [file.size - 7, file.size],
    ] as const) {
      assert.deepEqual(file.read(from, to), whole.slice(from, to));
    }
  });
});

describe('the bench’s GGUF file', () => {
  for (const [bits, type] of [
    [4, 'Q4_0'],
    [8, 'Q8_0'],
  ] as const) {
    it(`is read by the runtime, ${type}`, async () => {
      const file = ggufFile(other, bits);
      const { metadata, tensors } = await readGgufHeader(new MemoryFile('model.gguf', file.read(0, file.size)));
      assert.equal(metadata.get('general.architecture'), 'qwen2');
      assert.equal(metadata.get('qwen2.block_count'), other.layers);
      assert.equal((metadata.get('tokenizer.ggml.tokens') as string[]).length, other.vocabulary);
      assert.deepEqual(
        tensors.map(({ name, shape }) => [name, [...shape]]),
        tensorsOf(other).map(({ gguf, dims }) => [gguf, dims]),
      );
      for (const tensor of tensors) assert.equal(tensor.start % 32, 0);
      const last = tensors.at(-1);
      assert.equal(last && Math.ceil(last.end / 32) * 32, file.size);
      const blob = file.blob();
      assert.equal(blob.size, file.size);
      assert.deepEqual(new Uint8Array(await blob.slice(0, 64).arrayBuffer()), file.read(0, 64));
    });
  }
});

describe('the bench’s ONNX decoder, in onnxruntime-web', () => {
  ort.env.wasm.numThreads = 1;
  const sizes = { promptTokens: 8, decodeTokens: 8 };

  for (const weights of ['q4', 'q8'] as const) {
    it(`${weights}: finite logits of the last token, and a cache that grows`, async () => {
      const decoder = await OnnxDecoder.load(ort, { shape: 'tiny', weights, backend: 'wasm', ...sizes }, false);
      try {
        const prompt = await decoder.run([5, 9, 200, 17], 0);
        const step = await decoder.run([33], 4, prompt.present);
        for (const { logits } of [prompt, step]) {
          assert.deepEqual([...logits.dims], [1, 1, tiny.vocabulary]);
          const values = [...(logits.data as Float32Array)];
          assert.ok(values.every(Number.isFinite));
          assert.ok(Math.max(...values) > Math.min(...values));
        }
        assert.deepEqual([...(step.present['past.1.key']?.dims ?? [])], [1, tiny.keyValueHeads, 5, tiny.headDim]);
        // Tokens one by one, or all at once: the same numbers, up to the activations that q8 quantises together.
        const whole = (await decoder.run([5, 9, 200, 17, 33], 0)).logits.data as Float32Array;
        const difference = whole.map((value, i) => Math.abs(value - Number(step.logits.data[i])));
        assert.ok(Math.max(...difference) < (weights === 'q4' ? 1e-3 : 0.1), String(Math.max(...difference)));
      } finally {
        await decoder.release();
      }
    });
  }

  it('computes the same from what transformers.js feeds', async () => {
    const ids = [5, 9, 200, 17];
    const decoder = await OnnxDecoder.load(ort, { shape: 'tiny', weights: 'q4', backend: 'wasm', ...sizes }, false);
    const expected = (await decoder.run(ids, 0)).logits.data;
    await decoder.release();
    const { model, externalData } = onnxDecoder(tiny, { weights: 'q4', contextLength: 80, inputs: 'transformers' });
    const session = await ort.InferenceSession.create(model, { externalData, executionProviders: ['wasm'] });
    const integers = (values: number[]): ort.Tensor =>
      new ort.Tensor('int64', BigInt64Array.from(values, BigInt), [1, values.length]);
    const empty = (): ort.Tensor =>
      new ort.Tensor('float32', new Float32Array(0), [1, tiny.keyValueHeads, 0, tiny.headDim]);
    const caches = session.inputNames.filter((name) => /^past_key_values\.\d\.(key|value)$/.test(name));
    assert.equal(caches.length, 2 * tiny.layers);
    const { logits } = await session.run({
      input_ids: integers(ids),
      attention_mask: integers([1, 1, 1, 1]),
      ...Object.fromEntries(caches.map((name) => [name, empty()])),
    });
    assert.deepEqual(logits?.data, expected);
    await session.release();
  });

  it('takes biases, an untied output and 8-bit blocks', async () => {
    const { model, externalData } = onnxDecoder(other, { weights: 'q8-blocks', contextLength: 16 });
    const session = await ort.InferenceSession.create(model, { externalData, executionProviders: ['wasm'] });
    assert.equal(session.inputNames.length, 3 + 2 * other.layers);
    assert.deepEqual(session.outputNames.slice().sort(), [
      'logits',
      ...Array.from({ length: other.layers }, (_, i) => [`present.${i}.key`, `present.${i}.value`]).flat(),
    ]);
    await session.release();
  });

  it('counts the bytes of a token as the other formats do', () => {
    const { weightBytesPerToken: bytes } = onnxDecoder(tiny, {
      weights: 'q4',
      activations: 'float16',
      contextLength: 16,
    });
    assert.equal(bytes, weightBytesPerToken(tiny, 4.5));
  });
});
