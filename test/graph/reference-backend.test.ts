// The reference backend is what end-to-end tests stand on: that it takes packed weights, keeps its cache and refuses what
// a real backend must refuse.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { lower } from '../../runtime/graph/passes/index.ts';
import { FORMATS } from '../../runtime/quantization/formats.ts';
import { packMatrix } from '../../runtime/quantization/pack.ts';
import { matrixSize } from '../../runtime/planning/weight-bytes.ts';
import { Random } from '../support/random.ts';
import { ReferenceBackend, type ReferenceProgram } from '../support/reference-backend.ts';
import { TINY_DECODER, tinyDecoder } from '../support/tiny-decoder.ts';

const graph = lower(tinyDecoder());
const formats = new Map(
  graph.weights.map(({ name, shape }) => [name, shape.length === 1 ? FORMATS.f32 : FORMATS.q8g32]),
);
const options = { formats, contextLength: 8, maxTokens: 6, maxOutputs: 6 };
const { headDim } = TINY_DECODER;

async function load(): Promise<ReferenceProgram> {
  const program = await new ReferenceBackend().compile(graph, options);
  const random = new Random(9);
  for (const weight of graph.weights) {
    const { rows, columns } = matrixSize(weight);
    const numbers = random.floats(rows * columns, 0.3);
    await program.setWeight(weight.name, packMatrix(numbers, rows, columns, formats.get(weight.name)!));
  }
  await program.ready();
  return program;
}

const rotary = new Random(2).floats(8 * headDim, 1);
const step = (past: number, ...tokenIds: number[]) => ({
  tokenIds: Int32Array.from(tokenIds),
  rotary: rotary.subarray(past * headDim, (past + tokenIds.length) * headDim),
  outputRows: Int32Array.of(tokenIds.length - 1),
  past,
});

describe('reference backend', () => {
  test('token by token gives the logits of one prefill', async () => {
    const atOnce = await (await load()).run(step(0, 3, 14, 15, 9));
    const program = await load();
    await program.run(step(0, 3, 14));
    await program.run(step(2, 15));
    assert.deepEqual(await program.run(step(3, 9)), atOnce);
    assert.equal(atOnce.length, TINY_DECODER.vocabulary);
    assert.notDeepEqual(await program.run(step(3, 10)), atOnce);
  });

  test('counts what it holds', async () => {
    const program = await load();
    const memory = program.memory();
    const matrices = 50 * 64 + 2 * (128 * 64 + 64 * 64 + 192 * 64 + 64 * 96);
    assert.equal(memory.weights, (matrices * 8.5) / 8 + 4 * 5 * 64);
    assert.equal(memory.keyValueCache, 2 * 2 * 2 * 16 * 2 * 8);
    // The embedding is tied: one row of it is read beside all of it.
    assert.equal(program.profile().weightBytesPerToken, memory.weights + (64 * 8.5) / 8);
  });

  test('refuses a missing or wrong weight, a step out of range, and work after its end', async () => {
    const program = await new ReferenceBackend().compile(graph, options);
    await assert.rejects(program.ready(), { code: 'missing-tensor', message: /embed/ });
    const matrix = packMatrix(new Float32Array(50 * 64), 50, 64, FORMATS.q8g32);
    await assert.rejects(program.setWeight('nowhere', matrix), { code: 'invalid-argument' });
    await assert.rejects(program.setWeight('layers.0.o', matrix), {
      code: 'invalid-argument',
      message: /50 × 64.*64 × 64/,
    });
    const plain = packMatrix(new Float32Array(50 * 64), 50, 64, FORMATS.f16);
    await assert.rejects(program.setWeight('embed', plain), {
      code: 'invalid-argument',
      message: /as f16; the plan says q8g32/,
    });

    const loaded = await load();
    await assert.rejects(loaded.run(step(7, 1, 2)), { code: 'invalid-argument', message: /past \+ tokens is 9/ });
    await assert.rejects(loaded.run(step(0, 1, 2, 3, 4, 5, 6, 7)), {
      code: 'invalid-argument',
      message: /tokens is 7/,
    });
    loaded.dispose();
    loaded.dispose();
    await assert.rejects(loaded.run(step(0, 1)), { code: 'disposed' });
  });
});
