// The tiles of matmul-integer.ts, apart from its kernel: the ladder reads them on every device, and the kernel is downloaded
// only where it can run (integer-kernels.ts).

export interface MatmulIntegerTile {
  /** Threads along tokens and along rows. */
  threadsTokens: number;
  threadsRows: number;
  /** Results of each thread along tokens and along rows. */
  tokensPerThread: number;
  rowsPerThread: number;
}

/** Bytes of workgroup memory that no format exceeds: of two blocks, words with padding, and a scale and a sum a group. */
export function matmulIntegerWorkgroupBytes(tile: MatmulIntegerTile): number {
  const tokens = tile.threadsTokens * tile.tokensPerThread;
  const rows = tile.threadsRows * tile.rowsPerThread;
  return (tokens + rows) * (5 * 16 + 2 * 2 * 2 * 4);
}
