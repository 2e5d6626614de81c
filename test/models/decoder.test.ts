// Each tiny checkpoint of test/fixtures/decoders, through the graph and the reference backend, against transformers:
// every position of the prompt, then 20 cached decode steps; as written and as lowered; in one prefill and in chunks.

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { FORMATS } from '../../runtime/quantization/formats.ts';
import { openGoldenModel, relativeError } from './golden-model.ts';

const root = new URL('../fixtures/decoders/', import.meta.url).pathname;
const variants = readdirSync(root, { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? entry.name : []));

interface Goldens {
  prompt: number[];
  decoded: number[];
  prefill: Float32Array;
  decode: Float32Array;
  decodeF32: Float32Array;
  vocabulary: number;
}

function readGoldens(folder: string): Goldens {
  const described = JSON.parse(readFileSync(`${folder}/goldens.json`, 'utf8')) as {
    prompt: number[];
    decoded: number[];
    vocabulary: number;
    blocks: Record<'prefill' | 'decode' | 'decodeF32', number>;
  };
  const numbers = new Float32Array(Uint8Array.from(readFileSync(`${folder}/goldens.bin`)).buffer);
  let at = 0;
  const take = (rows: number) => numbers.subarray(at, (at += rows * described.vocabulary));
  const { blocks } = described;
  const goldens = { prefill: take(blocks.prefill), decode: take(blocks.decode), decodeF32: take(blocks.decodeF32) };
  assert.equal(at, numbers.length);
  return { ...described, ...goldens };
}

function argMax(values: Float32Array): number {
  return values.reduce((best, value, i) => (value > values[best]! ? i : best), 0);
}

test('there are checkpoints of every kind', () => {
  assert.deepEqual(variants, [
    'llama-linear',
    'llama-llama3',
    'llama-tied',
    'mistral-window',
    'qwen2-bias',
    'qwen2-windowed-layers',
    'qwen3-qk-norm',
    'smollm',
  ]);
});

for (const variant of variants) {
  const folder = root + variant;
  for (const fused of [false, true]) {
    test(`${variant}, ${fused ? 'lowered' : 'as written'}: prefill and 20 decode steps as transformers`, async () => {
      const { prompt, decoded, prefill, decode, decodeF32, vocabulary } = readGoldens(folder);
      const model = await openGoldenModel(folder, { fused });
      const first = await model.step(prompt, 0, true);
      assert.ok(relativeError(first, prefill) <= 1e-4, `prefill: ${relativeError(first, prefill)}`);

      let token = argMax(first.subarray(-vocabulary));
      for (const [step, expected] of decoded.entries()) {
        assert.equal(token, expected, `token ${step}`);
        const logits = await model.step([token], prompt.length + step);
        const row = (golden: Float32Array) => golden.subarray(step * vocabulary, (step + 1) * vocabulary);
        assert.ok(relativeError(logits, row(decode)) <= 1e-4, `step ${step}: ${relativeError(logits, row(decode))}`);
        // What the f16 cache costs against an f32 one.
        assert.ok(relativeError(logits, row(decodeF32)) <= 2e-3, `step ${step}, f32 cache`);
        token = argMax(logits);
      }
    });
  }

  test(`${variant}: a prefill in chunks is the same prefill`, async () => {
    const { prompt, prefill, vocabulary } = readGoldens(folder);
    const model = await openGoldenModel(folder);
    await model.step(prompt.slice(0, 5), 0);
    await model.step(prompt.slice(5, 6), 5);
    const rest = await model.step(prompt.slice(6), 6, true);
    assert.ok(relativeError(rest, prefill.subarray(6 * vocabulary)) <= 1e-4);
  });
}

test('weights at 8 and at 4 bits stay near, each at its distance', async () => {
  const folder = `${root}llama-tied`;
  const { prompt, prefill } = readGoldens(folder);
  const error = async (format: (typeof FORMATS)['q4g32'] | (typeof FORMATS)['q8g32']) => {
    const model = await openGoldenModel(folder, { fused: true, format });
    const logits = await model.step(prompt, 0, true);
    const squares = (values: Float32Array) => values.reduce((sum, x) => sum + x * x, 0);
    return Math.sqrt(squares(logits.map((x, i) => x - prefill[i]!)) / squares(prefill));
  };
  const eight = await error(FORMATS.q8g32);
  const four = await error(FORMATS.q4g32);
  // Random weights amplify noise; but 8 bits have 16 times finer steps than 4, and the logits' errors must show it.
  assert.ok(eight < 0.05, `8 bits: ${eight}`);
  assert.ok(four / eight > 8 && four / eight < 32, `4 bits: ${four}, 8 bits: ${eight}`);
});
