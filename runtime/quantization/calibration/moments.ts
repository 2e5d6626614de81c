// Sums over the inputs of a matrix while a text runs: of squares, and of products of every two columns.

import type { ColumnStatistics } from '../column-statistics.ts';
import type { GramProduct } from './gram-product.ts';

export class MomentSums {
  private count = 0;
  private readonly squares: Float64Array;
  private readonly products: Float64Array | undefined;
  /** Rows that wait for a product, transposed: [columns, the product's columns]. */
  private readonly waiting: Float32Array | undefined;
  private waitingRows = 0;

  /** @param gram makes the products, of as many rows at a time as it has columns; without it only squares are summed. */
  constructor(
    private readonly columns: number,
    private readonly gram?: GramProduct,
  ) {
    this.squares = new Float64Array(columns);
    if (!gram) return;
    this.products = new Float64Array(columns * columns);
    this.waiting = new Float32Array(columns * gram.columns);
  }

  /** Adds rows x [rows, columns]. */
  async add(x: Float32Array): Promise<void> {
    const { columns, squares, waiting, gram } = this;
    for (let at = 0; at < x.length; at += columns) {
      this.count += 1;
      for (let c = 0; c < columns; c++) squares[c]! += x[at + c]! * x[at + c]!;
      if (!waiting || !gram) continue;
      for (let c = 0; c < columns; c++) waiting[c * gram.columns + this.waitingRows] = x[at + c]!;
      if (++this.waitingRows === gram.columns) await this.multiply();
    }
  }

  async means(): Promise<ColumnStatistics> {
    if (this.waitingRows > 0) await this.multiply();
    const { columns, count, products, squares } = this;
    const divide = (x: number) => (count === 0 ? 0 : x / count);
    return { columns, count, squares: squares.map(divide), moments: products?.map(divide) };
  }

  private async multiply(): Promise<void> {
    const products = this.products!;
    const product = await this.gram!.of(this.waiting!);
    for (let i = 0; i < products.length; i++) products[i]! += product[i]!;
    this.waiting!.fill(0);
    this.waitingRows = 0;
  }
}
