// The references against torch: goldens.json is made by make.py beside it. What every kernel is later held against is held
// against something itself.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import {
  OPERATIONS,
  runReference,
  shapesOf,
  statesOf,
  weightsOf,
  type OperationSpec,
} from '../../runtime/ops/index.ts';
import type { Tensor } from '../../runtime/ops/operation.ts';

interface StoredTensor {
  shape: number[];
  data: number[];
}

type Golden = OperationSpec & {
  inputs: StoredTensor[];
  outputs: StoredTensor[];
  weights: Record<string, StoredTensor>;
  states: Record<string, StoredTensor>;
  statesAfter: Record<string, StoredTensor>;
  past: number;
};

const goldens = JSON.parse(readFileSync(new URL('../fixtures/ops/goldens.json', import.meta.url), 'utf8')) as Golden[];

const INTEGER_INPUTS: Partial<Record<OperationSpec['op'], number>> = { embed: 0, selectRows: 1 };

function load({ shape, data }: StoredTensor): Tensor {
  return { shape, data: Float32Array.from(data) };
}

function loadAll(stored: Record<string, StoredTensor>): Map<string, Tensor> {
  return new Map(Object.entries(stored).map(([name, tensor]) => [name, load(tensor)]));
}

function assertClose(actual: Tensor, expected: StoredTensor, what: string): void {
  assert.deepEqual(actual.shape, expected.shape, what);
  actual.data.forEach((x, i) => {
    const error = Math.abs(x - expected.data[i]!);
    assert.ok(error <= 1e-6 * Math.max(1, Math.abs(expected.data[i]!)), `${what}[${i}]: ${x}, not ${expected.data[i]}`);
  });
}

describe('references agree with torch', () => {
  goldens.forEach((golden, index) => {
    test(`${index}: ${golden.op} ${JSON.stringify(golden.attributes)}`, () => {
      const inputs = golden.inputs.map((stored, i): Tensor =>
        INTEGER_INPUTS[golden.op] === i ? { ...stored, data: Int32Array.from(stored.data) } : load(stored),
      );
      const weights = loadAll(golden.weights);
      const states = loadAll(golden.states);
      const outputs = runReference(golden, inputs, {
        weight: (name) => weights.get(name)!,
        state: (name) => states.get(name)!,
        past: golden.past,
      });
      assert.equal(outputs.length, golden.outputs.length);
      outputs.forEach((output, i) => assertClose(output, golden.outputs[i]!, `output ${i}`));
      for (const [name, after] of Object.entries(golden.statesAfter)) {
        assert.deepEqual([...states.get(name)!.data], after.data, `state ${name}`);
      }

      const shapes = shapesOf(
        golden,
        inputs.map(({ shape }) => shape),
        { weightShape: (name) => weights.get(name)!.shape },
      );
      assert.deepEqual(
        shapes,
        outputs.map(({ shape }) => shape),
        'the shape rule tells the shape of the result',
      );
      assert.deepEqual([...weights.keys()].sort(), [...weightsOf(golden)].sort());
      assert.deepEqual([...states.keys()].sort(), [...statesOf(golden)].sort());
    });
  });

  test('every operation has a golden', () => {
    assert.deepEqual([...new Set(goldens.map(({ op }) => op))].sort(), Object.keys(OPERATIONS).sort());
  });
});
