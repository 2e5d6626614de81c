// The tiles of matmul-matrix.ts, apart from its kernel: the ladder reads them on every device, and the kernel is downloaded
// only where it can run (matrix-kernels.ts).

export interface MatmulMatrixTile {
  /** Tokens and rows of a workgroup's results. */
  tileTokens: number;
  tileRows: number;
  /** How its subgroups of 32 divide them; each gets multiples of 16. */
  subgroupsTokens: number;
  subgroupsRows: number;
  /** Columns of a tile in workgroup memory: a multiple of 32, which the matrix's columns must be of it. */
  tileColumns: number;
}

/** Columns a row of a tile is apart from the next: 8 more than it holds, so that eight rows meet different banks. */
export const MATRIX_PADDING = 8;
export const SUBGROUP_SIZE = 32;

/** Bytes of workgroup memory of a variant. */
export function matmulMatrixWorkgroupBytes(tile: MatmulMatrixTile): number {
  const { tileTokens, tileRows, tileColumns, subgroupsTokens } = tile;
  return (tileTokens + tileRows) * (tileColumns + MATRIX_PADDING) * 2 + subgroupsTokens * tileRows * 64;
}
