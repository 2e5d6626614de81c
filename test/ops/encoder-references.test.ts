// The references of the encoders' operations against torch: encoder-goldens.json is made by make-encoder.py beside it.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { ENCODER_OPERATIONS, registerEncoderOperations } from '../../runtime/ops/encoder-operations.ts';
import { erf } from '../../runtime/ops/erf.ts';
import { runReference, shapesOf, weightsOf, type OperationSpec } from '../../runtime/ops/index.ts';
import type { Tensor } from '../../runtime/ops/operation.ts';

interface Stored {
  shape: number[];
  data: number[];
}

type Golden = OperationSpec & { inputs: Stored[]; outputs: [Stored]; weights: Record<string, Stored> };

registerEncoderOperations();
const path = new URL('../fixtures/ops/encoder-goldens.json', import.meta.url);
const goldens = JSON.parse(readFileSync(path, 'utf8')) as Golden[];

const load = ({ shape, data }: Stored): Tensor => ({ shape, data: Float32Array.from(data) });

describe('references of encoders agree with torch', () => {
  goldens.forEach((golden, index) => {
    test(`${index}: ${golden.op} ${JSON.stringify(golden.attributes)}`, () => {
      const inputs = golden.inputs.map(load);
      const weights = new Map(Object.entries(golden.weights).map(([name, stored]) => [name, load(stored)]));
      const context = {
        weight: (name: string) => weights.get(name)!,
        state: () => assert.fail('encoders have no state'),
        past: 0,
      };
      const [output] = runReference(golden, inputs, context);
      const [expected] = golden.outputs;
      assert.deepEqual(output!.shape, expected.shape);
      output!.data.forEach((x, i) => {
        const error = Math.abs(x - expected.data[i]!);
        assert.ok(error <= 1e-6 * Math.max(1, Math.abs(expected.data[i]!)), `[${i}] is ${x}, not ${expected.data[i]}`);
      });
      const inputShapes = inputs.map(({ shape }) => shape);
      const shapes = shapesOf(golden, inputShapes, { weightShape: (name) => weights.get(name)!.shape });
      assert.deepEqual(shapes, [output!.shape], 'the shape rule tells the shape of the result');
      assert.deepEqual([...weights.keys()].sort(), [...weightsOf(golden)].sort());
    });
  });

  test('every operation has a golden', () => {
    assert.deepEqual([...new Set(goldens.map(({ op }) => op))].sort(), Object.keys(ENCODER_OPERATIONS).sort());
  });

  test('a query that sees nothing gets zeros', () => {
    const rows: Tensor = { shape: [2, 12], data: new Float32Array(24).fill(1) };
    const spans: Tensor = { shape: [2, 2], data: Float32Array.of(0, 2, 0, 0) };
    const offsets = { queries: 0, keys: 4, values: 8 };
    const attributes = { heads: 1, keyValueHeads: 1, headDim: 4, scale: 1, offsets, isCausal: false };
    const unused = () => assert.fail('there are no weights');
    const [output] = runReference({ op: 'attend', attributes }, [rows, rows, rows, spans], {
      weight: unused,
      state: unused,
      past: 0,
    });
    assert.deepEqual([...output!.data], [1, 1, 1, 1, 0, 0, 0, 0]);
  });

  test('erf, where its two ways meet', () => {
    // Python's math.erf.
    assert.ok(Math.abs(erf(2.4999) - 0.9995928300996666) < 1e-14);
    assert.ok(Math.abs(erf(2.5001) - 0.9995932657565293) < 1e-14);
    assert.equal(erf(0), 0);
    assert.equal(erf(-30), -1);
  });
});
