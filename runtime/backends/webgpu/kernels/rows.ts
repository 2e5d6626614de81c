// Which rows a row-wise kernel works on: those of this step's tokens, or those whose outputs are wanted.

import { WpError } from '../../../errors.ts';
import type { Dim } from '../../../graph/types.ts';
import type { StepSizes } from './kernel.ts';

/** A number is a row count that never changes. */
export type Rows = 'tokens' | 'outputs' | number;

export function rowsOf(dim: Dim | undefined): Rows {
  if (dim === 'tokens' || dim === 'outputs' || typeof dim === 'number') return dim;
  throw new WpError('unsupported-operation', `The WebGPU backend has no rows of dimension ${String(dim)}.`, '', {
    actual: dim,
    allowed: ['tokens', 'outputs'],
  });
}

export function rowCount(rows: Rows, sizes: StepSizes): number {
  return typeof rows === 'number' ? rows : sizes[rows];
}

/** The WGSL expression of the row count. */
export function rowsExpression(rows: Rows): string {
  return typeof rows === 'number' ? `${rows}u` : `step.${rows}`;
}
