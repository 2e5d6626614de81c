import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { planActivations, SLOT_ALIGNMENT_BYTES, valueLifetimes } from '../../runtime/graph/memory-plan.ts';
import { lower } from '../../runtime/graph/passes/index.ts';
import { valueBytes } from '../../runtime/graph/shapes.ts';
import { countParameters, stateBytes, stepCost, totalWeightBytes, weightBytesRead } from '../../runtime/graph/sizes.ts';
import type { Graph, Operation, Value } from '../../runtime/graph/types.ts';
import { Random } from '../support/random.ts';
import { TINY_DECODER, tinyDecoder } from '../support/tiny-decoder.ts';

/** A graph of `add`s with random readers: long and short lives, several outputs. Sizes are random, so it is not valid. */
function randomGraph(random: Random): Graph {
  const values: Value[] = [];
  const value = (): number => {
    const id = values.length;
    values.push({ id, name: `v${id}`, dtype: 'f32', shape: ['tokens', random.integer(1, 400)] });
    return id;
  };
  const inputs = { a: value(), b: value() };
  const operations: Operation[] = [];
  for (let i = 0; i < random.integer(1, 40); i++) {
    const pick = () => (random.boolean() ? random.integer(0, values.length - 1) : values.length - 1);
    operations.push({ op: 'add', attributes: {}, inputs: [pick(), pick()], outputs: [value()] });
  }
  const outputs = { first: random.integer(0, values.length - 1), last: values.length - 1 };
  return { operations, values, inputs, outputs, weights: [], states: [] };
}

describe('memory plan', () => {
  test('values that live at once never share a slot, and every value fits its slot', () => {
    const random = new Random(5);
    for (let round = 0; round < 200; round++) {
      const graph = randomGraph(random);
      const dims = { tokens: random.integer(1, 9) };
      const plan = planActivations(graph, dims);
      const lifetimes = valueLifetimes(graph);
      for (const a of graph.values) {
        const slot = plan.slotOf.get(a.id)!;
        assert.ok(plan.slots[slot]!.bytes >= valueBytes(a, dims));
        for (const b of graph.values) {
          const [lifeA, lifeB] = [lifetimes.get(a.id)!, lifetimes.get(b.id)!];
          const live = lifeA.from <= lifeB.to && lifeB.from <= lifeA.to;
          if (a.id !== b.id && live) assert.notEqual(slot, plan.slotOf.get(b.id), `${a.name} and ${b.name}`);
        }
      }
      assert.ok(plan.slots.every(({ bytes }) => bytes % SLOT_ALIGNMENT_BYTES === 0));
      assert.equal(
        plan.totalBytes,
        plan.slots.reduce((sum, { bytes }) => sum + bytes, 0),
      );
    }
  });

  test('an output lasts past the last operation, an input that nothing reads has a slot', () => {
    const graph: Graph = {
      values: ['unread', 'x', 'early', 'late'].map((name, id) => ({ id, name, dtype: 'f32', shape: [64] })),
      inputs: { unread: 0, x: 1 },
      outputs: { early: 2 },
      operations: [
        { op: 'add', attributes: {}, inputs: [1, 1], outputs: [2] },
        { op: 'add', attributes: {}, inputs: [1, 1], outputs: [3] },
      ],
      weights: [],
      states: [],
    };
    const { slotOf, totalBytes } = planActivations(graph, {});
    assert.deepEqual(
      [...slotOf.entries()],
      [
        [0, 0],
        [1, 1],
        [2, 0],
        [3, 2],
      ],
    );
    assert.equal(totalBytes, 3 * 256);
  });

  test('a decoder of many layers needs no more than one of two', () => {
    const bytes = (layers: number) =>
      planActivations(lower(tinyDecoder({ ...TINY_DECODER, layers })), { tokens: 16, outputs: 1 }).totalBytes;
    assert.equal(bytes(30), bytes(2));
  });
});

describe('sizes', () => {
  const graph = lower(tinyDecoder({ ...TINY_DECODER, layers: 2, isTied: true }));
  const f32 = ({ shape }: { shape: readonly number[] }) => 4 * shape.reduce((a, b) => a * b, 1);

  test('parameters and bytes, counted by hand', () => {
    const layer = 64 + 128 * 64 + 64 * 64 + 64 + 192 * 64 + 64 * 96;
    const parameters = 50 * 64 + 2 * layer + 64;
    assert.equal(countParameters(graph), parameters);
    assert.equal(totalWeightBytes(graph, f32), 4 * parameters);
    // Two layers, keys and values, 2 heads of 16 in f16.
    assert.equal(stateBytes(graph, 100), 2 * 2 * 2 * 16 * 2 * 100);
  });

  test('a decode step reads every weight once, of a tied embedding one row more', () => {
    const step = { tokens: 1, past: 9, outputs: 1 };
    assert.equal(weightBytesRead(graph, step, f32), totalWeightBytes(graph, f32) + 64 * 4);
    // Beside the weights: ten positions of the caches are read and one is written.
    assert.equal(stepCost(graph, step, () => 0).bytes, 2 * 2 * 2 * 16 * 2 * (10 + 1));
  });

  test('FLOP of a prefill are dominated by two a weight and token', () => {
    const { flops } = stepCost(graph, { tokens: 8, past: 0, outputs: 1 }, f32);
    const matrices = 2 * 8 * 2 * (128 * 64 + 64 * 64 + 192 * 64 + 64 * 96) + 2 * 50 * 64;
    assert.ok(flops > matrices && flops < 1.1 * matrices, `${flops} against ${matrices}`);
  });
});
