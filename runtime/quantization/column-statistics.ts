// What calibration knows of a matrix: how its columns are used. Gathered by calibration/, read by importance.ts and gptq.ts.

/** Of the inputs x [columns] that a matrix met in a text. */
export interface ColumnStatistics {
  readonly columns: number;
  /** Inputs that were counted. */
  readonly count: number;
  /** Mean of x², a column: what an error there costs, taken alone. */
  readonly squares: Float64Array;
  /** Mean of x·xᵀ [columns, columns], when errors of several columns are weighed together (GPTQ). */
  readonly moments?: Float64Array | undefined;
}

/** The mean of two uses of one matrix, the second counting `weight` as much as the first (a table that embeds and is the output). */
export function mixStatistics(first: ColumnStatistics, second: ColumnStatistics, weight: number): ColumnStatistics {
  const mix = (a: Float64Array, b: Float64Array): Float64Array => a.map((x, i) => x + weight * b[i]!);
  return {
    columns: first.columns,
    count: first.count,
    squares: mix(first.squares, second.squares),
    moments: first.moments && second.moments ? mix(first.moments, second.moments) : undefined,
  };
}

/** Every column alike, each as large as the mean of `like`: how a table is used whose rows are taken one at a time. */
export function evenStatistics(like: ColumnStatistics): ColumnStatistics {
  const { columns, count } = like;
  const mean = like.squares.reduce((sum, x) => sum + x, 0) / columns;
  const squares = new Float64Array(columns).fill(mean);
  if (!like.moments) return { columns, count, squares };
  const moments = new Float64Array(columns * columns);
  for (let i = 0; i < columns; i++) moments[i * columns + i] = mean;
  return { columns, count, squares, moments };
}
