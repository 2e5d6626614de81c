// What `auto` gives up for memory, by role.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { lower } from '../../runtime/graph/passes/index.ts';
import { planModel } from '../../runtime/planning/plan.ts';
import { tinyDecoder } from '../support/tiny-decoder.ts';
import { LARGE, request, type Case } from './plan-case.ts';

const plan = (given: Case) => planModel(request(given));

describe('precision by role', () => {
  test('auto keeps more bits in attention where memory lies between two precisions', () => {
    const fixed = { contextLength: 512 };
    const memory = (precision: '4bit' | '8bit') => plan({ options: LARGE, wishes: { ...fixed, precision } }).memory;
    const [four, eight] = [memory('4bit'), memory('8bit')];
    // Half of what eight bits take more, read in the shortest chunks: enough for attention, not for all.
    const memoryLimitBytes = (four.weights + eight.weights) / 2 + four.keyValueCache + four.activations / 8;
    const chosen = plan({ options: LARGE, wishes: { ...fixed, memoryLimitBytes } });
    assert.equal(chosen.precision, '4bit');
    assert.equal(chosen.formats.get('layers.0.o')?.name, 'q8g32');
    assert.equal(chosen.formats.get('layers.0.down')?.name, 'q4g32');
    assert.equal(chosen.formats.get('embed')?.name, 'q4g32');
    assert.ok(
      chosen.reasons.some(({ reason }) => /4 bits a weight \(attention 8\), because 8 do not fit/.test(reason)),
    );
  });

  test('positions keep f16 whatever the precision', () => {
    const graph = lower(tinyDecoder());
    const weights = graph.weights.map((weight) =>
      weight.name === 'embed' ? { ...weight, role: 'position' as const } : weight,
    );
    const asked = request({ wishes: { precision: '2bit' } });
    const { formats } = planModel({ ...asked, graph: { ...graph, weights } });
    assert.equal(formats.get('embed')?.name, 'f16');
    assert.equal(formats.get('layers.0.down')?.name, 'q2g32');
  });
});
