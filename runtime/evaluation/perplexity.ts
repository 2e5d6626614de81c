// How surprised a model is by a text, measured as llama.cpp's `llama-perplexity` does, so that figures can be set side by side:
// the text is cut into windows that share nothing, and in each only the tokens of the second half count, which have at least
// half a window before them. No beginning-of-sequence token is put in front.

import { throwIfAborted, WpError } from '../errors.ts';

export interface PerplexityOptions {
  /** Tokens of a window. Default 512. */
  window?: number | undefined;
  /** The most windows to read. Default: as many whole ones as the text has. */
  windows?: number | undefined;
  /** Called after each window with what has been measured until then. */
  onProgress?: ((sofar: Perplexity) => void) | undefined;
  signal?: AbortSignal | undefined;
}

export interface Perplexity {
  /** e^loss. */
  perplexity: number;
  /** Mean of −ln p(token), nats a token. */
  loss: number;
  /** One standard error of the perplexity, tokens taken as independent. */
  standardError: number;
  /** Tokens that counted. */
  tokens: number;
  windows: number;
}

/**
 * The perplexity of a model on tokens. `logits` gives [tokens.length, vocabulary] for a window: `Model.logits` does.
 * Throws `invalid-argument` when the text is shorter than a window.
 */
export async function measurePerplexity(
  logits: (tokens: readonly number[]) => Promise<Float32Array>,
  tokens: readonly number[],
  { window = 512, windows = Infinity, onProgress, signal }: PerplexityOptions = {},
): Promise<Perplexity> {
  const count = Math.min(windows, Math.floor(tokens.length / window));
  if (count < 1 || window < 4) {
    throw new WpError(
      'invalid-argument',
      `A text of ${tokens.length} tokens has no window of ${window}.`,
      'Measure on a longer text, or in shorter windows.',
      { actual: tokens.length, allowed: `at least ${window}` },
    );
  }
  const first = Math.floor(window / 2);
  let sum = 0;
  let squares = 0;
  let counted = 0;
  const sofar = (done: number): Perplexity => {
    const loss = sum / counted;
    const variance = squares / counted - loss * loss;
    const standardError = counted > 1 && variance > 0 ? Math.exp(loss) * Math.sqrt(variance / (counted - 1)) : 0;
    return { perplexity: Math.exp(loss), loss, standardError, tokens: counted, windows: done };
  };
  for (let i = 0; i < count; i++) {
    throwIfAborted(signal);
    const part = tokens.slice(i * window, (i + 1) * window);
    const all = await logits(part);
    const vocabulary = all.length / part.length;
    for (let row = first; row + 1 < part.length; row++) {
      const loss = -logProbability(all, row * vocabulary, vocabulary, part[row + 1]!);
      sum += loss;
      squares += loss * loss;
      counted += 1;
    }
    onProgress?.(sofar(i + 1));
  }
  return sofar(count);
}

/** ln softmax(logits of one row)[token], in float64. */
function logProbability(logits: Float32Array, start: number, vocabulary: number, token: number): number {
  let highest = -Infinity;
  for (let i = start; i < start + vocabulary; i++) if (logits[i]! > highest) highest = logits[i]!;
  let sum = 0;
  for (let i = start; i < start + vocabulary; i++) sum += Math.exp(logits[i]! - highest);
  return logits[start + token]! - highest - Math.log(sum);
}
