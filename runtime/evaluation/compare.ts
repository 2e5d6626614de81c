// What a model lost beside another of the same vocabulary, on the same windows of text that its perplexity is measured on: the
// distance of its predictions (Kullback–Leibler divergence, reference first) and how often both would say the same token.

import { WpError } from '../errors.ts';
import { measurePerplexity, type Perplexity, type PerplexityOptions } from './perplexity.ts';

type Logits = (tokens: readonly number[]) => Promise<Float32Array>;

export interface WindowComparison {
  /** Means over the window's tokens that count. */
  loss: number;
  referenceLoss: number;
  divergence: number;
  /** From 0 to 1. */
  agreement: number;
}

export interface Comparison {
  model: Perplexity;
  reference: { perplexity: number; loss: number };
  /** Nats a token: the mean, and what 50, 90, 99 and all of 100 tokens stay below. */
  divergence: { mean: number; median: number; p90: number; p99: number; maximum: number };
  /** Share of the tokens at which both models' likeliest token is the same. */
  agreement: number;
  windows: readonly WindowComparison[];
}

/** Throws `invalid-argument` for a text without a whole window, and for two vocabularies. */
export async function compareModels(
  logits: Logits,
  reference: Logits,
  tokens: readonly number[],
  options: PerplexityOptions = {},
): Promise<Comparison> {
  const windows: WindowComparison[] = [];
  const divergences: number[] = [];
  let agreed = 0;
  let referenceLoss = 0;
  const both: Logits = async (part) => {
    const ours = await logits(part);
    const theirs = await reference(part);
    if (ours.length !== theirs.length) {
      const sizes = [ours, theirs].map(({ length }) => length / part.length);
      throw new WpError('invalid-argument', `The models have vocabularies of ${sizes.join(' and ')} tokens.`, '', {
        actual: sizes,
      });
    }
    const vocabulary = ours.length / part.length;
    const window = { loss: 0, referenceLoss: 0, divergence: 0, agreement: 0 };
    const first = Math.floor(part.length / 2);
    const count = part.length - 1 - first;
    for (let row = first; row + 1 < part.length; row++) {
      const a = ours.subarray(row * vocabulary, (row + 1) * vocabulary);
      const b = theirs.subarray(row * vocabulary, (row + 1) * vocabulary);
      const one = compareRow(a, b);
      divergences.push(one.divergence);
      window.loss += (one.sum - a[part[row + 1]!]!) / count;
      window.referenceLoss += (one.referenceSum - b[part[row + 1]!]!) / count;
      window.divergence += one.divergence / count;
      window.agreement += (one.agrees ? 1 : 0) / count;
      if (one.agrees) agreed += 1;
    }
    referenceLoss += window.referenceLoss;
    windows.push(window);
    return ours;
  };
  const model = await measurePerplexity(both, tokens, options);
  const sorted = [...divergences].sort((x, y) => x - y);
  const below = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]!;
  const loss = referenceLoss / windows.length;
  return {
    model,
    reference: { perplexity: Math.exp(loss), loss },
    divergence: {
      mean: divergences.reduce((sum, one) => sum + one, 0) / divergences.length,
      median: below(0.5),
      p90: below(0.9),
      p99: below(0.99),
      maximum: sorted.at(-1)!,
    },
    agreement: agreed / divergences.length,
    windows,
  };
}

/** ln Σ e^x of both rows, Σ p_reference·ln(p_reference / p), and whether the largest is the same. */
function compareRow(
  a: Float32Array,
  b: Float32Array,
): { sum: number; referenceSum: number; divergence: number; agrees: boolean } {
  let bestA = 0;
  let bestB = 0;
  for (let i = 1; i < a.length; i++) {
    if (a[i]! > a[bestA]!) bestA = i;
    if (b[i]! > b[bestB]!) bestB = i;
  }
  let sumA = 0;
  let sumB = 0;
  for (let i = 0; i < a.length; i++) {
    sumA += Math.exp(a[i]! - a[bestA]!);
    sumB += Math.exp(b[i]! - b[bestB]!);
  }
  const sum = a[bestA]! + Math.log(sumA);
  const referenceSum = b[bestB]! + Math.log(sumB);
  let divergence = 0;
  for (let i = 0; i < a.length; i++) {
    const lnB = b[i]! - referenceSum;
    divergence += Math.exp(lnB) * (lnB - (a[i]! - sum));
  }
  // Rounding may leave it a little below zero, which it cannot be.
  return { sum, referenceSum, divergence: Math.max(0, divergence), agrees: bestA === bestB };
}
