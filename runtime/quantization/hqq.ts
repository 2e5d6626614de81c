// Half-quadratic quantisation (Badri and Shaji 2023, https://mobiusml.github.io/hqq_blog/): no data is needed. The minimum of
// each group is moved so that the error w − q is small in the p-norm, p < 1, which lets a few weights be wrong and the many be
// right. The error is split off as a variable of its own; two closed steps alternate: shrink the error towards zero
// (generalised soft threshold), then set the minimum to the mean of what remains.

import { expectQuantizable } from './expect-quantizable.ts';
import type { PackedMatrix, QuantFormat } from './formats.ts';
import { ScaleSearch } from './importance.ts';
import { ScaleGrid } from './scale-grid.ts';

export interface HqqOptions {
  /** The norm's exponent. */
  p?: number | undefined;
  /** Weight of the quadratic term, and its growth a step. */
  beta?: number | undefined;
  kappa?: number | undefined;
  iterations?: number | undefined;
}

export const HQQ_DEFAULTS = { p: 0.7, beta: 10, kappa: 1.01, iterations: 20 } as const;

/**
 * Quantises a matrix [rows, columns]. The paper's scheme is that of formats with a minimum; symmetric formats have none to
 * move, and take the scale of least squared error.
 */
export function quantizeHqq(
  values: Float32Array,
  rows: number,
  columns: number,
  format: QuantFormat,
  options: HqqOptions = {},
): PackedMatrix {
  expectQuantizable(values, rows, columns, format);
  const grid = new ScaleGrid(format, rows, columns);
  const even = new Float64Array(columns).fill(1);
  const search = new ScaleSearch(grid, even);
  const groups = grid.groupsPerSpan;
  const scales = new Float64Array(groups);
  const minimums = new Float64Array(groups);
  const weights = new Float64Array(groups).fill(1);
  const codes = new Uint8Array(values.length);
  const row = new Float64Array(columns);
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < columns; c++) row[c] = values[r * columns + c]!;
    for (let c = 0; c < columns; c += grid.span) {
      if (!grid.isMin) {
        search.fit(r, c, row);
        continue;
      }
      for (let g = 0; g < groups; g++) {
        const start = c + g * grid.groupSize;
        const line = fitHalfQuadratic(row.subarray(start, start + grid.groupSize), grid.greatestCode, options);
        scales[g] = line.scale;
        minimums[g] = grid.isTwoLevel ? Math.min(0, line.minimum) : line.minimum;
      }
      grid.store((r * columns + c) / grid.span, scales, minimums, weights);
    }
    for (let c = 0; c < columns; c++) {
      codes[r * columns + c] = grid.code(r * grid.groupsPerRow + Math.floor(c / grid.groupSize), row[c]!);
    }
  }
  return grid.pack(codes);
}

/**
 * Scale and minimum of one group, value = scale × code + minimum: the scale is that of the whole range and stays; the zero point
 * z = −minimum / scale is what the iteration moves. Stops when the mean error no longer falls, as the reference does.
 */
export function fitHalfQuadratic(
  x: Float64Array,
  greatestCode: number,
  {
    p = HQQ_DEFAULTS.p,
    beta = HQQ_DEFAULTS.beta,
    kappa = HQQ_DEFAULTS.kappa,
    iterations = HQQ_DEFAULTS.iterations,
  }: HqqOptions = {},
): { scale: number; minimum: number } {
  let least = Infinity;
  let greatest = -Infinity;
  for (const value of x) {
    if (value < least) least = value;
    if (value > greatest) greatest = value;
  }
  const range = greatest - least;
  if (!(range > 0)) return { scale: 0, minimum: least };
  const inverse = greatestCode / range;
  let zero = -least * inverse;
  let bestZero = zero;
  let bestError = Infinity;
  let weight = beta;
  for (let step = 0; step < iterations; step++) {
    let zeroSum = 0;
    let errorSum = 0;
    for (const value of x) {
      const code = Math.min(greatestCode, Math.max(0, Math.round(value * inverse + zero)));
      const error = value - (code - zero) / inverse;
      errorSum += Math.abs(error);
      zeroSum += code - (value - shrink(error, weight, p)) * inverse;
    }
    // The error is that of the zero point before it moves.
    if (errorSum >= bestError) break;
    bestError = errorSum;
    bestZero = zero;
    zero = zeroSum / x.length;
    weight *= kappa;
  }
  return { scale: 1 / inverse, minimum: -bestZero / inverse };
}

/** The generalised soft threshold: argmin |e|^p + β/2 (e − error)², approximately. */
function shrink(error: number, beta: number, p: number): number {
  const magnitude = Math.abs(error);
  if (magnitude === 0) return 0;
  return Math.sign(error) * Math.max(0, magnitude - magnitude ** (p - 1) / beta);
}
