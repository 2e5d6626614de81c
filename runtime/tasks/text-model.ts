// What the tasks of text encoders share: the model that they work on, and texts as its sequences.

import { WpError } from '../errors.ts';
import type { TextSequence } from '../models/encoders/index.ts';
import { encodeCut } from '../processing/cut-text.ts';
import { applyTemplate, specialTokens, type SequenceTemplate } from '../processing/sequence-template.ts';
import type { TextTokenizer } from '../processing/tokenizer.ts';
import type { EncoderInfo } from '../types.ts';
import type { EncoderSession } from './encoder-session.ts';

export interface EncoderTextModel {
  info: EncoderInfo;
  session: Pick<EncoderSession, 'run'>;
  tokenizer: TextTokenizer;
  template: SequenceTemplate;
  lowerCase: boolean;
}

export interface PreparedText extends TextSequence {
  ids: number[];
  isTruncated: boolean;
  /** Of the text's own tokens, among those that the model puts around it: the first one's place, and how many. */
  firstToken: number;
  tokens: number;
}

/** Throws `invalid-argument` for what is not a list of texts. */
export function checkTexts(texts: unknown, name: string): asserts texts is readonly string[] {
  const bad = Array.isArray(texts) ? texts.findIndex((text) => typeof text !== 'string') : 0;
  if (bad < 0) return;
  const actual: unknown = Array.isArray(texts) ? texts[bad] : texts;
  throw new WpError(
    'invalid-argument',
    Array.isArray(texts)
      ? `${name}[${bad}] is ${actual === null ? 'null' : typeof actual}; it must be a text.`
      : `${name} is ${typeof texts}; it must be a text or a list of texts.`,
    'Pass strings.',
    { actual: typeof actual, index: bad },
  );
}

/** A text with its special tokens, cut to what the model takes. `invalid-argument` when nothing of it is a token. */
export function prepareText(model: EncoderTextModel, text: string, index: number): PreparedText {
  const { tokenizer, template, info } = model;
  const room = info.maxTokens - specialTokens(template.single);
  const { ids, isTruncated } = encodeCut(tokenizer, cased(model, text), Math.max(0, room));
  const firstToken = template.single.findIndex((part) => 'text' in part);
  return checked({ ...applyTemplate(template.single, [ids]), isTruncated, firstToken, tokens: ids.length }, index);
}

/** A pair of texts: the second one is cut, the first one only where it leaves no room. */
export function preparePair(model: EncoderTextModel, first: string, second: string, index: number): TextSequence {
  const { tokenizer, template, info } = model;
  const room = Math.max(0, info.maxTokens - specialTokens(template.pair));
  const a = encodeCut(tokenizer, cased(model, first), room);
  const b = encodeCut(tokenizer, cased(model, second), room - a.ids.length);
  const sequence = applyTemplate(template.pair, [a.ids, b.ids]);
  if (sequence.ids.length === 0) throw emptyText(index);
  return sequence;
}

/** Throws `unsupported-operation` with what the model can do instead. */
export function requireTask({ tasks }: EncoderInfo, task: EncoderInfo['tasks'][number]): void {
  if (tasks.includes(task)) return;
  throw new WpError(
    'unsupported-operation',
    `This model cannot ${task}; it can ${tasks.join(' and ')}.`,
    'Load a model that was made for it.',
    { actual: task, allowed: tasks },
  );
}

/** A text in the case that the model reads. */
export function cased({ lowerCase }: EncoderTextModel, text: string): string {
  return lowerCase ? text.toLowerCase() : text;
}

function checked(prepared: PreparedText, index: number): PreparedText {
  if (prepared.ids.length > 0) return prepared;
  throw emptyText(index);
}

function emptyText(index: number): WpError {
  return new WpError(
    'invalid-argument',
    `Text ${index} is empty: it has no tokens, and the model puts none around it.`,
    'Leave empty texts out.',
    { index },
  );
}
