// HQQ against its published steps, written here plainly, and against what it is for: a smaller error in the p-norm.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FORMATS } from '../../runtime/quantization/formats.ts';
import { fitHalfQuadratic, quantizeHqq } from '../../runtime/quantization/hqq.ts';
import { unpackMatrix } from '../../runtime/quantization/pack.ts';
import { Random } from '../support/random.ts';

const round = (x: number) => Math.round(x);
const mean = (x: readonly number[]) => x.reduce((sum, value) => sum + value, 0) / x.length;

/** The solver of the HQQ authors as they describe it: scale and zero point of 1/scale, zero moved until the error grows. */
function published(w: readonly number[], top: number): { zero: number; scale: number; errors: number[] } {
  const [low, high] = [Math.min(...w), Math.max(...w)];
  const scale = top / (high - low);
  let zero = -low * scale;
  let best = { zero, error: Infinity };
  let beta = 10;
  const errors: number[] = [];
  for (let i = 0; i < 20; i++) {
    const codes = w.map((x) => Math.min(top, Math.max(0, round(x * scale + zero))));
    const restored = codes.map((code) => (code - zero) / scale);
    const error = mean(w.map((x, j) => Math.abs(x - restored[j]!)));
    errors.push(error);
    if (error >= best.error) break;
    best = { zero, error };
    const shrunk = w.map((x, j) => {
      const e = x - restored[j]!;
      return Math.sign(e) * Math.max(0, Math.abs(e) - Math.abs(e) ** (0.7 - 1) / beta);
    });
    zero = mean(codes.map((code, j) => code - (w[j]! - shrunk[j]!) * scale));
    beta *= 1.01;
  }
  return { zero: best.zero, scale, errors };
}

/** Mostly small numbers and a few large ones, as weights are. */
function heavyTailed(count: number, seed: number, spread: number): number[] {
  const random = new Random(seed);
  return Array.from({ length: count }, () => {
    const x = random.next() + random.next() + random.next() - 1.5;
    return Math.fround((random.next() < 0.05 ? 5 * x : x) * spread);
  });
}

describe('HQQ', () => {
  for (const [top, spread] of [
    [3, 0.05],
    [7, 0.05],
    [15, 1],
    [3, 20],
  ] as const) {
    it(`follows the published steps (${top + 1} levels, weights of about ${spread})`, () => {
      let steps = 0;
      for (let seed = 0; seed < 40; seed++) {
        const w = heavyTailed(64, seed, spread);
        const { zero, scale, errors } = published(w, top);
        const line = fitHalfQuadratic(Float64Array.from(w), top);
        assert.ok(Math.abs(line.scale * scale - 1) < 1e-12);
        assert.ok(Math.abs(line.minimum + zero / scale) < 1e-9 * spread);
        steps += errors.length;
      }
      assert.ok(steps > 3 * 40, 'the zero point moves');
    });
  }

  it('leaves a smaller mean error than the range of the group does', () => {
    const values = Float32Array.from(heavyTailed(16 * 64, 7, 0.1));
    const restored = unpackMatrix(quantizeHqq(values, 16, 64, FORMATS.q3g64m));
    const error = mean([...values].map((x, i) => Math.abs(x - restored[i]!)));
    const unmoved = unpackMatrix(quantizeHqq(values, 16, 64, FORMATS.q3g64m, { iterations: 1 }));
    assert.ok(error < mean([...values].map((x, i) => Math.abs(x - unmoved[i]!))));
  });

  it('fills every row of the table, symmetric and of two levels too', () => {
    const values = Float32Array.from(heavyTailed(2 * 256, 9, 0.1));
    for (const name of ['q2k', 'q4k', 'q3k', 'q4g32', 'q2g128m'] as const) {
      const restored = unpackMatrix(quantizeHqq(values, 2, 256, FORMATS[name]));
      const error = Math.hypot(...values.map((x, i) => x - restored[i]!)) / Math.hypot(...values);
      assert.ok(error < 0.6, `${name}: ${error}`);
    }
  });

  it('stores equal numbers exactly, as far as f16 goes', () => {
    const restored = unpackMatrix(quantizeHqq(new Float32Array(64).fill(0.25), 1, 64, FORMATS.q2g64m));
    assert.ok(restored.every((x) => x === 0.25));
  });
});
