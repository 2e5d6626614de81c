// Numbers to formats with two-level scales (q2k … q6k): the groups' own best scales first (group-fit.ts), then the
// superblock's, then each group's small integer by the error that it really leaves, then the superblock's numbers again by
// least squares for the codes that were chosen. A chunk of its own: pages that quantise to one-level scales, or load what
// is quantised already, never fetch it.
//
// Where there is no importance, a weight counts by its magnitude plus its superblock's root mean square: large weights
// matter more, small ones still count.

import { WpError } from '../errors.ts';
import { f16BitsToF32, f32ToF16Bits } from '../half.ts';
import { packCodes, scaleCodeRange } from './codes.ts';
import { codeBits, SUPERBLOCK, type PackedMatrix, type QuantFormat } from './formats.ts';
import { fitLine, fitScale, type Line } from './group-fit.ts';

/** How often the superblock's numbers and the groups' integers are fitted to one another. */
const ROUNDS = 1;

/**
 * Packs a matrix [rows, columns], row-major, in a format with two-level scales. `importance` [columns] says what an error
 * in a column costs: the mean square of what the column is multiplied by.
 * Throws `unsupported-format` when the format does not fit the width, `corrupt-file` when a weight is not finite.
 */
export function packTwoLevel(
  values: Float32Array,
  rows: number,
  columns: number,
  format: QuantFormat,
  importance?: Float32Array,
): PackedMatrix {
  const count = rows * columns;
  if (columns % SUPERBLOCK !== 0 || values.length !== count || (importance && importance.length !== columns)) {
    // packCodes says what is wrong about the width.
    if (columns % SUPERBLOCK !== 0) return packCodes(format, rows, columns, { codes: empty8, scales: empty16 });
    throw new WpError('invalid-argument', `A matrix of ${rows} × ${columns} has ${values.length} numbers.`, '', {
      actual: [values.length, importance?.length],
      expected: [count, columns],
    });
  }
  const isMin = format.offset === 'min';
  const superblocks = count / SUPERBLOCK;
  const groups = count / format.groupSize;
  const codes = new Uint8Array(count);
  const scales = new Uint16Array(superblocks);
  const minimums = new Uint16Array(isMin ? superblocks : 0);
  const scaleCodes = new Int16Array(groups);
  const minimumCodes = new Int16Array(isMin ? groups : 0);
  const fitter = new SuperblockFitter(format);
  for (let i = 0; i < superblocks; i++) {
    const start = i * SUPERBLOCK;
    fitter.load(values, start, importance, start % columns);
    if (!fitter.fit()) throw notFinite(values, start, columns);
    scales[i] = fitter.scaleBits;
    if (isMin) minimums[i] = fitter.minimumBits;
    codes.set(fitter.codes, start);
    const group = start / format.groupSize;
    scaleCodes.set(fitter.scaleCodes, group);
    if (isMin) minimumCodes.set(fitter.minimumCodes, group);
  }
  return packCodes(format, rows, columns, {
    codes,
    scales,
    scaleCodes,
    ...(isMin && { minimums, minimumCodes }),
  });
}

/** One superblock at a time, in scratch arrays that are made once. */
class SuperblockFitter {
  readonly codes = new Uint8Array(SUPERBLOCK);
  readonly scaleCodes: Int16Array;
  readonly minimumCodes: Int16Array;
  scaleBits = 0;
  minimumBits = 0;

  private isFinite = true;
  private readonly x = new Float32Array(SUPERBLOCK);
  private readonly weights = new Float32Array(SUPERBLOCK);
  private readonly scales: Float64Array;
  private readonly minimums: Float64Array;
  private readonly line: Line = { scale: 0, minimum: 0 };
  private readonly groupSize: number;
  private readonly isMin: boolean;
  private readonly half: number;
  private readonly top: number;
  private readonly least: number;
  private readonly greatest: number;

  constructor(format: QuantFormat) {
    this.groupSize = format.groupSize;
    this.isMin = format.offset === 'min';
    const bits = codeBits(format);
    this.half = this.isMin ? 0 : 2 ** (bits - 1);
    this.top = 2 ** bits - 1;
    ({ least: this.least, greatest: this.greatest } = scaleCodeRange(format));
    const groups = SUPERBLOCK / format.groupSize;
    this.scaleCodes = new Int16Array(groups);
    this.minimumCodes = new Int16Array(groups);
    this.scales = new Float64Array(groups);
    this.minimums = new Float64Array(groups);
  }

  load(values: Float32Array, start: number, importance: Float32Array | undefined, column: number): void {
    let square = 0;
    for (let i = 0; i < SUPERBLOCK; i++) {
      const x = values[start + i]!;
      this.x[i] = x;
      square += x * x;
    }
    const spread = Math.sqrt(square / SUPERBLOCK);
    this.isFinite = Number.isFinite(spread);
    for (let i = 0; i < SUPERBLOCK; i++) {
      const magnitude = Math.abs(this.x[i]!);
      // With importance, the magnitude's part is smaller: sqrt(spread² + x²), as it also stands for what is not known.
      this.weights[i] = importance
        ? importance[column + i]! * Math.sqrt(spread * spread + magnitude * magnitude)
        : spread + magnitude;
    }
  }

