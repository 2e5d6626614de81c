// Chooses the next token from the logits, in the order of transformers' LogitsProcessors: repetition penalty, temperature,
// top-k, top-p, min-p, then a draw. Vocabularies have up to 260,000 tokens and this runs for every token, so nothing sorts
// them all: top-k keeps a heap of k, and top-p sorts only the tokens that can be inside it. Sums are in float64.

import { WpError } from '../errors.ts';
import type { GenerationDefaults } from './options.ts';
import { kthLargest, likeliestUpTo } from './partial-selection.ts';
import type { Random } from './random.ts';

export type SamplingOptions = Pick<GenerationDefaults, 'temperature' | 'topK' | 'topP' | 'minP' | 'repetitionPenalty'>;

/** Tokens that may be drawn, and their probabilities (which sum to 1). */
export interface Candidates {
  tokens: Int32Array;
  probabilities: Float64Array;
}

/** Samples one sequence: it remembers which tokens have appeared, in the prompt as well. */
export class Sampler {
  readonly #seen = new Set<number>();

  constructor(
    private readonly options: SamplingOptions,
    private readonly random: Random,
  ) {}

  /** Tokens that have appeared; none while there is no penalty. */
  get seen(): ReadonlySet<number> {
    return this.#seen;
  }

  /** Tokens that the repetition penalty counts as having appeared. */
  observe(tokens: Iterable<number>): void {
    if (this.options.repetitionPenalty === 1) return;
    for (const token of tokens) this.#seen.add(token);
  }

  /** The next token. `logits` [vocabulary] is changed in place. @throws WpError `internal` when they are not numbers. */
  sample(logits: Float32Array): number {
    penalizeRepetition(logits, this.#seen, this.options.repetitionPenalty);
    const token = this.options.temperature === 0 ? likeliest(logits) : this.#draw(candidates(logits, this.options));
    this.observe([token]);
    return token;
  }

  #draw({ tokens, probabilities }: Candidates): number {
    let rest = this.random.next();
    for (let i = 0; i < tokens.length; i++) {
      rest -= probabilities[i]!;
      if (rest < 0) return tokens[i]!;
    }
    // Rounding may leave a sum just below 1.
    return tokens[tokens.length - 1]!;
  }
}

/** Divides positive logits of the tokens by the penalty and multiplies negative ones, each token once. */
export function penalizeRepetition(logits: Float32Array, tokens: Iterable<number>, penalty: number): void {
  if (penalty === 1) return;
  for (const token of tokens) {
    const logit = logits[token];
    if (logit !== undefined) logits[token] = logit > 0 ? logit / penalty : logit * penalty;
  }
}

/** Index of the largest logit; the first of equals. */
export function likeliest(logits: Float32Array): number {
  let best = -1;
  let highest = -Infinity;
  for (let i = 0; i < logits.length; i++) {
    const logit = logits[i]!;
    if (logit > highest) {
      highest = logit;
      best = i;
    } else if (logit !== logit) {
      throw notFinite(logits);
    }
  }
  if (best < 0 || highest === Infinity) throw notFinite(logits);
  return best;
}

/** What remains after temperature, top-k, top-p and min-p. */
export function candidates(logits: Float32Array, options: SamplingOptions): Candidates {
  const highest = logits[likeliest(logits)]!;
  const { temperature, topK, topP, minP } = options;
  const tokens = topK > 0 && topK < logits.length ? topTokens(logits, topK) : allTokens(logits.length);
  const weights = new Float64Array(tokens.length);
  let total = 0;
  for (let i = 0; i < tokens.length; i++) {
    total += weights[i] = Math.exp((logits[tokens[i]!]! - highest) / temperature);
  }
  // The likeliest has weight 1, so min-p compares weights as they are.
  const order = likeliestUpTo(weights, topP < 1 ? topP * total : Infinity, minP);
  let kept = 0;
  for (let i = 0; i < order.length; i++) kept += weights[order[i]!]!;
  const chosen = new Int32Array(order.length);
  const probabilities = new Float64Array(order.length);
  for (let i = 0; i < order.length; i++) {
    chosen[i] = tokens[order[i]!]!;
    probabilities[i] = weights[order[i]!]! / kept;
  }
  return { tokens: chosen, probabilities };
}

function allTokens(count: number): Int32Array {
  const tokens = new Int32Array(count);
  for (let i = 0; i < count; i++) tokens[i] = i;
  return tokens;
}

/** The k tokens with the largest logits and, like transformers, those that tie with the k-th. */
function topTokens(logits: Float32Array, k: number): Int32Array {
  const floor = kthLargest(logits, k);
  const tokens: number[] = [];
  for (let i = 0; i < logits.length; i++) if (logits[i]! >= floor) tokens.push(i);
  return Int32Array.from(tokens);
}

function notFinite(logits: Float32Array): WpError {
  let notNumbers = 0;
  let infinite = 0;
  for (const logit of logits) {
    if (Number.isNaN(logit)) notNumbers++;
    else if (logit === Infinity) infinite++;
  }
  const what =
    notNumbers > 0 ? `${notNumbers} are not numbers` : infinite > 0 ? `${infinite} are infinite` : 'none is above −∞';
  return new WpError(
    'internal',
    `The model computed logits that cannot be sampled: of ${logits.length}, ${what}.`,
    'Try another backend or precision. If that helps, please report the model, the device and both settings.',
    { vocabulary: logits.length, notNumbers, infinite },
  );
}
