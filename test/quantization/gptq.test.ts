// GPTQ against its definition: the oracle eliminates one column after another from an explicit inverse, as the paper derives
// it (Frantar et al. 2022, equations 2 and 3), where ours uses one triangular factor. Refinement is held to what it
// promises: codes that the format can store, and never a larger error.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { WpError } from '../../runtime/errors.ts';
import { unpackCodes } from '../../runtime/quantization/codes.ts';
import type { ColumnStatistics } from '../../runtime/quantization/column-statistics.ts';
import { FORMATS, type QuantFormat, type QuantFormatName } from '../../runtime/quantization/formats.ts';
import { Gptq } from '../../runtime/quantization/gptq.ts';
import { quantizeByImportance, ScaleSearch } from '../../runtime/quantization/importance.ts';
import { inverseFactor } from '../../runtime/quantization/linear-algebra.ts';
import { unpackMatrix } from '../../runtime/quantization/pack.ts';
import { ScaleGrid } from '../../runtime/quantization/scale-grid.ts';
import { Random } from '../support/random.ts';

const DAMPING = 0.01;

/** Correlated inputs: every column is a mixture of a few. */
function correlated(columns: number, seed: number): ColumnStatistics {
  const random = new Random(seed);
  const sources = 24;
  const rows = 3 * columns;
  const mixture = random.floats(sources * columns, 1);
  const moments = new Float64Array(columns * columns);
  const x = new Float64Array(columns);
  for (let r = 0; r < rows; r++) {
    const drive = random.floats(sources, 1);
    for (let c = 0; c < columns; c++) {
      x[c] = random.next() - 0.5;
      for (let s = 0; s < sources; s++) x[c]! += drive[s]! * mixture[s * columns + c]!;
      x[c]! *= 1 + (c % 5);
    }
    for (let i = 0; i < columns; i++) {
      for (let j = 0; j < columns; j++) moments[i * columns + j]! += (x[i]! * x[j]!) / rows;
    }
  }
  const squares = Float64Array.from({ length: columns }, (_, i) => moments[i * (columns + 1)]!);
  return { columns, count: rows, squares, moments };
}

function damped({ columns, moments }: ColumnStatistics): Float64Array {
  const h = moments!.slice();
  let mean = 0;
  for (let i = 0; i < columns; i++) mean += h[i * (columns + 1)]! / columns;
  for (let i = 0; i < columns; i++) h[i * (columns + 1)]! += mean * DAMPING;
  return h;
}

/** tr((W − Q)·H·(W − Q)ᵀ) */
function productError(w: Float32Array, q: Float32Array, h: Float64Array, columns: number): number {
  let error = 0;
  for (let at = 0; at < w.length; at += columns) {
    for (let i = 0; i < columns; i++) {
      const a = w[at + i]! - q[at + i]!;
      for (let j = 0; j < columns; j++) error += a * h[i * columns + j]! * (w[at + j]! - q[at + j]!);
    }
  }
  return error;
}

function invert(a: Float64Array, size: number): Float64Array {
  const left = a.slice();
  const right = new Float64Array(size * size);
  for (let i = 0; i < size; i++) right[i * (size + 1)] = 1;
  for (let p = 0; p < size; p++) {
    const pivot = left[p * (size + 1)]!;
    for (let j = 0; j < size; j++) {
      left[p * size + j]! /= pivot;
      right[p * size + j]! /= pivot;
    }
    for (let i = 0; i < size; i++) {
      const factor = left[i * size + p]!;
      if (i === p || factor === 0) continue;
      for (let j = 0; j < size; j++) {
        left[i * size + j]! -= factor * left[p * size + j]!;
        right[i * size + j]! -= factor * right[p * size + j]!;
      }
    }
  }
  return right;
}

/** Codes by the definition: round a column, spread its error over the remaining ones, take it out of the inverse. */
function eliminate(values: Float32Array, rows: number, statistics: ColumnStatistics, format: QuantFormat): Uint8Array {
  const { columns } = statistics;
  const h = damped(statistics);
  const grid = new ScaleGrid(format, rows, columns);
  const search = new ScaleSearch(
    grid,
    Float64Array.from({ length: columns }, (_, i) => h[i * (columns + 1)]!),
  );
  const codes = new Uint8Array(values.length);
  for (let r = 0; r < rows; r++) {
    const w = Float64Array.from(values.subarray(r * columns, (r + 1) * columns));
    const inverse = invert(h, columns);
    for (let c = 0; c < columns; c++) {
      if (c % grid.span === 0) search.fit(r, c, w);
      const group = r * grid.groupsPerRow + Math.floor(c / grid.groupSize);
      const code = grid.code(group, w[c]!);
      codes[r * columns + c] = code;
      const pivot = inverse[c * (columns + 1)]!;
      const error = (w[c]! - grid.value(group, code)) / pivot;
      const column = Float64Array.from({ length: columns }, (_, k) => inverse[k * columns + c]!);
      for (let k = c + 1; k < columns; k++) w[k]! -= error * column[k]!;
      for (let i = 0; i < columns; i++) {
        for (let j = 0; j < columns; j++) inverse[i * columns + j]! -= (column[i]! * column[j]!) / pivot;
      }
    }
  }
  return codes;
}

