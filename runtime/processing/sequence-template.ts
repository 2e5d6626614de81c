// What a model puts around a text, or around a pair of texts: the special tokens of tokenizer.json's post-processor, as data.
// With it, a text can be cut to the length that the model takes before they are added.

import { WpError } from '../errors.ts';
import { isRecord } from './json.ts';

/** A special token, or the place of the first or the second text. */
type Part = { id: number; typeId: number } | { text: 0 | 1; typeId: number };

export interface SequenceTemplate {
  single: readonly Part[];
  pair: readonly Part[];
}

export interface TemplatedSequence {
  ids: number[];
  typeIds: number[];
}

/** Throws `unsupported-config` for a post-processor that is not known, `corrupt-file` for one that contradicts its format. */
export function readSequenceTemplate(tokenizerJson: unknown): SequenceTemplate {
  const processor = isRecord(tokenizerJson) ? tokenizerJson.post_processor : undefined;
  return read(processor ?? null) ?? PLAIN;
}

/** Special tokens that a text, or a pair, is given. */
export function specialTokens(parts: readonly Part[]): number {
  return parts.filter((part) => 'id' in part).length;
}

export function applyTemplate(parts: readonly Part[], texts: readonly (readonly number[])[]): TemplatedSequence {
  const ids: number[] = [];
  const typeIds: number[] = [];
  for (const part of parts) {
    for (const id of 'id' in part ? [part.id] : texts[part.text]!) {
      ids.push(id);
      typeIds.push(part.typeId);
    }
  }
  return { ids, typeIds };
}

const FIRST: Part = { text: 0, typeId: 0 };
const PLAIN: SequenceTemplate = { single: [FIRST], pair: [FIRST, { text: 1, typeId: 1 }] };

function read(processor: unknown): SequenceTemplate | undefined {
  if (processor === null) return undefined;
  if (!isRecord(processor)) throw corrupt('is not an object');
  switch (processor.type) {
    case 'ByteLevel':
      return undefined;
    case 'Sequence': {
      if (!Array.isArray(processor.processors)) throw corrupt('has no list of processors');
      const templates = processor.processors.map(read).filter((template) => template !== undefined);
      if (templates.length > 1) throw corrupt('puts special tokens around a text twice');
      return templates[0];
    }
    case 'BertProcessing': {
      const [begin, end] = [token(processor.cls, 0), token(processor.sep, 0)];
      const single = [begin, FIRST, end];
      return { single, pair: [...single, { text: 1, typeId: 1 }, { ...end, typeId: 1 }] };
    }
    case 'RobertaProcessing': {
      const [begin, end] = [token(processor.cls, 0), token(processor.sep, 0)];
      const single = [begin, FIRST, end];
      return { single, pair: [...single, end, { text: 1, typeId: 0 }, end] };
    }
    case 'TemplateProcessing':
      return {
        single: pieces(processor.single, processor.special_tokens),
        pair: pieces(processor.pair ?? [], processor.special_tokens),
      };
    default:
      throw new WpError(
        'unsupported-config',
        `tokenizer.json has a post-processor of the type ${JSON.stringify(processor.type)}, which is not supported.`,
        'Supported: TemplateProcessing, BertProcessing, RobertaProcessing, ByteLevel and sequences of them.',
        { actual: processor.type },
      );
  }
}

/** ["[CLS]", 101] */
function token(pair: unknown, typeId: number): { id: number; typeId: number } {
  const id: unknown = Array.isArray(pair) ? pair[1] : undefined;
  if (!isId(id)) throw corrupt('names no special token');
  return { id, typeId };
}

function pieces(list: unknown, specials: unknown): Part[] {
  if (!Array.isArray(list)) throw corrupt('has no list of pieces');
  return list.flatMap((piece: unknown): Part[] => {
    if (!isRecord(piece)) throw corrupt('has a piece that is not an object');
    const described = piece.Sequence ?? piece.SpecialToken;
    if (!isRecord(described) || !isId(described.type_id)) throw corrupt('has a piece without a type_id');
    const typeId = described.type_id;
    if (piece.Sequence) return [{ text: described.id === 'B' ? 1 : 0, typeId }];
    const special = isRecord(specials) ? specials[String(described.id)] : undefined;
    const ids: unknown = isRecord(special) ? special.ids : undefined;
    if (!Array.isArray(ids) || !ids.every(isId)) throw corrupt(`does not say which token ${String(described.id)} is`);
    return ids.map((id: number) => ({ id, typeId }));
  });
}

function isId(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0;
}

function corrupt(reason: string): WpError {
  return new WpError(
    'corrupt-file',
    `tokenizer.json cannot be read: its post-processor ${reason}.`,
    'Download the file again, or take it from the original repository of the model.',
    { file: 'tokenizer.json', reason },
  );
}
