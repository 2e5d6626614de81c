// What tells one matrix-vector kernel from another.

import type { FormatName } from '../../../quantization/formats.ts';
import type { Reduction } from './kernel.ts';

export interface MatvecVariant {
  kernel: 'matvec';
  format: FormatName;
  /** Rows of this piece of the matrix, and the matrix's row that is its first. */
  rows: number;
  firstRow: number;
  columns: number;
  hasBias: boolean;
  /** The activations are normed on the way in: this is the norm's epsilon. */
  normEpsilon?: number | undefined;
  /** A residual is added on the way out. */
  hasResidual?: boolean | undefined;
  /** The rows are a gate's, then as many of its counterpart; what comes out is activation(gate) × up. */
  activation?: 'silu' | 'gelu-tanh' | undefined;
  /** The rows are heads of queries, keys and values; what comes out is what rotaryCache writes. */
  rotary?: string | undefined;
  /** Threads that share a row: a power of two. */
  lanes: number;
  /** Rows that each thread takes part in. */
  rowsPerThread: number;
  workgroupSize: number;
  reduction: Reduction;
}
