// Sums over the inputs of a matrix while a text runs: of squares, and of products of every two columns.

import type { ColumnStatistics } from '../column-statistics.ts';

/** Rows that are added in one pass over the products: fewer passes over memory that does not fit the cache. */
const ROWS_AT_ONCE = 8;

export class MomentSums {
  private count = 0;
  private readonly squares: Float64Array;
  /** The upper triangle is filled; float32 sums of a chunk are added to float64 by `flush`. */
  private readonly products: Float64Array | undefined;

  constructor(
    private readonly columns: number,
    hasProducts: boolean,
  ) {
    this.squares = new Float64Array(columns);
    this.products = hasProducts ? new Float64Array(columns * columns) : undefined;
  }

  /** Adds rows x [rows, columns]. */
  add(x: Float32Array): void {
    const { columns, products, squares } = this;
    const rows = x.length / columns;
    this.count += rows;
    for (let at = 0; at < x.length; at += columns) {
      for (let c = 0; c < columns; c++) squares[c]! += x[at + c]! * x[at + c]!;
    }
    if (!products) return;
    let row = 0;
    for (; row + ROWS_AT_ONCE <= rows; row += ROWS_AT_ONCE) this.addEight(x, row * columns);
    for (; row < rows; row++) {
      const at = row * columns;
      for (let i = 0; i < columns; i++) {
        const a = x[at + i]!;
        for (let j = i; j < columns; j++) products[i * columns + j]! += a * x[at + j]!;
      }
    }
  }

  private addEight(x: Float32Array, at: number): void {
    const { columns } = this;
    const products = this.products!;
    const n = columns;
    for (let i = 0; i < n; i++) {
      const p = at + i;
      const a0 = x[p]!;
      const a1 = x[p + n]!;
      const a2 = x[p + 2 * n]!;
      const a3 = x[p + 3 * n]!;
      const a4 = x[p + 4 * n]!;
      const a5 = x[p + 5 * n]!;
      const a6 = x[p + 6 * n]!;
      const a7 = x[p + 7 * n]!;
      const out = i * n;
      for (let j = i; j < n; j++) {
        const q = at + j;
        products[out + j]! +=
          a0 * x[q]! +
          a1 * x[q + n]! +
          a2 * x[q + 2 * n]! +
          a3 * x[q + 3 * n]! +
          a4 * x[q + 4 * n]! +
          a5 * x[q + 5 * n]! +
          a6 * x[q + 6 * n]! +
          a7 * x[q + 7 * n]!;
      }
    }
  }

  means(): ColumnStatistics {
    const { columns, count, products } = this;
    const divide = (x: number) => (count === 0 ? 0 : x / count);
    let moments: Float64Array | undefined;
    if (products) {
      moments = products.map(divide);
      for (let i = 0; i < columns; i++) {
        for (let j = 0; j < i; j++) moments[i * columns + j] = moments[j * columns + i]!;
      }
    }
    return { columns, count, squares: this.squares.map(divide), moments };
  }
}
