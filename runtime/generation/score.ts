// Logits of a whole sequence, for evaluation: the model reads the sequence once, in chunks, and every row's logits are
// wanted. A program is compiled for few output rows, so chunks are as short as it allows.

import { WpError } from '../errors.ts';
import type { CachedProgram } from './cached-program.ts';

/** More than this in one array is refused: use totalLogLikelihood, or score parts. */
const MAX_LOGITS_BYTES = 2 ** 30;

/** Logits [tokens.length, vocabulary]. The cache holds `tokens` afterwards. */
export async function scoreTokens(
  cache: CachedProgram,
  tokens: readonly number[],
  signal?: AbortSignal,
): Promise<Float32Array> {
  let all: Float32Array | undefined;
  await forEachChunk(cache, tokens, signal, (logits, start, rows) => {
    const vocabulary = logits.length / rows;
    all ??= allocate(tokens.length, vocabulary);
    all.set(logits, start * vocabulary);
  });
  return all ?? new Float32Array(0);
}

/** Sum of ln p(token | those before it) over tokens[1 …], in float64. */
export async function totalLogLikelihood(
  cache: CachedProgram,
  tokens: readonly number[],
  signal?: AbortSignal,
): Promise<number> {
  let total = 0;
  await forEachChunk(cache, tokens, signal, (logits, start, rows) => {
    const vocabulary = logits.length / rows;
    for (let row = 0; row < rows; row++) {
      const target = tokens[start + row + 1];
      if (target === undefined) continue;
      total += logProbability(logits.subarray(row * vocabulary, (row + 1) * vocabulary), target);
    }
  });
  return total;
}

/** ln softmax(logits)[token], in float64. */
export function logProbability(logits: Float32Array, token: number): number {
  const logit = logits[token];
  if (logit === undefined) {
    throw new WpError('invalid-argument', `Token ${token} is beyond the vocabulary of ${logits.length}.`);
  }
  let highest = -Infinity;
  for (const value of logits) if (value > highest) highest = value;
  let sum = 0;
  for (const value of logits) sum += Math.exp(value - highest);
  return logit - highest - Math.log(sum);
}

async function forEachChunk(
  cache: CachedProgram,
  tokens: readonly number[],
  signal: AbortSignal | undefined,
  visit: (logits: Float32Array, start: number, rows: number) => void,
): Promise<void> {
  cache.clear();
  const size = Math.min(cache.maxTokens, cache.maxOutputs);
  for (let start = 0; start < tokens.length; start += size) {
    const chunk = tokens.slice(start, start + size);
    visit(await cache.appendChunk(chunk, Int32Array.from(chunk.keys()), signal), start, chunk.length);
  }
}

function allocate(rows: number, vocabulary: number): Float32Array {
  const bytes = rows * vocabulary * 4;
  if (bytes <= MAX_LOGITS_BYTES) return new Float32Array(rows * vocabulary);
  throw new WpError(
    'out-of-memory',
    `The logits of ${rows} tokens take ${bytes} bytes; at most ${MAX_LOGITS_BYTES} are given at once.`,
    `Pass at most ${Math.floor(MAX_LOGITS_BYTES / vocabulary / 4)} tokens at a time.`,
    { actual: bytes, allowed: MAX_LOGITS_BYTES },
  );
}
