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
/** ln of the smallest weight with a bin of its own: e^-48 beside 1 is below what a float64 can hold. */
const DEPTH = 48;

/**
 * Indices of the largest weights (between 0 and 1, the largest is 1): those above 0 and of at least `smallest`, up to
 * and including the one with which their sum, from the largest down, reaches `mass`. They are in descending order when
 * `mass` is finite, in any order when it is not. A histogram of the logarithms finds which weights can be among
 * them, and only those are sorted.
 */
export function likeliestUpTo(weights: Float64Array, mass: number, smallest: number): Uint32Array {
  const indices = new Uint32Array(weights.length);
  let count = 0;
  if (mass === Infinity) {
    for (let i = 0; i < weights.length; i++) if (weights[i]! > 0 && weights[i]! >= smallest) indices[count++] = i;
    return indices.subarray(0, count);
  }
  const sums = new Float64Array(BINS);
  const binOf = (weight: number): number => Math.min(BINS - 1, Math.floor((-Math.log(weight) * BINS) / DEPTH));
  const bins = new Uint8Array(weights.length);
  for (let i = 0; i < weights.length; i++) {
    const weight = weights[i]!;
    if (weight > 0) sums[(bins[i] = binOf(weight))]! += weight;
  }
  let lastBin = 0;
  for (let sum = sums[0]!; sum < mass && lastBin < BINS - 1; sum += sums[lastBin]!) lastBin++;
  for (let i = 0; i < weights.length; i++) if (weights[i]! > 0 && bins[i]! <= lastBin) indices[count++] = i;
  const sorted = indices.subarray(0, count).sort((a, b) => weights[b]! - weights[a]! || a - b);

  let kept = 0;
  for (let sum = 0; kept < count && sum < mass; kept++) sum += weights[sorted[kept]!]!;
  while (kept > 1 && weights[sorted[kept - 1]!]! < smallest) kept--;
  return sorted.subarray(0, Math.max(1, kept));
}
