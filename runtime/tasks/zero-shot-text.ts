// Texts to labels that the model was never taught, by one that was taught whether a text entails another (NLI): each label is put
// into a sentence, and how likely the text entails it is the label's score.

import { WpError } from '../errors.ts';
import type { Classification } from '../model.ts';
import { encodeCut } from '../processing/cut-text.ts';
import { applyTemplate, specialTokens } from '../processing/sequence-template.ts';
import type { RunOptions } from './encoder-session.ts';
import { softmax } from './probabilities.ts';
import { cased, checkTexts, type EncoderTextModel, requireTask } from './text-model.ts';

/** transformers' */
export const HYPOTHESIS_TEMPLATE = 'This example is {}.';

export interface ZeroShotTextWish {
  /** The sentence that a label is put into, at `{}`. */
  template?: string | undefined;
  /** Several labels may be true: each is weighed against its contradiction, and not against the others. */
  multiLabel?: boolean | undefined;
}

/** Whether a classifier's labels are those of NLI. */
export function entails(labels: readonly string[]): boolean {
  return labels.length > 1 && entailmentOf(labels) >= 0;
}

/**
 * For each text all labels, likeliest first. A text is cut where it leaves no room for a label's sentence; `invalid-argument` for a
 * label that is longer than the model takes.
 */
export async function zeroShotTexts(
  model: EncoderTextModel,
  texts: readonly string[],
  labels: readonly string[],
  { template = HYPOTHESIS_TEMPLATE, multiLabel = false }: ZeroShotTextWish,
  { signal, onProgress }: RunOptions,
): Promise<Classification[][]> {
  requireTask(model.info, 'zeroShot');
  checkTexts(texts, 'texts');
  checkTexts(labels, 'labels');
  if (labels.length === 0) throw invalid('There are no labels.', 'Pass at least one.', labels);
  if (typeof template !== 'string' || !template.includes('{}')) {
    throw invalid(
      `template is ${JSON.stringify(template)}.`,
      'It must be a text with {} where the label goes.',
      template,
    );
  }
  const pairs = pairTexts(model, texts, labels, template);
  const logits = await model.session.run(pairs, 'logits', {
    signal,
    onProgress: (done) => onProgress?.(Math.floor(done / labels.length), texts.length),
  });
  const width = model.info.labels.length;
  const entailment = entailmentOf(model.info.labels);
  const contradiction = contradictionOf(model.info.labels, entailment);
  return texts.map((_, i) => {
    const rows = labels.map((_label, j) =>
      logits.subarray((i * labels.length + j) * width, (i * labels.length + j + 1) * width),
    );
    const scores =
      multiLabel || labels.length === 1
        ? rows.map((row) => softmax([row[contradiction]!, row[entailment]!])[1]!)
        : softmax(rows.map((row) => row[entailment]!));
    return labels.map((label, j) => ({ label, score: scores[j]! })).sort((a, b) => b.score - a.score);
  });
}

/** Each text with each label's sentence. */
function pairTexts(model: EncoderTextModel, texts: readonly string[], labels: readonly string[], template: string) {
  const {
    tokenizer,
    template: { pair },
    info,
  } = model;
  const room = Math.max(0, info.maxTokens - specialTokens(pair));
  const hypotheses = labels.map((label, index) => {
    const { ids, isTruncated } = encodeCut(
      tokenizer,
      cased(
        model,
        template.replaceAll('{}', () => label),
      ),
      room,
    );
    if (!isTruncated) return ids;
    const hint = `The model takes ${info.maxTokens} tokens, the text and the label’s sentence together.`;
    throw invalid(`Label ${index} is longer than the model takes.`, hint, index);
  });
  return texts.flatMap((text) => {
    const premise = encodeCut(tokenizer, cased(model, text), room).ids;
    return hypotheses.map((ids) => applyTemplate(pair, [premise.slice(0, room - ids.length), ids]));
  });
}

function entailmentOf(labels: readonly string[]): number {
  return labels.findIndex((label) => label.toLowerCase().startsWith('entail'));
}

/** By its name, else transformers' way: the first label, or the last one where the first is the entailment. */
function contradictionOf(labels: readonly string[], entailment: number): number {
  const named = labels.findIndex((label) => label.toLowerCase().startsWith('contra'));
  if (named >= 0) return named;
  return entailment === 0 ? labels.length - 1 : 0;
}

function invalid(message: string, hint: string, actual: unknown): WpError {
  return new WpError('invalid-argument', message, hint, { actual });
}
