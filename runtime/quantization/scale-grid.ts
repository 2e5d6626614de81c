// The scales of a matrix while a quantiser decides: what is stored (f16, small integers) and what it comes to, a group at a
// time, so that gptq.ts, hqq.ts and refine.ts need not know one level of scales from two. A *span* is what shares an f16: a
// group, or a superblock of 256 columns.

import { f16BitsToF32, f32ToF16Bits } from '../half.ts';
import { packCodes, scaleCodeRange } from './codes.ts';
import { codeBits, scaleSpan, type PackedMatrix, type QuantFormat } from './formats.ts';

/** Sizes of the largest scale that are tried against what rounding to the small integers costs. */
const UNIT_TRIALS = [0.82, 0.86, 0.9, 0.93, 0.96, 0.98, 1, 1.02, 1.05] as const;

export class ScaleGrid {
  /** Value = scale × (code − zero) + minimum. */
  readonly zero: number;
  readonly greatestCode: number;
  readonly isMin: boolean;
  readonly isTwoLevel: boolean;
  readonly groupSize: number;
  readonly span: number;
  readonly groupsPerSpan: number;
  readonly groupsPerRow: number;
  /** What each group's numbers come to, [rows, groups]. */
  readonly scales: Float64Array;
  readonly minimums: Float64Array;
  /** Two levels: the span's f16 numbers and the groups' integers. */
  readonly unitScales: Float64Array;
  readonly unitMinimums: Float64Array;
  readonly scaleCodes: Int16Array;
  readonly minimumCodes: Int16Array;
  readonly leastScaleCode: number;
  readonly greatestScaleCode: number;

  constructor(
    readonly format: QuantFormat,
    readonly rows: number,
    readonly columns: number,
  ) {
    const bits = codeBits(format);
    this.isMin = format.offset === 'min';
    this.isTwoLevel = format.scale !== 'f16';
    this.zero = this.isMin ? 0 : 2 ** (bits - 1);
    this.greatestCode = 2 ** bits - 1;
    this.groupSize = format.groupSize;
    this.span = scaleSpan(format);
    this.groupsPerSpan = this.span / this.groupSize;
    this.groupsPerRow = columns / this.groupSize;
    const groups = rows * this.groupsPerRow;
    const spans = groups / this.groupsPerSpan;
    const { least, greatest } = scaleCodeRange(format);
    this.leastScaleCode = least;
    this.greatestScaleCode = greatest;
    this.scales = new Float64Array(groups);
    this.minimums = new Float64Array(groups);
    this.unitScales = new Float64Array(spans);
    this.unitMinimums = new Float64Array(spans);
    this.scaleCodes = new Int16Array(this.isTwoLevel ? groups : 0);
    this.minimumCodes = new Int16Array(this.isTwoLevel && this.isMin ? groups : 0);
  }

  /** The nearest code to `x` in a group. */
  code(group: number, x: number): number {
    const scale = this.scales[group]!;
    if (scale === 0) return this.zero;
    const code = Math.floor((x - this.minimums[group]!) / scale + this.zero + 0.5);
    return code < 0 ? 0 : code > this.greatestCode ? this.greatestCode : code;
  }

  value(group: number, code: number): number {
    return this.scales[group]! * (code - this.zero) + this.minimums[group]!;
  }

  /**
   * Stores the wished scales (and minimums) of a span's groups as nearly as the format can: `weights` say how much an error of
   * a group's scale matters. Two levels: scales of formats with minimums are ≥ 0, the minimums ≤ 0.
   */
  store(spanIndex: number, scales: Float64Array, minimums: Float64Array, weights: Float64Array): void {
    const first = spanIndex * this.groupsPerSpan;
    if (!this.isTwoLevel) {
      this.setScale(first, scales[0]!);
      if (this.isMin) this.setMinimum(first, minimums[0]!);
      return;
    }
    const { greatestScaleCode: greatest, leastScaleCode: least } = this;
    this.unitScales[spanIndex] = chooseUnit(scales, weights, this.isMin ? 0 : least, greatest);
    for (let g = 0; g < this.groupsPerSpan; g++) {
      this.setScaleCode(first + g, nearest(scales[g]!, this.unitScales[spanIndex]!, this.isMin ? 0 : least, greatest));
    }
    if (!this.isMin) return;
    this.unitMinimums[spanIndex] = chooseUnit(minimums, weights, 0, greatest);
    for (let g = 0; g < this.groupsPerSpan; g++) {
      this.setMinimumCode(first + g, nearest(minimums[g]!, this.unitMinimums[spanIndex]!, 0, greatest));
    }
  }

  setScale(group: number, scale: number): void {
    this.scales[group] = this.unitScales[group] = toF16(scale);
  }

  setMinimum(group: number, minimum: number): void {
    this.minimums[group] = this.unitMinimums[group] = toF16(minimum);
  }

  setScaleCode(group: number, code: number): void {
    this.scaleCodes[group] = code;
    this.scales[group] = this.unitScales[Math.floor(group / this.groupsPerSpan)]! * code;
  }

  setMinimumCode(group: number, code: number): void {
    this.minimumCodes[group] = code;
    this.minimums[group] = this.unitMinimums[Math.floor(group / this.groupsPerSpan)]! * code;
  }

  /** The matrix of these codes [rows, columns] with the scales as they are. */
  pack(codes: Uint8Array): PackedMatrix {
    return packCodes(this.format, this.rows, this.columns, {
      codes,
      scales: Uint16Array.from(this.unitScales, f32ToF16Bits),
      ...(this.isMin && { minimums: Uint16Array.from(this.unitMinimums, f32ToF16Bits) }),
      ...(this.isTwoLevel && { scaleCodes: this.scaleCodes }),
      ...(this.isTwoLevel && this.isMin && { minimumCodes: this.minimumCodes }),
    });
  }
}

/** The f16 whose multiples serve these numbers best. A number of either sign in a signed range; of one sign otherwise. */
function chooseUnit(wished: Float64Array, weights: Float64Array, least: number, greatest: number): number {
  let largest = 0;
  for (const x of wished) if (Math.abs(x) > Math.abs(largest)) largest = x;
  if (largest === 0) return 0;
  // The longer side of a signed range takes the largest.
  const full = least < 0 ? largest / least : largest / greatest;
  let best = Infinity;
  let bestUnit = toF16(full);
  for (const trial of UNIT_TRIALS) {
    const unit = toF16(full * trial);
    if (unit === 0) continue;
    let error = 0;
    for (let g = 0; g < wished.length; g++) {
      const difference = wished[g]! - unit * nearest(wished[g]!, unit, least, greatest);
      error += weights[g]! * difference * difference;
    }
    if (error >= best) continue;
    best = error;
    bestUnit = unit;
  }
  return bestUnit;
}

function nearest(x: number, unit: number, least: number, greatest: number): number {
  if (unit === 0) return 0;
  return Math.min(greatest, Math.max(least, Math.round(x / unit)));
}

function toF16(x: number): number {
  return f16BitsToF32(f32ToF16Bits(x));
}
