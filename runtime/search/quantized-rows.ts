// Vectors as int8 codes, a quarter of the bytes, with a bound on how far a score of codes can be from the score of the
// numbers. The bound is what keeps the search exact: rows whose best possible score cannot be among the best are passed by,
// and the others are compared as they are.

import { WpError } from '../errors.ts';

/** Columns of codes: whole vectors of 16. */
export const strideOf = (dimensions: number): number => Math.ceil(dimensions / 16) * 16;

/** Rows that are quantised, and written to a device, at once. */
export const BLOCK_ROWS = 1024;

/** Longer vectors could leave the range of f32 where they are multiplied. */
const MAX_LENGTH = 1e6;

/** Scores may be off by this much beside their radius: f32 has no smaller steps where numbers are tiny. */
export const TINY_SCORE = 1e-24;

/** Vectors of smaller numbers have no codes. */
const LEAST_SCALE = 1e-30;

const MAX_CODE = 127;

/** Up to BLOCK_ROWS rows. */
export interface CodeBlock {
  /** int8 [rows, stride]. */
  codes: Int8Array<ArrayBuffer>;
  /** f32 [rows, 2]: a row's scale, and its radius: |score of codes − score| ≤ radius × length of the query. */
  scales: Float32Array<ArrayBuffer>;
}

export interface CodedQuery {
  /** int16 [stride]: `codes × scale` is nearly the query. */
  codes: Int16Array<ArrayBuffer>;
  scale: number;
  /** f32 [stride], zeros behind the numbers. */
  numbers: Float32Array<ArrayBuffer>;
  length: number;
}

/** The largest code of a query with which the products of a row add up within 32 bits. */
const maxQueryCode = (stride: number): number => Math.min(32767, Math.floor(2 ** 31 / (MAX_CODE * stride)) - 1);

/** What a score loses beside the rows' codes, in parts of both lengths: codes of the query, and sums in f32. */
const slackOf = (stride: number): number => Math.sqrt(stride) / (2 * maxQueryCode(stride)) + (stride + 16) * 2 ** -22;

/** Rows `from` to `to` of `vectors`, into the beginning of `block`. Throws `invalid-argument` for what is no finite number. */
export function quantizeRows(
  vectors: Float32Array,
  dimensions: number,
  from: number,
  to: number,
  { codes, scales }: CodeBlock,
): void {
  const stride = strideOf(dimensions);
  const slack = slackOf(stride);
  for (let row = from; row < to; row++) {
    const start = row * dimensions;
    let most = 0;
    let square = 0;
    for (let i = start; i < start + dimensions; i++) {
      const number = vectors[i]!;
      square += number * number;
      most = Math.max(most, Math.abs(number));
    }
    if (!(square <= MAX_LENGTH ** 2)) throw outOfRange(`Vector ${row}`);
    const scale = Math.fround(most / MAX_CODE);
    // A vector this short has zeros for codes, and all of it for its radius.
    const inverse = scale > LEAST_SCALE ? 1 / scale : 0;
    let out = (row - from) * stride;
    let residue = 0;
    for (let i = start; i < start + dimensions; i++) {
      const number = vectors[i]!;
      // Rounded by cutting off what is above zero: many times as fast as Math.round.
      const code = ((number * inverse + (MAX_CODE + 0.5)) | 0) - MAX_CODE;
      const difference = number - code * scale;
      codes[out++] = code;
      residue += difference * difference;
    }
    codes.fill(0, out, (row - from + 1) * stride);
    const radius = Math.sqrt(residue) * (1 + slack) + slack * Math.sqrt(square);
    scales[(row - from) * 2] = inverse === 0 ? 0 : scale;
    scales[(row - from) * 2 + 1] = radius * (1 + 2 ** -20);
  }
}

/** Throws `invalid-argument` for a query of another length, or of numbers that are not finite. */
export function codeQuery(query: Float32Array, dimensions: number): CodedQuery {
  if (query.length !== dimensions) {
    throw new WpError(
      'invalid-argument',
      `The query has ${query.length} numbers; the vectors have ${dimensions}.`,
      'Embed the query with the model and the dimensions of the vectors.',
      { actual: query.length, allowed: dimensions },
    );
  }
  const stride = strideOf(dimensions);
  const most = query.reduce((largest, number) => Math.max(largest, Math.abs(number)), 0);
  const length = Math.sqrt(query.reduce((sum, number) => sum + number * number, 0));
  if (!(length <= MAX_LENGTH)) throw outOfRange('The query');
  const scale = Math.max(most / maxQueryCode(stride), Number.MIN_VALUE);
  const codes = new Int16Array(stride);
  query.forEach((number, i) => (codes[i] = Math.round(number / scale)));
  const numbers = new Float32Array(stride);
  numbers.set(query);
  return { codes, scale, numbers, length };
}

function outOfRange(what: string): WpError {
  return new WpError(
    'invalid-argument',
    `${what} has a number that is not finite, or is longer than ${MAX_LENGTH}.`,
    'Vectors of an encoder are of length 1.',
  );
}
