// What a graph is fed in each run: the step's inputs, put to the places that they have in a rectangle, or what they mean there
// (spans become a mask, ranges a matrix that takes means).

import type { MLDataType } from './ml-api.ts';
import type { Rectangle } from './rectangles.ts';
import type { StepNumbers } from '../../graph/encoder-step.ts';

export interface Run {
  inputs: StepNumbers;
  /** Undefined for graphs whose shapes are all fixed. */
  rectangle: Rectangle | undefined;
}

export interface Feed {
  name: string;
  dataType: MLDataType;
  shape: readonly number[];
  fill(run: Run): Float32Array<ArrayBuffer> | Int32Array<ArrayBuffer>;
}

/** What a padded key's score gets added: its share becomes exactly zero, and no sum of two leaves the numbers' range. */
export const OUT_OF_SIGHT = { float32: -1e9, float16: -3e4 };

type Numbers = Float32Array<ArrayBuffer> | Int32Array<ArrayBuffer>;

/** Rows of tokens, each text from the first row of its place on; zeros in the padding. */
export function tokenRows(numbers: Float32Array | Int32Array, { shape, texts, tokens }: Rectangle): Numbers {
  const count = shape.batch * shape.length;
  const columns = numbers.length / tokens;
  const out = numbers instanceof Int32Array ? new Int32Array(count * columns) : new Float32Array(count * columns);
  texts.forEach(({ first, end }, i) => {
    out.set(numbers.subarray(first * columns, end * columns), i * shape.length * columns);
  });
  return out;
}

/** [batch, 1, 1, length]: 0 for a key that is there, `hidden` for padding. */
export function paddingMask({ shape, texts }: Rectangle, hidden: number): Float32Array<ArrayBuffer> {
  const mask = new Float32Array(shape.batch * shape.length).fill(hidden);
  texts.forEach(({ first, end }, i) => mask.fill(0, i * shape.length, i * shape.length + end - first));
  return mask;
}

/** The rectangle's outputs as indices of the step's, in order. */
export function outputsOf({ texts }: Rectangle): number[] {
  return texts.flatMap(({ outputs }) => outputs);
}

/** For each output the row of the rectangle that the step's row is. */
export function outputRows(rows: Int32Array, { shape, texts }: Rectangle): Int32Array<ArrayBuffer> {
  const out = new Int32Array(shape.outputs);
  let at = 0;
  texts.forEach(({ first, outputs }, i) => {
    for (const output of outputs) out[at++] = i * shape.length + rows[output]! - first;
  });
  return out;
}

/** [outputs, rows]: a row's product with the rows is the mean of its range. */
export function meanMatrix(
  ranges: Int32Array,
  rectangle: Rectangle | undefined,
  rows: number,
): Float32Array<ArrayBuffer> {
  const spans: { first: number; end: number }[] = [];
  if (rectangle) {
    rectangle.texts.forEach(({ first, outputs }, i) => {
      const shift = i * rectangle.shape.length - first;
      for (const output of outputs) {
        spans.push({ first: ranges[2 * output]! + shift, end: ranges[2 * output + 1]! + shift });
      }
    });
  } else {
    for (let i = 0; i < ranges.length; i += 2) spans.push({ first: ranges[i]!, end: ranges[i + 1]! });
  }
  const count = rectangle ? rectangle.shape.outputs : spans.length;
  const out = new Float32Array(count * rows);
  spans.forEach(({ first, end }, i) => out.fill(1 / (end - first), i * rows + first, i * rows + end));
  return out;
}
