// Bits under a budget against trying everything: the answer is the best there is, whether or not the budget is just met.

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
  it('is the best there is at every budget, and never exceeds it', () => {
    for (let seed = 0; seed < 25; seed++) {
      const units = randomUnits(seed);
      const least = units.reduce((sum, { candidates }) => sum + Math.min(...candidates.map(({ bytes }) => bytes)), 0);
      const most = units.reduce((sum, { candidates }) => sum + Math.max(...candidates.map(({ bytes }) => bytes)), 0);
      for (const share of [0, 0.2, 0.45, 0.7, 1, 2]) {
        const budget = Math.floor(least + share * (most - least));
        const { bytes, cost, formats } = assignBits(units, budget);
        const chosen = units.map(({ name, candidates }) => candidates.find((c) => c.format === formats.get(name))!);
        assert.equal(
          bytes,
          chosen.reduce((sum, candidate) => sum + candidate.bytes, 0),
        );
        assert.ok(bytes <= budget, `${bytes} of ${budget}`);
        assert.ok(Math.abs(cost - chosen.reduce((sum, candidate) => sum + candidate.cost, 0)) < 1e-9);
        const best = leastCost(units, budget);
        assert.ok(Math.abs(cost - best) < 1e-9, `${cost} of ${best} at ${budget}, seed ${seed}`);
      }
    }
  });

  it('gives a large unit its bits though small ones gain more a byte, where that costs less in all', () => {
    const unit = (name: string, bytes: number, cost: number): Unit => ({
      name,
      candidates: [
        { format: FORMATS.q2k, bytes: 4 * bytes, cost },
        { format: FORMATS.q3k, bytes: 5 * bytes, cost: cost / 4 },
      ],
    });
    // The layers gain 3 parts a byte and the embedding 2.4, but after them its 400 bytes do not fit any more.
    const layers = Array.from({ length: 8 }, (_, i) => unit(`layer${i}`, 60, 240));
    const { formats, bytes } = assignBits([unit('embedding', 400, 1280), ...layers], 4 * 880 + 660);
    assert.equal(formats.get('embedding'), FORMATS.q3k);
    assert.equal([...formats.values()].filter((format) => format === FORMATS.q3k).length, 5);
    assert.equal(bytes, 4 * 880 + 640);
  });

  it('fits a budget of more bytes than it tells apart, within a part of them of the best', () => {
    const random = new Random(5);
    const units = Array.from({ length: 40 }, (_, u): Unit => {
      const size = random.integer(100_000, 5_000_000);
      return {
        name: `unit${u}`,
        candidates: NAMES.map((name, i) => ({
          format: FORMATS[name],
          bytes: size * (i + 2) + random.integer(0, 999),
          cost: size / 4 ** i,
        })),
      };
    });
    const least = units.reduce((sum, { candidates }) => sum + candidates[0]!.bytes, 0);
    const budget = Math.floor(least * 1.3);
    const { bytes, cost } = assignBits(units, budget);
    assert.ok(bytes <= budget && bytes > budget - (budget - least) / 1000, `${bytes} of ${budget}`);
    // A little more room costs no more: what trimming lost is within it.
    assert.ok(cost <= assignBits(units, budget - Math.ceil((budget - least) / 200)).cost);
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