describe('GPTQ', () => {
  it('factors the inverse: Uᵀ·U·A is the unit matrix', () => {
    const size = 48;
    const a = damped(correlated(size, 1));
    const u = inverseFactor(a, size);
    for (let i = 0; i < size; i++) {
      for (let j = 0; j < size; j++) {
        let sum = 0;
        for (let k = 0; k < size; k++) {
          let inverse = 0;
          for (let m = 0; m <= Math.min(i, k); m++) inverse += u[m * size + i]! * u[m * size + k]!;
          sum += inverse * a[k * size + j]!;
        }
        assert.ok(Math.abs(sum - (i === j ? 1 : 0)) < 1e-9, `${i}, ${j}: ${sum}`);
        if (j < i) assert.equal(u[i * size + j], 0);
      }
    }
  });

  it('refuses a matrix that is not positive definite', () => {
    assert.throws(() => inverseFactor(Float64Array.of(1, 2, 2, 1), 2), { code: 'invalid-argument' });
  });

  for (const name of ['q4g32', 'q3g16m', 'q2g64'] as const) {
    it(`chooses the codes of the definition (${name})`, () => {
      const statistics = correlated(128, 2);
      const values = new Random(3).floats(5 * 128, 0.1);
      const ours = new Gptq(statistics, { damping: DAMPING, refinements: 0 }).quantize(values, 5, FORMATS[name]);
      assert.deepEqual(unpackCodes(ours).codes, eliminate(values, 5, statistics, FORMATS[name]));
    });
  }

  for (const name of ['q2k', 'q3k', 'q4k', 'q5k', 'q6k', 'q2g32', 'q2g16m', 'q3g128', 'q8g32'] as QuantFormatName[]) {
    it(`leaves less error of the product than rounding, refined less than not (${name})`, () => {
      const columns = 256;
      const rows = 6;
      const statistics = correlated(columns, 4);
      const h = damped(statistics);
      const values = new Random(5).floats(rows * columns, 0.2);
      const error = (q: Float32Array) => productError(values, q, h, columns);
      const rounded = error(unpackMatrix(quantizeByImportance(values, rows, columns, FORMATS[name], statistics)));
      const withRounds = (refinements: number) =>
        error(unpackMatrix(new Gptq(statistics, { refinements }).quantize(values, rows, FORMATS[name])));
      const [plain, once, twice] = [withRounds(0), withRounds(1), withRounds(3)];
      assert.ok(plain < 0.7 * rounded, `${plain} of ${rounded}`);
      assert.ok(once < plain, `${once} of ${plain}`);
      assert.ok(twice <= once, `${twice} of ${once}`);
    });
  }

  it('takes columns that were never used', () => {
    const statistics = correlated(64, 6);
    for (let i = 0; i < 64; i++) statistics.moments![7 * 64 + i] = statistics.moments![i * 64 + 7] = 0;
    const values = new Random(7).floats(2 * 64, 1);
    const q = unpackMatrix(new Gptq(statistics).quantize(values, 2, FORMATS.q4g32));
    assert.ok(q.every(Number.isFinite));
  });

  it('refuses what it cannot quantise', () => {
    const statistics = correlated(64, 8);
    assert.throws(() => new Gptq({ ...statistics, moments: undefined }), { code: 'invalid-argument' });
    const gptq = new Gptq(statistics);
    const isRefused = (code: string) => (error: unknown) => error instanceof WpError && error.code === code;
    assert.throws(() => gptq.quantize(new Float32Array(64), 1, FORMATS.q4k), isRefused('unsupported-format'));
    assert.throws(() => gptq.quantize(new Float32Array(63), 1, FORMATS.q4g32), isRefused('invalid-argument'));
    const broken = new Float32Array(64).fill(NaN, 9, 10);
    assert.throws(() => gptq.quantize(broken, 1, FORMATS.q4g32), isRefused('corrupt-file'));
  });
});
