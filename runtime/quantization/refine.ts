// Coordinate descent on the error of the product, (w − q)·H·(w − q)ᵀ, a row at a time: after GPTQ has rounded every column
// once, looking only ahead, each code and each group's scale and minimum are moved to where the error is least with all the
// others as they are (a superblock's f16 numbers stay: moving one moves 256 weights, for little). After QuantEase (Behdin et al. 2023, https://arxiv.org/abs/2309.01885), which does it for codes.

import type { ScaleGrid } from './scale-grid.ts';

export class RowRefiner {
  /** (q − w)·H: half the derivative of the error by each weight. */
  private readonly gradient: Float64Array;
  private readonly q: Float64Array;
  private readonly direction: Float64Array;
  private readonly columns: number;

  constructor(
    private readonly grid: ScaleGrid,
    /** [columns, columns], symmetric, damped. */
    private readonly moments: Float64Array,
  ) {
    this.columns = grid.columns;
    this.gradient = new Float64Array(this.columns);
    this.q = new Float64Array(this.columns);
    this.direction = new Float64Array(this.columns);
  }

  /** Improves the codes of row `row`, and its scales in the grid. `w` are the weights that were wanted. */
  refine(row: number, w: Float32Array, codes: Uint8Array, rounds: number): void {
    const { grid, columns, q, gradient, direction: difference } = this;
    const firstGroup = row * grid.groupsPerRow;
    for (let c = 0; c < columns; c++) {
      q[c] = grid.value(firstGroup + Math.floor(c / grid.groupSize), codes[c]!);
      difference[c] = q[c]! - w[c]!;
    }
    multiply(this.moments, difference, gradient);
    for (let round = 0; round < rounds; round++) {
      for (let c = 0; c < columns; c += grid.groupSize) {
        this.fitGroup(firstGroup + c / grid.groupSize, c, codes);
        this.roundGroup(firstGroup + c / grid.groupSize, c, codes);
      }
    }
  }

  /** q[column] has moved by `by`. */
  private push(column: number, by: number): void {
    const { gradient, moments, columns } = this;
    const at = column * columns;
    for (let j = 0; j < columns; j++) gradient[j]! += by * moments[at + j]!;
  }

  private roundGroup(group: number, start: number, codes: Uint8Array): void {
    const { grid, columns, q, gradient, moments } = this;
    for (let c = start; c < start + grid.groupSize; c++) {
      const wanted = q[c]! - gradient[c]! / moments[c * (columns + 1)]!;
      const code = grid.code(group, wanted);
      if (code === codes[c]) continue;
      codes[c] = code;
      this.moveTo(c, grid.value(group, code));
    }
  }

  private moveTo(column: number, value: number): void {
    const by = value - this.q[column]!;
    this.q[column] = value;
    this.push(column, by);
  }

  /** How far along `direction` (over columns from … to) the error is least. */
  private bestStep(from: number, to: number): number {
    const { direction, gradient, moments, columns } = this;
    let slope = 0;
    let curvature = 0;
    for (let i = from; i < to; i++) {
      const d = direction[i]!;
      if (d === 0) continue;
      slope += d * gradient[i]!;
      const at = i * columns;
      let sum = 0;
      for (let j = from; j < i; j++) sum += direction[j]! * moments[at + j]!;
      curvature += d * (2 * sum + d * moments[at + i]!);
    }
    return curvature > 0 ? -slope / curvature : 0;
  }

  private fitGroup(group: number, start: number, codes: Uint8Array): void {
    const { grid, direction } = this;
    const end = start + grid.groupSize;
    const span = Math.floor(group / grid.groupsPerSpan);
    for (let c = start; c < end; c++) direction[c] = codes[c]! - grid.zero;
    const scale = grid.scales[group]! + this.bestStep(start, end);
    const unit = grid.unitScales[span]!;
    if (!grid.isTwoLevel) {
      if (!grid.isMin || scale > 0) grid.setScale(group, scale);
    } else if (unit !== 0) {
      grid.setScaleCode(group, clamp(Math.round(scale / unit), grid.leastScaleCode, grid.greatestScaleCode));
    }
    this.requantize(group, start, end, codes);
    if (!grid.isMin) return;
    direction.fill(1, start, end);
    const minimum = grid.minimums[group]! + this.bestStep(start, end);
    const unitMinimum = grid.unitMinimums[span]!;
    if (!grid.isTwoLevel) grid.setMinimum(group, minimum);
    else if (unitMinimum !== 0) {
      grid.setMinimumCode(group, clamp(Math.round(minimum / unitMinimum), 0, grid.greatestScaleCode));
    }
    this.requantize(group, start, end, codes);
  }

  /** The same codes, at what they are worth now. */
  private requantize(group: number, start: number, end: number, codes: Uint8Array): void {
    for (let c = start; c < end; c++) {
      const value = this.grid.value(group, codes[c]!);
      if (value !== this.q[c]) this.moveTo(c, value);
    }
  }
}

/** y = A·x for a symmetric A: eight of its rows at a time, since y would be read and written for each. */
function multiply(a: Float64Array, x: Float64Array, y: Float64Array): void {
  const n = x.length;
  y.fill(0);
  let i = 0;
  for (; i + 8 <= n; i += 8) {
    const at = i * n;
    const [x0, x1, x2, x3] = [x[i]!, x[i + 1]!, x[i + 2]!, x[i + 3]!];
    const [x4, x5, x6, x7] = [x[i + 4]!, x[i + 5]!, x[i + 6]!, x[i + 7]!];
    for (let j = 0; j < n; j++) {
      const p = at + j;
      y[j]! +=
        x0 * a[p]! +
        x1 * a[p + n]! +
        x2 * a[p + 2 * n]! +
        x3 * a[p + 3 * n]! +
        x4 * a[p + 4 * n]! +
        x5 * a[p + 5 * n]! +
        x6 * a[p + 6 * n]! +
        x7 * a[p + 7 * n]!;
    }
  }
  for (; i < n; i++) for (let j = 0; j < n; j++) y[j]! += x[i]! * a[i * n + j]!;
}

function clamp(x: number, least: number, greatest: number): number {
  return Math.min(greatest, Math.max(least, x));
}
