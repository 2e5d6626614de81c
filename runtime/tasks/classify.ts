// Texts to classes, by a checkpoint with a classification head; and documents in the order of their fitness for a query, by one
// whose head has one class (a cross-encoder).

import type { Classification, RankedDocument } from '../model.ts';
import type { RunOptions } from './encoder-session.ts';
import { sigmoid, softmax } from './probabilities.ts';
import { checkTexts, preparePair, prepareText, requireTask, type EncoderTextModel } from './text-model.ts';

/** For each text its classes, likeliest first. `softmax` unless the checkpoint says that a text may have several classes. */
export async function classify(
  model: EncoderTextModel,
  texts: readonly string[],
  run: RunOptions,
): Promise<Classification[][]> {
  const { info, session } = model;
  requireTask(info, 'classify');
  checkTexts(texts, 'texts');
  const prepared = texts.map((text, i) => prepareText(model, text, i));
  const logits = await session.run(prepared, 'logits', run);
  const { labels, isMultiLabel } = info;
  return texts.map((_, i) => {
    const row = logits.subarray(i * labels.length, (i + 1) * labels.length);
    const scores = isMultiLabel ? Array.from(row, sigmoid) : softmax(row);
    return labels.map((label, j) => ({ label, score: scores[j]! })).sort((a, b) => b.score - a.score);
  });
}

/** Documents by descending score (a sigmoid's, 0 to 1). */
export async function rerank(
  model: EncoderTextModel,
  query: string,
  documents: readonly string[],
  run: RunOptions,
): Promise<RankedDocument[]> {
  requireTask(model.info, 'rerank');
  checkTexts([query], 'query');
  checkTexts(documents, 'documents');
  const prepared = documents.map((document, i) => preparePair(model, query, document, i));
  const logits = await model.session.run(prepared, 'logits', run);
  return Array.from(logits, (logit, index) => ({ index, score: sigmoid(logit) })).sort((a, b) => b.score - a.score);
}
