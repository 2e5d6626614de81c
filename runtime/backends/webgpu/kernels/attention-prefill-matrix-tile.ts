// The tiles of attention-prefill-matrix.ts, apart from its kernel: the ladder reads them on every device.

import { SUBGROUP_SIZE } from './matmul-matrix-tile.ts';

export { SUBGROUP_SIZE };

/** Subgroups of a workgroup; each has 16 queries. As many as there are parts of a tile: queries come by the same memory. */
export const MATRIX_SUBGROUPS = 4;
/** Parts of 16 positions of a tile. */
export const TILE_PARTS = 4;
/** Numbers from one query's scores to the next's, and of its weights: multiples of 16 bytes. */
export const SCORE_STRIDE = TILE_PARTS * 16 + 4;
export const WEIGHT_STRIDE = TILE_PARTS * 16 + 8;

/** vec4s from one position of a tile to the next: eight halves more than it holds, so that eight rows meet different banks. */
export function tileStride(headDim: number): number {
  return (headDim + 8) / 4;
}

/** Bytes of workgroup memory. */
export function attentionPrefillMatrixBytes(headDim: number): number {
  const tile = TILE_PARTS * 16 * tileStride(headDim) * 8;
  return tile + MATRIX_SUBGROUPS * 16 * (SCORE_STRIDE * 4 + WEIGHT_STRIDE * 2);
}
