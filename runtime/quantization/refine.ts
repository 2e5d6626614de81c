// Coordinate descent on the error of the product, (w − q)·H·(w − q)ᵀ, a row at a time: after GPTQ has rounded every column
// once, looking only ahead, each code, each group's scale and minimum, and each superblock's are moved to where the error is
// least with all the others as they are. After QuantEase (Behdin et al. 2023, https://arxiv.org/abs/2309.01885), which does it for codes.

import { toF16, type ScaleGrid } from './scale-grid.ts';

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
    const { grid, columns, q, gradient } = this;
    const firstGroup = row * grid.groupsPerRow;
    gradient.fill(0);
    for (let c = 0; c < columns; c++) {
      q[c] = grid.value(firstGroup + Math.floor(c / grid.groupSize), codes[c]!);
      const difference = q[c]! - w[c]!;
      if (difference !== 0) this.push(c, difference);
    }
    for (let round = 0; round < rounds; round++) {
      if (grid.isTwoLevel) {
        for (let c = 0; c < columns; c += grid.span) this.fitUnits(firstGroup, c, codes);
      }
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

  /** A superblock's f16 scale and minimum, its integers as they are. */
  private fitUnits(firstGroup: number, start: number, codes: Uint8Array): void {
    const { grid, direction } = this;
    const end = start + grid.span;
    const groupOf = (c: number) => firstGroup + Math.floor(c / grid.groupSize);
    const span = Math.floor(groupOf(start) / grid.groupsPerSpan);
    for (let c = start; c < end; c++) direction[c] = grid.scaleCodes[groupOf(c)]! * (codes[c]! - grid.zero);
    const unit = toF16(grid.unitScales[span]! + this.bestStep(start, end));
    // Signs stay: codes of formats with minimums are unsigned.
    if (!grid.isMin || unit > 0) grid.unitScales[span] = unit;
    this.reapply(firstGroup, start, end, codes);
    if (!grid.isMin) return;
    for (let c = start; c < end; c++) direction[c] = grid.minimumCodes[groupOf(c)]!;
    const unitMinimum = toF16(grid.unitMinimums[span]! + this.bestStep(start, end));
    if (unitMinimum < 0) grid.unitMinimums[span] = unitMinimum;
    this.reapply(firstGroup, start, end, codes);
  }

  private reapply(firstGroup: number, start: number, end: number, codes: Uint8Array): void {
    const { grid } = this;
    for (let c = start; c < end; c += grid.groupSize) {
      const group = firstGroup + c / grid.groupSize;
      grid.setScaleCode(group, grid.scaleCodes[group]!);
      if (grid.isMin) grid.setMinimumCode(group, grid.minimumCodes[group]!);
      this.requantize(group, c, c + grid.groupSize, codes);
    }
  }

  /** The same codes, at what they are worth now. */
  private requantize(group: number, start: number, end: number, codes: Uint8Array): void {
    for (let c = start; c < end; c++) {
      const value = this.grid.value(group, codes[c]!);
      if (value !== this.q[c]) this.moveTo(c, value);
    }
  }
}

function clamp(x: number, least: number, greatest: number): number {
  return Math.min(greatest, Math.max(least, x));
}
