// From texts that stand one after another to rectangles: WebNN's graphs have fixed shapes, so that a step is cut into batches of
// texts of like length, each in the least of a few shapes that holds it.

import { WpError } from '../../errors.ts';
import { unsupported } from './support.ts';

/** Shapes that graphs are compiled for: texts × tokens of a text. */
const LENGTHS = [16, 32, 64, 128, 256, 512];
const BATCHES = [1, 4, 8, 32];
/** A batch that fills less than this of the next shape is cut in two instead. */
const LEAST_FILLED = 0.6;

/** The shape of a compiled graph; zeros where its model has no such rows. */
export interface Shape {
  batch: number;
  length: number;
  outputs: number;
}

export const rowsOf = ({ batch, length }: Shape): number => batch * length;

export interface Text {
  /** Rows of the step. */
  first: number;
  end: number;
  /** Outputs of the step that are read from these rows. */
  outputs: number[];
}

/** Some texts of a step in one shape: text i has rows i·length … of the rectangle, and what is left is padding. */
export interface Rectangle {
  shape: Shape;
  texts: readonly Text[];
  /** Rows of the whole step. */
  tokens: number;
}

/** The texts that `spans` [tokens, 2] tells of: runs of rows that see one another and nothing else. */
export function textsOf(spans: Int32Array): Text[] {
  const texts: Text[] = [];
  const rows = spans.length / 2;
  for (let first = 0; first < rows;) {
    const end = spans[2 * first + 1]!;
    let isText = end > first && end <= rows;
    for (let row = first; isText && row < end; row++) {
      isText = spans[2 * row] === first && spans[2 * row + 1] === end;
    }
    if (!isText) throw unsupported('no attention over rows that are not one text after another');
    texts.push({ first, end, outputs: [] });
    first = end;
  }
  return texts;
}

/** Gives each output to its text: rows first … end − 1 are what it reads. */
export function placeOutputs(texts: readonly Text[], outputs: readonly { first: number; end: number }[]): void {
  outputs.forEach(({ first, end }, i) => {
    const text = texts.find((candidate) => first >= candidate.first && end <= candidate.end);
    if (!text) throw unsupported('no output that reads several texts');
    text.outputs.push(i);
  });
}

/** `maxRows`: rows that one rectangle may have, padding included, unless one text needs more. */
export function rectangles(texts: readonly Text[], maxRows: number): Rectangle[] {
  const sorted = [...texts].sort((a, b) => b.end - b.first - (a.end - a.first));
  const parts: Rectangle[] = [];
  const tokens = texts.reduce((sum, { first, end }) => sum + end - first, 0);
  for (let at = 0; at < sorted.length;) {
    const length = leastLength(sorted[at]!.end - sorted[at]!.first);
    let like = at;
    while (like < sorted.length && leastLength(sorted[like]!.end - sorted[like]!.first) === length) like += 1;
    const count = like - at;
    const most = BATCHES.filter((batch) => batch * length <= maxRows).at(-1) ?? 1;
    const batch = batchFor(Math.min(count, most));
    const part = sorted.slice(at, at + Math.min(count, batch));
    const outputs = part.reduce((sum, text) => sum + text.outputs.length, 0);
    const shape = { batch, length, outputs: outputs <= batch ? batch : powerOfTwo(outputs) };
    parts.push({ shape, texts: part, tokens });
    at += part.length;
  }
  return parts;
}

/** The least length that is compiled for and holds so many tokens. */
export function leastLength(tokens: number): number {
  const longest = LENGTHS.at(-1)!;
  return LENGTHS.find((length) => length >= tokens) ?? Math.ceil(tokens / longest) * longest;
}

/** The least batch that holds so many, or a smaller one where that would be mostly padding. */
function batchFor(count: number): number {
  const holding = BATCHES.find((batch) => batch >= count);
  if (holding !== undefined && count / holding >= LEAST_FILLED) return holding;
  const smaller = BATCHES.filter((batch) => batch <= count).at(-1);
  if (smaller !== undefined) return smaller;
  throw new WpError('internal', `A batch of ${count} texts.`);
}

const powerOfTwo = (least: number): number => 2 ** Math.ceil(Math.log2(least));
