// Ten prompts through the public API (templates, tokenizer, logits, greedy answers) against what transformers computed in
// f32 (test/fixtures/fable-25m/make.py). Node and browsers.

import type { ChatMessage, Model } from '../../runtime/index.ts';
import { argMax, relativeError } from './golden-decoder.ts';

export interface GoldenPrompt {
  messages?: readonly ChatMessage[];
  text?: string;
  tokens: number[];
  /** The greedy continuation, its end token left out. */
  greedy: number[];
  greedyText: string;
  ended: boolean;
}

export interface GoldenFile {
  vocabulary: number;
  prompts: GoldenPrompt[];
  text: { file: string; tokens: number; tokensSha256: string; window: number; loss: number; argMax: number[] };
}

/** What the issue allows f16 weights: norm of the difference over the norm of the golden. */
export const F16_TOLERANCE = 2e-3;

export interface PromptResult {
  /** Relative error of the logits after the prompt, by norm, and the largest difference over the largest logit. */
  error: number;
  largestError: number;
  isSameBest: boolean;
  /** Of the prompt as the model was given it. */
  promptTokens: number;
  text: string;
  completionTokens: number;
  finishReason: string;
}

/** The logits after the prompt, and the greedy answer of at most 64 tokens. */
export async function runPrompt(model: Model, prompt: GoldenPrompt, golden: Float32Array): Promise<PromptResult> {
  const all = await model.logits(prompt.tokens);
  const logits = all.subarray(-golden.length);
  const options = { temperature: 0, repetitionPenalty: 1, maxTokens: 64 };
  const parts = prompt.messages ? model.chat(prompt.messages, options) : model.complete(prompt.text!, options);
  let text = '';
  for await (const part of parts) {
    if (!part.done) {
      text += part.text;
      continue;
    }
    return {
      error: relativeError(logits, golden),
      largestError: largest(logits.map((x, i) => x - golden[i]!)) / largest(golden),
      isSameBest: argMax(logits) === argMax(golden),
      promptTokens: part.usage.promptTokens,
      text,
      completionTokens: part.usage.completionTokens,
      finishReason: part.finishReason,
    };
  }
  throw new Error('The stream ended without its last part.');
}

/** What of a result is not as it should be; empty when all is. */
export function judge(prompt: GoldenPrompt, result: PromptResult): string[] {
  const wrong: string[] = [];
  const expect = (what: string, actual: unknown, wanted: unknown): void => {
    if (actual !== wanted) wrong.push(`${what} is ${JSON.stringify(actual)}, not ${JSON.stringify(wanted)}`);
  };
  // Written so that a NaN is wrong.
  if (!(result.error <= F16_TOLERANCE)) wrong.push(`relative error ${result.error}`);
  if (!(result.largestError <= F16_TOLERANCE)) wrong.push(`largest error ${result.largestError} of the largest logit`);
  expect('the best token is the same', result.isSameBest, true);
  expect('the length of the prompt', result.promptTokens, prompt.tokens.length);
  expect('the answer', result.text, prompt.greedyText);
  expect('the number of tokens', result.completionTokens, prompt.greedy.length);
  expect('the end', result.finishReason, prompt.ended ? 'stop' : 'length');
  return wrong;
}

function largest(values: Float32Array): number {
  let most = 0;
  for (const value of values) if (!(Math.abs(value) <= most)) most = Math.abs(value);
  return most;
}
