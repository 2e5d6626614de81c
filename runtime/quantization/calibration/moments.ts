// Sums over the inputs of a matrix while a text runs: of squares, and of products of every two columns.

import type { Backend } from '../../backends/backend.ts';
import type { ColumnStatistics } from '../column-statistics.ts';
import { GramProduct } from './gram-product.ts';
import type { Tap } from './tap.ts';

/** Inputs whose products are summed at once. */
const PRODUCT_ROWS = 512;

/** `moments`: what GPTQ needs, too; takes columns² numbers a matrix. A set: moments of these tensors, squares of the others. */
export type Gathering = 'squares' | 'moments' | ReadonlySet<string>;

/** Bytes that the moments of one input take while they are gathered. */
export function momentBytes(columns: number): number {
  return 8 * columns * columns + 4 * columns * PRODUCT_ROWS;
}

export interface Gatherer {
  /** Adds rows [rows, columns] that the tap gave. */
  add(tap: Tap, x: Float32Array): Promise<void>;
  /** By tensor. */
  means(): Promise<Map<string, ColumnStatistics>>;
  dispose(): void;
}

/** Sums for every tap; taps of one width share the program that multiplies. */
export async function gatherer(backend: Backend, taps: readonly Tap[], gather: Gathering): Promise<Gatherer> {
  const grams = new Map<number, GramProduct>();
  const sums = new Map<Tap, MomentSums>();
  for (const tap of taps) {
    const wantsMoments =
      typeof gather === 'string' ? gather === 'moments' : tap.tensors.some((tensor) => gather.has(tensor));
    let gram = wantsMoments ? grams.get(tap.columns) : undefined;
    if (!gram && wantsMoments) {
      gram = await GramProduct.create(backend, tap.columns, PRODUCT_ROWS);
      grams.set(tap.columns, gram);
    }
    sums.set(tap, new MomentSums(tap.columns, gram));
  }
  return {
    add: (tap, x) => sums.get(tap)!.add(x),
    async means() {
      const result = new Map<string, ColumnStatistics>();
      for (const [tap, sum] of sums) {
        const means = await sum.means();
        for (const tensor of tap.tensors) result.set(tensor, means);
      }
      return result;
    },
    dispose: () => grams.forEach((gram) => gram.dispose()),
  };
}

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
