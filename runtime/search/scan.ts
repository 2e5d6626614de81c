// What a way of scanning promises: from the codes of all rows, the few that may be among the best.

import { TINY_SCORE, type CodeBlock, type CodedQuery } from './quantized-rows.ts';

export interface ScanShape {
  rows: number;
  stride: number;
}

export interface Scan {
  /** Puts `count` rows from the beginning of `block` at `first`, a multiple of BLOCK_ROWS. Copies. */
  write(block: CodeBlock, first: number, count: number): void;
  /** Rows that may be among the `count` best with a score of at least `threshold`; all that are, and some more. */
  candidates(query: CodedQuery, count: number, threshold: number, signal?: AbortSignal): Promise<Uint32Array>;
  /** Why the device does not answer any more; undefined while it does. */
  readonly lost: string | undefined;
  dispose(): void;
}

/** Gives the page its turn when this much has passed. */
const TURN_MS = 8;

/** Resolves at once, or after the event loop has run when a turn is over. */
export function turns(signal: AbortSignal | undefined): () => Promise<void> {
  let start = performance.now();
  return async () => {
    if (performance.now() - start < TURN_MS) return;
    await new Promise((resolve) => setTimeout(resolve));
    signal?.throwIfAborted();
    start = performance.now();
  };
}

/**
 * The rows whose score can be among the `count` best: those not below the `count`-th best of the scores that are certain.
 * `scores` f32 [rows], of codes; `radii` f32 [rows].
 */
export function selectRows(
  scores: Float32Array,
  radii: Float32Array,
  queryLength: number,
  count: number,
  threshold: number,
): Uint32Array {
  const rows = scores.length;
  // The least of the `count` largest stands first.
  const heap = new Float64Array(Math.min(count, rows)).fill(-Infinity);
  for (let row = 0; row < rows; row++) {
    const certain = scores[row]! - radii[row]! * queryLength - TINY_SCORE;
    if (certain > heap[0]!) replaceLeast(heap, certain);
  }
  const least = Math.max(heap[0] ?? -Infinity, threshold);
  const found = new Uint32Array(rows);
  let size = 0;
  for (let row = 0; row < rows; row++) {
    if (scores[row]! + radii[row]! * queryLength + TINY_SCORE >= least) found[size++] = row;
  }
  return found.slice(0, size);
}

function replaceLeast(heap: Float64Array, value: number): void {
  let at = 0;
  for (;;) {
    let child = 2 * at + 1;
    if (child >= heap.length) break;
    if (child + 1 < heap.length && heap[child + 1]! < heap[child]!) child += 1;
    if (heap[child]! >= value) break;
    heap[at] = heap[child]!;
    at = child;
  }
  heap[at] = value;
}
