// What `auto` makes of measured sensitivities, for a device that has too little memory for its first choice.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { WpError } from '../../runtime/errors.ts';
import { measuredPrecision } from '../../runtime/planning/measured-precision.ts';
import { planModel } from '../../runtime/planning/plan.ts';
import { codeBits, isQuantized } from '../../runtime/quantization/formats.ts';
import { LARGE, request, type Case } from './plan-case.ts';

const graphOf = (given: Case) => request(given).graph;
const plan = (given: Case) => planModel(request(given));
const COSTS = { q2k: 0.5, q3k: 0.1, q4k: 0.02, q5k: 0.006, q6k: 0.002, q8g32: 0.0002 };

/** Layer 2's FFN matters a hundred times as much as its bytes say; all else alike. */
function costs(skip?: string): string {
  const given = graphOf({ options: LARGE });
  const entries = given.weights
    .filter(({ shape }) => shape.length > 1)
    .flatMap(({ parts, shape }) =>
      parts.map(({ tensor, rows }) => {
        const factor = ((rows * shape[1]!) / 1e6) * (/layers\.2\.(?:gate|up|down)/.test(tensor) ? 100 : 1);
        const scaled = Object.entries(COSTS).map(([format, cost]) => [format, cost * factor]);
        return [tensor, { ...Object.fromEntries(scaled), future: 1 }] as const;
      }),
    );
  return JSON.stringify(Object.fromEntries(entries.filter(([tensor]) => tensor !== skip)));
}

const fixed = { contextLength: 512 };
const bitsOf = (given: ReturnType<typeof plan>, name: string): number => {
  const format = given.formats.get(name)!;
  assert.ok(isQuantized(format), `${name}: ${format.name}`);
  return codeBits(format);
};

describe('auto by measured sensitivity', () => {
  const precision = measuredPrecision(costs());
  const memory = (named: '2bit' | '4bit' | '8bit') =>
    plan({ options: LARGE, wishes: { ...fixed, precision: named } }).memory;

  test('keeps its first choice where memory allows it', () => {
    const chosen = plan({ options: LARGE, wishes: { ...fixed, precision } });
    assert.equal(chosen.formats.get('layers.2.down')?.name, 'q8g32');
    assert.match(
      chosen.reasons.find(({ topic }) => topic === 'precision')!.reason,
      /8 bits a weight: the model is small/,
    );
  });

  test('gives the bytes of the device to the layers and roles that lose most', () => {
    // Read in the shortest chunks, which give way first.
    const rest = memory('8bit').keyValueCache + memory('8bit').activations / 8;
    for (const share of [0.7, 0.55, 0.4]) {
      const memoryLimitBytes = share * memory('8bit').weights + rest;
      const chosen = plan({ options: LARGE, wishes: { ...fixed, precision, memoryLimitBytes } });
      assert.ok(chosen.memory.total <= memoryLimitBytes);
      // The budget is the device's: little is left over.
      assert.ok(chosen.memory.total > 0.92 * memoryLimitBytes, `${share}: ${chosen.memory.total}`);
      assert.ok(bitsOf(chosen, 'layers.2.down') > bitsOf(chosen, 'layers.1.down'), String(share));
      assert.ok(
        chosen.reasons.some(({ reason }) => /bits a weight, each layer and role by the sensitivity/.test(reason)),
      );
    }
  });

  test('what was not measured keeps its format, and nothing fits where nothing can', () => {
    const memoryLimitBytes = 0.5 * memory('8bit').weights + memory('8bit').keyValueCache + memory('8bit').activations;
    const without = measuredPrecision(costs('layers.1.o'));
    const chosen = plan({ options: LARGE, wishes: { ...fixed, precision: without, memoryLimitBytes } });
    assert.equal(chosen.formats.get('layers.1.o')?.name, 'q8g32');
    assert.throws(
      () => plan({ options: LARGE, wishes: { ...fixed, precision, memoryLimitBytes: memory('2bit').weights / 2 } }),
      (thrown: unknown) => thrown instanceof WpError && thrown.code === 'out-of-memory',
    );
  });

  test('figures that are none are refused', () => {
    for (const text of ['', 'null', '3', '{"a":1}', '{"a":{"q2k":"1"}}', '{"a":{"q2k":-1}}', '{"a":{"q2k":null}}']) {
      assert.throws(
        () => measuredPrecision(text),
        (thrown: unknown) => thrown instanceof WpError && thrown.code === 'corrupt-file',
        text,
      );
    }
  });
});
