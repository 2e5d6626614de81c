// Which bytes are read in which order: pieces of weights in file order, small neighbours together in one read, large
// tensors that will be converted in blocks of rows. Pure arithmetic; weight-source.ts carries it out.

import type { StoredPart, StoredPiece, StoredWeight } from './stored-weight.ts';

/** Bytes [start, end) of a file that belong to one piece; `firstRow` says where in the part a block of rows begins. */
export interface Slice {
  stored: StoredWeight;
  part: number;
  piece: StoredPiece;
  firstRow: number;
  start: number;
  end: number;
}

export interface Read {
  file: string;
  start: number;
  end: number;
  /** Ascending; they may overlap when two weights share a tensor. */
  slices: Slice[];
}

/**
 * Neighbours are read together up to this size, since a request costs as much as about that many bytes; less for a small
 * model, of which a few such reads would be the whole: what is read ahead and what is being converted must stay within a
 * fifth of what the model takes at 2 bits, cache and activations included.
 */
function joinedBytes(totalBytes: number): number {
  return Math.min(8 * 2 ** 20, Math.max(2 ** 18, totalBytes / 128));
}

/** Bytes that may be read before they are asked for: 1 to 32 MiB. */
export function readAheadBytes(totalBytes: number): number {
  return 4 * joinedBytes(totalBytes);
}

/** Bytes between two wanted tensors that are cheaper to read than to skip. */
const gapBytes = 32 * 2 ** 10;
/**
 * `isConverted`: whether a part's numbers change on the way. They are read in blocks of rows (½ to 16 MiB); others are read
 * in one piece, to be passed on as they are.
 */
export function planReads(
  weights: readonly StoredWeight[],
  isConverted: (stored: StoredWeight, part: StoredPart) => boolean,
): Read[] {
  const totalBytes = storedBytes(weights);
  const joined = joinedBytes(totalBytes);
  const slices: Slice[] = [];
  for (const stored of weights) {
    stored.parts.forEach((part, index) => {
      for (const piece of part.pieces) {
        const { start, end } = piece.tensor;
        const rowBytes = (end - start) / part.rows;
        const isSplittable = piece.holds === 'blocks' || (piece.holds === 'numbers' && isConverted(stored, part));
        const canSplit = isSplittable && part.columns > 1;
        const blockRows = canSplit ? Math.max(1, Math.floor((2 * joined) / rowBytes)) : part.rows;
        for (let row = 0; row < part.rows; row += blockRows) {
          const rows = Math.min(blockRows, part.rows - row);
          slices.push({
            stored,
            part: index,
            piece,
            firstRow: row,
            start: start + row * rowBytes,
            end: start + (row + rows) * rowBytes,
          });
        }
      }
    });
  }
  const file = (slice: Slice): string => slice.piece.tensor.file;
  slices.sort((a, b) => (file(a) === file(b) ? a.start - b.start : file(a) < file(b) ? -1 : 1));

  const reads: Read[] = [];
  for (const slice of slices) {
    const last = reads[reads.length - 1];
    const joins =
      last?.file === file(slice) &&
      slice.start <= last.end + gapBytes &&
      (slice.end <= last.end || slice.end - last.start <= joined);
    if (joins) {
      last.slices.push(slice);
      last.end = Math.max(last.end, slice.end);
    } else {
      reads.push({ file: file(slice), start: slice.start, end: slice.end, slices: [slice] });
    }
  }
  return reads;
}

/** Of all pieces of all weights. */
export function storedBytes(weights: readonly StoredWeight[]): number {
  let sum = 0;
  for (const { parts } of weights) {
    for (const { pieces } of parts) for (const { tensor } of pieces) sum += tensor.end - tensor.start;
  }
  return sum;
}
