// The cases of exact search, for Node and browsers: every way of scanning gives what a plain loop gives, number for number.

import { openVectorSearch, type SearchBackend, type SearchHit } from '../../runtime/search/vector-search.ts';
import { Random } from '../support/random.ts';

export interface SearchCase {
  name: string;
  dimensions: number;
  vectors: Float32Array;
  query: Float32Array;
  count: number;
  threshold?: number;
}

function normalized(numbers: Float32Array, dimensions: number): Float32Array {
  for (let at = 0; at < numbers.length; at += dimensions) {
    const row = numbers.subarray(at, at + dimensions);
    const length = Math.hypot(...row) || 1;
    row.forEach((number, i) => (row[i] = number / length));
  }
  return numbers;
}

function random(rows: number, dimensions: number, seed: number): Float32Array {
  return normalized(new Random(seed).floats(rows * dimensions, 1), dimensions);
}

export function searchCases(): SearchCase[] {
  const near = random(3000, 40, 5);
  // Clouds of vectors that are nearly the same, and some that are exactly the same: codes alone cannot order them.
  near.forEach((_, i) => (near[i] = near[i % 400]! + (i % 7 === 0 ? 0 : 1e-4 * near[i]!)));
  const uneven = random(700, 33, 6);
  uneven.forEach((_, i) => (uneven[i]! *= 10 ** ((Math.floor(i / 33) % 9) - 4)));
  return [
    { name: '5,000 of 384', dimensions: 384, vectors: random(5000, 384, 1), query: random(1, 384, 2), count: 10 },
    {
      name: 'a threshold',
      dimensions: 64,
      vectors: random(1000, 64, 3),
      query: random(1, 64, 4),
      count: 500,
      threshold: 0.1,
    },
    { name: 'equal and nearly equal vectors', dimensions: 40, vectors: near, query: near.slice(80, 120), count: 25 },
    {
      name: 'vectors of all lengths, odd dimensions',
      dimensions: 33,
      vectors: uneven,
      query: random(1, 33, 7),
      count: 12,
    },
    { name: 'more hits than vectors', dimensions: 3, vectors: random(5, 3, 8), query: random(1, 3, 9), count: 50 },
    { name: 'zeros', dimensions: 8, vectors: new Float32Array(24), query: new Float32Array(8), count: 2 },
    { name: 'one dimension', dimensions: 1, vectors: random(9, 1, 10), query: Float32Array.of(1), count: 4 },
    { name: 'nothing', dimensions: 4, vectors: new Float32Array(0), query: random(1, 4, 11), count: 3 },
  ];
}

/** A loop over all, in double precision. */
export function plainSearch({ vectors, dimensions, query, count, threshold = -Infinity }: SearchCase): SearchHit[] {
  const hits: SearchHit[] = [];
  for (let index = 0; index * dimensions < vectors.length; index++) {
    let score = 0;
    for (let i = 0; i < dimensions; i++) score += vectors[index * dimensions + i]! * query[i]!;
    if (score >= threshold) hits.push({ index, score });
  }
  return hits.sort((a, b) => b.score - a.score || a.index - b.index).slice(0, count);
}

export async function searchBy(backend: SearchBackend, searched: SearchCase): Promise<SearchHit[]> {
  const { vectors, dimensions, query, count, threshold } = searched;
  const search = await openVectorSearch(vectors, { dimensions, backend });
  try {
    if (search.backend !== backend) throw new Error(`${search.backend} instead of ${backend}: ${search.reason}`);
    return await search.search(query, { count, threshold });
  } finally {
    search.dispose();
  }
}
