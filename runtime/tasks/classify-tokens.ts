// Texts to entities, by a checkpoint whose head labels tokens.

import type { Aggregation, Classification } from '../model.ts';
import { WpError } from '../errors.ts';
import type { EncoderSession, RunOptions } from './encoder-session.ts';
import { findEntities, type LabelledToken } from './entities.ts';
import { softmax } from './probabilities.ts';
import { checkTexts, type EncoderTextModel, type PreparedText, prepareText, requireTask } from './text-model.ts';
import { hasWordPieces, tokenSpans } from './token-spans.ts';

const AGGREGATIONS: readonly Aggregation[] = ['none', 'simple', 'first', 'average', 'max'];

/** For each text its entities, in its order: with `start`, `end` and `text`. Throws `invalid-argument` for an unknown aggregation. */
export async function classifyTokens(
  model: EncoderTextModel & { session: Pick<EncoderSession, 'runTokens'> },
  texts: readonly string[],
  aggregation: Aggregation = 'simple',
  run: RunOptions,
): Promise<Classification[][]> {
  requireTask(model.info, 'classify');
  checkTexts(texts, 'texts');
  if (!AGGREGATIONS.includes(aggregation)) {
    throw new WpError(
      'invalid-argument',
      `aggregation is ${JSON.stringify(aggregation)}; it must be one of ${AGGREGATIONS.join(', ')}.`,
      '',
      { actual: aggregation, allowed: AGGREGATIONS },
    );
  }
  const prepared = texts.map((text, i) => prepareText(model, text, i));
  const logits = await model.session.runTokens(prepared, 'logits', run);
  return texts.map((text, i) => {
    const tokens = labelTokens(model, text, prepared[i]!, logits[i]!);
    const entities = findEntities(tokens, model.info.labels, aggregation);
    return entities.map((entity) => ({ ...entity, text: text.slice(entity.start, entity.end) }));
  });
}

/** The text's own tokens; those that the model puts around it are left out. */
function labelTokens(
  { tokenizer, info }: EncoderTextModel,
  text: string,
  { ids, firstToken, tokens }: PreparedText,
  logits: Float32Array,
): LabelledToken[] {
  const own = ids.slice(firstToken, firstToken + tokens);
  const spans = tokenSpans(tokenizer, text, own);
  const isWordPiece = hasWordPieces(tokenizer, own);
  const width = info.labels.length;
  return spans.flatMap((span, i) => {
    const id = own[i]!;
    // A text may spell a special token.
    if (tokenizer.isSpecial(id) && id !== tokenizer.unknownId) return [];
    const at = (firstToken + i) * width;
    const isSubword = isWordPiece
      ? tokenizer.idToToken(id)!.startsWith('##')
      : id !== tokenizer.unknownId && span.start > 0 && !text.slice(span.start - 1, span.start + 1).includes(' ');
    return [{ ...span, scores: softmax(logits.subarray(at, at + width)), isSubword }];
  });
}
