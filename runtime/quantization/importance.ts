// Scales chosen by what an error costs: the weighted squared error Σ h·(w − q)², h the mean square of what the column is
// multiplied by. The importance matrix of llama.cpp's quantize (https://github.com/ggml-org/llama.cpp/pull/4861), with a wider
// search; its closed form for given codes is the weighted least-squares line.

import type { ColumnStatistics } from './column-statistics.ts';
import { expectQuantizable } from './expect-quantizable.ts';
import type { PackedMatrix, QuantFormat } from './formats.ts';
import { ScaleGrid } from './scale-grid.ts';

/** How much of a group's range, from either end, is given up in trials: few bits gain by it. */
const CUTS_FEW_BITS = [0, 0.06, 0.12, 0.18, 0.24, 0.3] as const;
const CUTS_MANY_BITS = [0, 0.03, 0.07] as const;

/** Quantises a matrix [rows, columns] to the nearest codes of scales that are searched by weighted error. */
export function quantizeByImportance(
  values: Float32Array,
  rows: number,
  columns: number,
  format: QuantFormat,
  statistics?: ColumnStatistics,
): PackedMatrix {
  expectQuantizable(values, rows, columns, format, statistics);
  const grid = new ScaleGrid(format, rows, columns);
  const search = new ScaleSearch(grid, statistics?.squares ?? new Float64Array(columns).fill(1));
  const codes = new Uint8Array(values.length);
  const row = new Float64Array(columns);
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < columns; c++) row[c] = values[r * columns + c]!;
    for (let c = 0; c < columns; c += grid.span) search.fit(r, c, row);
    for (let c = 0; c < columns; c++) {
      codes[r * columns + c] = grid.code(r * grid.groupsPerRow + Math.floor(c / grid.groupSize), row[c]!);
    }
  }
  return grid.pack(codes);
}

/** Fits the scales of spans, one after another, in scratch arrays that are made once. */
export class ScaleSearch {
  private readonly scales: Float64Array;
  private readonly minimums: Float64Array;
  private readonly weights: Float64Array;
  private readonly cuts: readonly number[];
  private scale = 0;
  private minimum = 0;

  /** @param importance [columns]: what a squared error in a column costs. */
  constructor(
    private readonly grid: ScaleGrid,
    private readonly importance: Float64Array,
  ) {
    const { groupsPerSpan } = grid;
    this.scales = new Float64Array(groupsPerSpan);
    this.minimums = new Float64Array(groupsPerSpan);
    this.weights = new Float64Array(groupsPerSpan);
    this.cuts = grid.greatestCode <= 7 ? CUTS_FEW_BITS : CUTS_MANY_BITS;
  }

  /** Stores the scales of the span that starts at `column`, for the values x [columns] of a row. */
  fit(row: number, column: number, x: Float64Array): void {
    const { grid } = this;
    for (let g = 0; g < grid.groupsPerSpan; g++) {
      const start = column + g * grid.groupSize;
      let weight = 0;
      for (let i = start; i < start + grid.groupSize; i++) weight += this.importance[i]!;
      this.weights[g] = weight;
      if (grid.isMin) this.fitLine(x, start);
      else this.fitScale(x, start);
      this.scales[g] = this.scale;
      this.minimums[g] = this.minimum;
    }
    grid.store((row * grid.columns + column) / grid.span, this.scales, this.minimums, this.weights);
  }

  /** Symmetric: the largest weight takes one of several places on the code range, on either side of zero. */
  private fitScale(x: Float64Array, start: number): void {
    const { zero: half, greatestCode: top, groupSize } = this.grid;
    const { importance } = this;
    const end = start + groupSize;
    let largest = 0;
    for (let i = start; i < end; i++) if (Math.abs(x[i]!) > Math.abs(largest)) largest = x[i]!;
    this.minimum = 0;
    this.scale = largest === 0 ? 0 : -largest / half;
    if (largest === 0) return;
    // Never half a step: the largest weight itself would stand between two codes.
    const reach = Math.min(half - 0.5, 3) - 0.05;
    let best = 0;
    for (const sign of [-1, 1]) {
      for (let shift = -reach; shift <= Math.min(reach, half * 0.4); shift += half <= 4 ? 0.3 : 0.8) {
        const inverse = (sign * (half + shift)) / largest;
        let product = 0;
        let square = 0;
        for (let i = start; i < end; i++) {
          const code = Math.floor(x[i]! * inverse + half + 0.5);
          const level = (code < 0 ? 0 : code > top ? top : code) - half;
          const weighted = importance[i]! * level;
          product += weighted * x[i]!;
          square += weighted * level;
        }
        // What the fit explains, Σhxl² / Σhl², compared as fractions. Mirrored codes explain the same: the first stays.
        if (!(square > 0) || product * product <= best * square * (1 + 1e-9)) continue;
        best = (product * product) / square;
        this.scale = product / square;
      }
    }
  }

  /** With a minimum: the range loses a little at either end. Two-level minimums are ≤ 0. */
  private fitLine(x: Float64Array, start: number): void {
    const { greatestCode: top, groupSize, isTwoLevel } = this.grid;
    const { importance } = this;
    const end = start + groupSize;
    let least = isTwoLevel ? 0 : Infinity;
    let greatest = -Infinity;
    let w = 0;
    let wx = 0;
    let wxx = 0;
    for (let i = start; i < end; i++) {
      const value = x[i]!;
      if (value < least) least = value;
      if (value > greatest) greatest = value;
      w += importance[i]!;
      wx += importance[i]! * value;
      wxx += importance[i]! * value * value;
    }
    this.scale = 0;
    this.minimum = w > 0 ? Math.min(wx / w, isTwoLevel ? 0 : Infinity) : least;
    const range = greatest - least;
    if (!(range > 0)) return;
    let best = Infinity;
    for (const low of this.cuts) {
      for (const high of this.cuts) {
        const inverse = top / (range * (1 - low - high));
        const from = least + low * range;
        let wl = 0;
        let wll = 0;
        let wxl = 0;
        for (let i = start; i < end; i++) {
          const code = Math.floor((x[i]! - from) * inverse + 0.5);
          const level = code < 0 ? 0 : code > top ? top : code;
          const weighted = importance[i]! * level;
          wl += weighted;
          wll += weighted * level;
          wxl += weighted * x[i]!;
        }
        const determinant = w * wll - wl * wl;
        if (!(determinant > 0)) continue;
        let scale = (w * wxl - wx * wl) / determinant;
        let minimum = (wll * wx - wl * wxl) / determinant;
        if (isTwoLevel && minimum > 0) {
          minimum = 0;
          scale = wxl / wll;
        }
        // Σh(x − s·l − m)²
        const error =
          wxx + scale * scale * wll + minimum * minimum * w + 2 * (scale * minimum * wl - scale * wxl - minimum * wx);
        if (!(scale >= 0) || error >= best) continue;
        best = error;
        this.scale = scale;
        this.minimum = minimum;
      }
    }
  }
}