  /** False when a number is not finite, or too large for f16. */
  fit(): boolean {
    if (!this.isFinite) return false;
    const { scales, minimums, scaleCodes } = this;
    let largest = 0;
    let least = 0;
    for (let g = 0; g < scaleCodes.length; g++) {
      const start = g * this.groupSize;
      if (this.isMin) {
        fitLine(this.x, this.weights, start, this.groupSize, this.top, this.line);
        scales[g] = this.line.scale;
        minimums[g] = this.line.minimum;
        if (minimums[g]! < least) least = minimums[g]!;
      } else {
        scales[g] = fitScale(this.x, this.weights, start, this.groupSize, this.half);
      }
      if (Math.abs(scales[g]!) > Math.abs(largest)) largest = scales[g]!;
    }
    // The largest scale takes the code farthest from zero.
    let scale = largest / (this.isMin ? this.greatest : this.least);
    let minimum = least / this.greatest;
    if (!this.store(scale, minimum)) return false;
    this.chooseCodes();
    for (let round = 0; round < ROUNDS; round++) {
      [scale, minimum] = this.refit();
      if (!this.store(scale, minimum)) return false;
      this.chooseCodes();
    }
    return true;
  }

  private store(scale: number, minimum: number): boolean {
    this.scaleBits = f32ToF16Bits(scale);
    this.minimumBits = f32ToF16Bits(minimum);
    return Number.isFinite(f16BitsToF32(this.scaleBits)) && Number.isFinite(f16BitsToF32(this.minimumBits));
  }

  /** Each group's integers, by the error that they leave, and its codes. */
  private chooseCodes(): void {
    const scale = f16BitsToF32(this.scaleBits);
    const minimum = f16BitsToF32(this.minimumBits);
    for (let g = 0; g < this.scaleCodes.length; g++) {
      const wanted = this.nearest(scale, this.scales[g]!);
      const wantedMinimum = this.isMin ? this.nearest(minimum, this.minimums[g]!) : 0;
      let best = Infinity;
      const from = this.isMin ? -1 : 0;
      const to = this.isMin ? 1 : 0;
      for (let code = wanted - 1; code <= wanted + 1; code++) {
        if (code < this.least || code > this.greatest) continue;
        for (let m = wantedMinimum + from; m <= wantedMinimum + to; m++) {
          if (m < 0 || m > this.greatest) continue;
          const error = this.error(g, scale * code, minimum * m, best);
          if (error >= best) continue;
          best = error;
          this.scaleCodes[g] = code;
          this.minimumCodes[g] = m;
        }
      }
      this.writeCodes(g, scale * this.scaleCodes[g]!, minimum * this.minimumCodes[g]!);
    }
  }

  private nearest(unit: number, value: number): number {
    if (unit === 0) return 0;
    return Math.min(this.greatest, Math.max(this.least, Math.round(value / unit)));
  }

  /** Of group g with this scale and minimum; Infinity as soon as it is no less than `limit`. */
  private error(g: number, scale: number, minimum: number, limit: number): number {
    const inverse = scale === 0 ? 0 : 1 / scale;
    const { x, weights, half, top } = this;
    let error = 0;
    const end = (g + 1) * this.groupSize;
    for (let i = g * this.groupSize; i < end; i++) {
      const code = Math.floor((x[i]! - minimum) * inverse + half + 0.5);
      const level = (code < 0 ? 0 : code > top ? top : code) - half;
      const difference = x[i]! - minimum - scale * level;
      error += weights[i]! * difference * difference;
      if (error >= limit) return Infinity;
    }
    return error;
  }

  private writeCodes(g: number, scale: number, minimum: number): void {
    const inverse = scale === 0 ? 0 : 1 / scale;
    const end = (g + 1) * this.groupSize;
    for (let i = g * this.groupSize; i < end; i++) {
      const code = Math.floor((this.x[i]! - minimum) * inverse + this.half + 0.5);
      this.codes[i] = code < 0 ? 0 : code > this.top ? this.top : code;
    }
  }

  /** The superblock's scale and minimum that serve the integers as they are: weighted least squares over all its weights. */
  private refit(): [number, number] {
    let aa = 0;
    let ab = 0;
    let bb = 0;
    let ax = 0;
    let bx = 0;
    for (let i = 0; i < SUPERBLOCK; i++) {
      const g = Math.floor(i / this.groupSize);
      const a = this.scaleCodes[g]! * (this.codes[i]! - this.half);
      const b = this.isMin ? this.minimumCodes[g]! : 0;
      const w = this.weights[i]!;
      aa += w * a * a;
      ab += w * a * b;
      bb += w * b * b;
      ax += w * a * this.x[i]!;
      bx += w * b * this.x[i]!;
    }
    if (aa === 0) return [0, bb === 0 ? 0 : bx / bb];
    if (bb === 0) return [ax / aa, 0];
    const determinant = aa * bb - ab * ab;
    if (!(determinant > 1e-9 * aa * bb)) return [f16BitsToF32(this.scaleBits), f16BitsToF32(this.minimumBits)];
    const scale = (bb * ax - ab * bx) / determinant;
    const minimum = (aa * bx - ab * ax) / determinant;
    // Codes are unsigned: the signs must stay.
    if (scale < 0 || minimum > 0) return [f16BitsToF32(this.scaleBits), f16BitsToF32(this.minimumBits)];
    return [scale, minimum];
  }
}

const empty8 = new Uint8Array(0);
const empty16 = new Uint16Array(0);

function notFinite(values: Float32Array, start: number, columns: number): WpError {
  const block = [...values.subarray(start, start + SUPERBLOCK)];
  const worst = block.find((x) => !Number.isFinite(x)) ?? block.reduce((a, b) => (Math.abs(b) > Math.abs(a) ? b : a));
  const row = Math.floor(start / columns);
  const column = start % columns;
  return new WpError(
    'corrupt-file',
    `A weight in row ${row}, columns ${column} to ${column + SUPERBLOCK - 1}, is ${worst}: it cannot be quantised.`,
    'The checkpoint is damaged, or was saved after a training run that diverged.',
    { actual: worst, row, column },
  );
}
