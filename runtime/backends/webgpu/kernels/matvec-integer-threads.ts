// How threads share the work of matvec-integer.ts, apart from its kernel: the ladder decides it on every device, and the
// kernel is downloaded only where it can run (matvec-integer-kernels.ts).

import type { MatvecVariant } from './matvec-variant.ts';

export interface MatvecIntegerThreads extends Pick<
  MatvecVariant,
  'lanes' | 'rowsPerThread' | 'workgroupSize' | 'reduction'
> {
  /** Chunks of each row that a thread loads before it multiplies the first of them. */
  chunksPerStep: number;
  /** Units that a thread works at, one after another: the activations are quantised once for all of them. */
  unitsPerThread: number;
}

/** Bytes of workgroup memory that no format exceeds: a code a column with padding, scales of blocks, sums of 16 columns. */
export function matvecIntegerBytes(
  columns: number,
  { workgroupSize, rowsPerThread }: Pick<MatvecIntegerThreads, 'workgroupSize' | 'rowsPerThread'>,
): number {
  const codes = columns + 4 * 16 * 4;
  return codes + 4 * (columns / 32 + columns / 16 + workgroupSize * (rowsPerThread + 2));
}
