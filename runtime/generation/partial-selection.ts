// The few largest of many, without sorting them all.

/** The k-th largest number (k from 1 to the length), by a heap of the k largest so far. */
export function kthLargest(values: Float32Array, k: number): number {
  // heap[0] is the smallest of the k kept.
  const heap = Float32Array.from(values.subarray(0, k));
  for (let i = (k >> 1) - 1; i >= 0; i--) siftDown(heap, i);
  for (let i = k; i < values.length; i++) {
    const value = values[i]!;
    if (value <= heap[0]!) continue;
    heap[0] = value;
    siftDown(heap, 0);
  }
  return heap[0]!;
}

function siftDown(heap: Float32Array, start: number): void {
  const value = heap[start]!;
  let at = start;
  for (;;) {
    let child = 2 * at + 1;
    if (child >= heap.length) break;
    if (child + 1 < heap.length && heap[child + 1]! < heap[child]!) child++;
    if (heap[child]! >= value) break;
    heap[at] = heap[child]!;
    at = child;
  }
  heap[at] = value;
}

const BINS = 256;
/** Weights below e^-48 add nothing that float64 could hold beside 1. */
const DEEPEST = 48;

/**
 * Indices of the values with the highest weights, descending, up to and including the one with which the sum of weights
 * reaches `mass`; at least one. The weight of the highest value is 1 and it never rises as values fall. A histogram of
 * the logarithms finds which values can be among them, and only those are sorted.
 */
export function likeliestUpTo(values: Float32Array, weight: (value: number) => number, mass: number): Int32Array {
  const binOf = (w: number): number => Math.min(BINS - 1, Math.floor((-Math.log(w) * BINS) / DEEPEST));
  const sums = new Float64Array(BINS);
  for (let i = 0; i < values.length; i++) {
    const w = weight(values[i]!);
    if (w > 0) sums[binOf(w)]! += w;
  }
  let lastBin = 0;
  let sum = sums[0]!;
  while (sum < mass && lastBin < BINS - 1) sum += sums[++lastBin]!;

  const indices: number[] = [];
  for (let i = 0; i < values.length; i++) {
    const w = weight(values[i]!);
    if (w > 0 && binOf(w) <= lastBin) indices.push(i);
  }
  indices.sort((a, b) => values[b]! - values[a]! || a - b);
  let count = 0;
  let reached = 0;
  while (count < indices.length && (count === 0 || reached < mass)) reached += weight(values[indices[count++]!]!);
  return Int32Array.from(indices.slice(0, count));
}
