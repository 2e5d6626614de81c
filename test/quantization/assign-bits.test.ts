// Bits under a budget against trying everything: where the budget is a corner of the hull the answer is the best there is,
// elsewhere it fits, wastes no step that would still fit, and is bounded by the hull.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { assignBits, type Unit } from '../../runtime/quantization/assign-bits.ts';
import { FORMATS, type QuantFormatName } from '../../runtime/quantization/formats.ts';
import { Random } from '../support/random.ts';

const NAMES: QuantFormatName[] = ['q2k', 'q3k', 'q4k', 'q6k'];

function randomUnits(seed: number): Unit[] {
  const random = new Random(seed);
  return Array.from({ length: 5 }, (_, u) => {
    const size = random.integer(1, 40);
    return {
      name: `unit${u}`,
      candidates: NAMES.map((name, i) => ({
        format: FORMATS[name],
        bytes: size * (i + 2) + random.integer(0, 3),
        cost: (random.next() * size) / 4 ** i,
      })),
    };
  });
}

/** The least cost within a budget, by trying everything. */
function leastCost(units: readonly Unit[], budget: number): number {
  const [first, ...rest] = units;
  if (!first) return 0;
  return Math.min(
    ...first.candidates
      .filter(({ bytes }) => bytes <= budget)
      .map(({ bytes, cost }) => cost + leastCost(rest, budget - bytes)),
  );
}

describe('assignBits', () => {
  it('is the best there is at the corners of the hull, and never exceeds the budget', () => {
    for (let seed = 0; seed < 25; seed++) {
      const units = randomUnits(seed);
      const least = units.reduce((sum, { candidates }) => sum + Math.min(...candidates.map(({ bytes }) => bytes)), 0);
      const most = units.reduce((sum, { candidates }) => sum + Math.max(...candidates.map(({ bytes }) => bytes)), 0);
      let budget = most;
      for (let step = 0; step < 4; step++) {
        const { bytes, cost, formats } = assignBits(units, budget);
        assert.ok(bytes <= budget);
        assert.equal(formats.size, units.length);
        const best = leastCost(units, budget);
        assert.ok(cost >= best - 1e-12);
        if (step === 0) assert.ok(Math.abs(cost - best) < 1e-12, `${cost} of ${best}`);
        budget = Math.floor((least + bytes) / 2);
        if (budget < least) break;
      }
    }
  });

  it('spends every byte that buys something: no step of one unit fits and gains', () => {
    const units = randomUnits(99);
    const { bytes, formats } = assignBits(units, 300);
    for (const { name, candidates } of units) {
      const now = candidates.find(({ format }) => format === formats.get(name))!;
      const better = candidates.filter(
        (other) => other.cost < now.cost && bytes + other.bytes - now.bytes <= 300 && other.bytes > now.bytes,
      );
      // Only what lies above the hull may be left: it would cost more a byte than the step after it.
      for (const other of better) {
        assert.ok(
          candidates.some((third) => third.bytes > other.bytes && third.cost < other.cost),
          name,
        );
      }
    }
  });

  it('gives the sensitive unit more bits than another of its size', () => {
    const unit = (name: string, factor: number): Unit => ({
      name,
      candidates: [
        { format: FORMATS.q2k, bytes: 10, cost: factor },
        { format: FORMATS.q4k, bytes: 20, cost: factor / 16 },
      ],
    });
    const { formats } = assignBits([unit('dull', 1), unit('sensitive', 5)], 30);
    assert.equal(formats.get('sensitive'), FORMATS.q4k);
    assert.equal(formats.get('dull'), FORMATS.q2k);
  });

  it('says what the smallest formats take when the budget is less', () => {
    assert.throws(() => assignBits(randomUnits(1), 1), { code: 'invalid-argument', message: /smallest formats take/ });
  });
});
