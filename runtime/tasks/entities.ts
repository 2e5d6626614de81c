// Labels of tokens to entities: what begins with B- or goes on with I- becomes one. The rules are those of transformers'
// token classification, so that a checkpoint's entities are the same here.

import type { Aggregation } from '../model.ts';

export interface LabelledToken {
  /** A probability for each label. */
  scores: readonly number[];
  /** In UTF-16 units of the text. */
  start: number;
  end: number;
  /** It goes on with the word of the token before. */
  isSubword: boolean;
}

export interface Entity {
  label: string;
  score: number;
  start: number;
  end: number;
}

/** What is outside of all entities. */
const OUTSIDE = 'O';

/** The entities of a text, in its order. */
export function findEntities(
  tokens: readonly LabelledToken[],
  labels: readonly string[],
  aggregation: Aggregation,
): Entity[] {
  const isByToken = aggregation === 'none' || aggregation === 'simple';
  const labelled = isByToken
    ? tokens.map((token) => entityOf([token], token.scores, labels))
    : wordsOf(tokens).map((word) => entityOf(word, scoresOf(word, aggregation), labels));
  const entities = aggregation === 'none' ? labelled : group(labelled);
  return entities.filter(({ label }) => label !== OUTSIDE);
}

function wordsOf(tokens: readonly LabelledToken[]): LabelledToken[][] {
  const words: LabelledToken[][] = [];
  for (const token of tokens) {
    const word = words.at(-1);
    if (word && token.isSubword) word.push(token);
    else words.push([token]);
  }
  return words;
}

/** A word's scores: its first token's, its surest token's, or the mean of all. */
function scoresOf(word: readonly LabelledToken[], aggregation: 'first' | 'average' | 'max'): readonly number[] {
  if (aggregation === 'first') return word[0]!.scores;
  if (aggregation === 'average') {
    return word[0]!.scores.map((_, i) => word.reduce((sum, { scores }) => sum + scores[i]!, 0) / word.length);
  }
  return word.reduce((best, token) => (Math.max(...token.scores) > Math.max(...best.scores) ? token : best)).scores;
}

function entityOf(tokens: readonly LabelledToken[], scores: readonly number[], labels: readonly string[]): Entity {
  const score = Math.max(...scores);
  return { label: labels[scores.indexOf(score)]!, score, start: tokens[0]!.start, end: tokens.at(-1)!.end };
}

/** Neighbours of one kind, up to the next beginning. */
function group(entities: readonly Entity[]): Entity[] {
  const groups: Entity[][] = [];
  for (const entity of entities) {
    const before = groups.at(-1);
    const goesOn = before && kindOf(before.at(-1)!) === kindOf(entity) && !entity.label.startsWith('B-');
    if (goesOn) before.push(entity);
    else groups.push([entity]);
  }
  return groups.map((parts) => ({
    label: kindOf(parts[0]!),
    score: parts.reduce((sum, { score }) => sum + score, 0) / parts.length,
    start: parts[0]!.start,
    end: parts.at(-1)!.end,
  }));
}

/** A label without its B- or I-. */
function kindOf({ label }: Entity): string {
  return label.replace(/^[BI]-/, '');
}
