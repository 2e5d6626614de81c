// Which tokens count, and what they come to, against sums written out here. Against llama.cpp on a GGUF file: docs/precision.md.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { measurePerplexity } from '../../runtime/evaluation/perplexity.ts';

const VOCABULARY = 7;

/** Logits that depend on the token and its place, so that a shifted or skipped row shows. */
function logitsOf(tokens: readonly number[]): Promise<Float32Array> {
  const logits = new Float32Array(tokens.length * VOCABULARY);
  for (let row = 0; row < tokens.length; row++) {
    for (let id = 0; id < VOCABULARY; id++) {
      logits[row * VOCABULARY + id] = Math.sin(row * 3 + id * 5 + tokens[row]! * 2) * 4 + 900;
    }
  }
  return Promise.resolve(logits);
}

function lossAt(window: readonly number[], row: number): number {
  const scores = Array.from({ length: VOCABULARY }, (_, id) =>
    Math.fround(Math.sin(row * 3 + id * 5 + window[row]! * 2) * 4 + 900),
  );
  const sum = scores.reduce((total, score) => total + Math.exp(score - 900), 0);
  return Math.log(sum) + 900 - scores[window[row + 1]!]!;
}

describe('perplexity', () => {
  const tokens = Array.from({ length: 53 }, (_, i) => (i * i + 3 * i) % VOCABULARY);

  it('counts the second half of each whole window, as llama-perplexity does', async () => {
    const window = 10;
    const losses: number[] = [];
    for (let start = 0; start + window <= tokens.length; start += window) {
      const part = tokens.slice(start, start + window);
      for (const row of [5, 6, 7, 8]) losses.push(lossAt(part, row));
    }
    const mean = losses.reduce((a, b) => a + b) / losses.length;
    const variance = losses.reduce((sum, loss) => sum + (loss - mean) ** 2, 0) / losses.length;
    const found = await measurePerplexity(logitsOf, tokens, { window });
    assert.equal(found.tokens, 20);
    assert.equal(found.windows, 5);
    assert.ok(Math.abs(found.loss - mean) < 1e-9);
    assert.ok(Math.abs(found.perplexity - Math.exp(mean)) < 1e-8);
    const error = Math.exp(mean) * Math.sqrt(variance / 19);
    assert.ok(Math.abs(found.standardError - error) < 1e-6);
  });

  it('is the size of the vocabulary for a model that knows nothing', async () => {
    const even = (part: readonly number[]) => Promise.resolve(new Float32Array(part.length * VOCABULARY));
    const { perplexity } = await measurePerplexity(even, tokens, { window: 8, windows: 2 });
    assert.ok(Math.abs(perplexity - VOCABULARY) < 1e-9);
  });

  it('stops at the wished number of windows, says how far it is, and aborts', async () => {
    const seen: number[] = [];
    const controller = new AbortController();
    const measuring = measurePerplexity(logitsOf, tokens, {
      window: 8,
      windows: 4,
      signal: controller.signal,
      onProgress: ({ windows }) => {
        seen.push(windows);
        if (windows === 2) controller.abort();
      },
    });
    await assert.rejects(measuring, { name: 'AbortError' });
    assert.deepEqual(seen, [1, 2]);
  });

  it('refuses a text that is shorter than a window', async () => {
    await assert.rejects(measurePerplexity(logitsOf, tokens.slice(0, 7), { window: 8 }), { code: 'invalid-argument' });
  });
});
