// GPTQ (Frantar et al. 2022, https://arxiv.org/abs/2210.17323): columns are rounded one after another, and the error of each is
// made up for by the columns still to come, as the second moments of the inputs say it best can. What is minimised is the
// error of the product, tr((W − Q)·H·(W − Q)ᵀ), H = mean of x·xᵀ, and not that of the weights.
//
// As here: columns in their order (groups stay whole; ordering by importance won nothing once scales are searched), the
// scales of a span fitted when it is reached, to the weights as corrected until then, by weighted error (importance.ts);
// afterwards refine.ts goes over codes and scales again.

import { WpError } from '../errors.ts';
import type { ColumnStatistics } from './column-statistics.ts';
import { expectQuantizable } from './expect-quantizable.ts';
import type { PackedMatrix, QuantFormat } from './formats.ts';
import { ScaleSearch } from './importance.ts';
import { inverseFactor } from './linear-algebra.ts';
import { RowRefiner } from './refine.ts';
import { ScaleGrid } from './scale-grid.ts';

export interface GptqOptions {
  /** Added to the diagonal of the moments, as a share of its mean. Default 0.01. */
  damping?: number | undefined;
  /** Rounds of refinement over each row's codes and scales. Default 2. */
  refinements?: number | undefined;
}

/** Quantises matrices that share their inputs: the factorisation of the moments is made once. */
export class Gptq {
  private readonly moments: Float64Array;
  private readonly factor: Float64Array;
  private readonly importance: Float64Array;
  private readonly refinements: number;

  /** Throws `invalid-argument` when the statistics have no moments, or too few tokens to be damped into shape. */
  constructor(
    private readonly statistics: ColumnStatistics,
    { damping = 0.01, refinements = 2 }: GptqOptions = {},
  ) {
    const { columns, moments } = statistics;
    if (moments?.length !== columns * columns) {
      throw new WpError('invalid-argument', 'GPTQ needs the second moments of the inputs.', 'Calibrate with moments.', {
        actual: moments?.length,
        expected: columns * columns,
      });
    }
    this.refinements = refinements;
    this.moments = moments.slice();
    let mean = 0;
    for (let i = 0; i < columns; i++) mean += moments[i * (columns + 1)]! / columns;
    // A column that was never used costs nothing, whatever it is; a moment of its own keeps the matrix regular.
    for (let i = 0; i < columns; i++) this.moments[i * (columns + 1)]! += (mean || 1) * damping;
    this.importance = Float64Array.from({ length: columns }, (_, i) => this.moments[i * (columns + 1)]!);
    this.factor = inverseFactor(this.moments, columns);
  }

  /** A matrix [rows, columns], row-major, in a format. */
  quantize(values: Float32Array, rows: number, format: QuantFormat): PackedMatrix {
    const { columns } = this.statistics;
    expectQuantizable(values, rows, columns, format, this.statistics);
    const grid = new ScaleGrid(format, rows, columns);
    const search = new ScaleSearch(grid, this.importance);
    const codes = new Uint8Array(values.length);
    const refiner = this.refinements > 0 ? new RowRefiner(grid, this.moments) : undefined;
    const row = new Float64Array(columns);
    const { factor } = this;
    for (let r = 0; r < rows; r++) {
      for (let c = 0; c < columns; c++) row[c] = values[r * columns + c]!;
      const rowCodes = codes.subarray(r * columns, (r + 1) * columns);
      for (let c = 0; c < columns; c++) {
        if (c % grid.span === 0) search.fit(r, c, row);
        const group = r * grid.groupsPerRow + Math.floor(c / grid.groupSize);
        const code = grid.code(group, row[c]!);
        rowCodes[c] = code;
        const at = c * columns;
        const error = (row[c]! - grid.value(group, code)) / factor[at + c]!;
        for (let k = c + 1; k < columns; k++) row[k]! -= error * factor[at + k]!;
      }
      refiner?.refine(r, values.subarray(r * columns, (r + 1) * columns), rowCodes, this.refinements);
    }
    return grid.pack(codes);
  }
}
