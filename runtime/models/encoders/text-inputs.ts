// From token ids to the inputs of a text encoder's step (text-encoder.ts says what each is).

import { WpError } from '../../errors.ts';
import type { Graph } from '../../graph/types.ts';
import type { TextConfig } from './text-config.ts';
import { rotaryBases, type Pooling } from './text-encoder.ts';

/** A program's inputs by name; sizes follow from the lengths. */
export type EncoderInputs = Record<string, Int32Array<ArrayBuffer> | Float32Array<ArrayBuffer>>;

export interface TextSequence {
  /** With the special tokens that the tokenizer adds, without padding. */
  ids: readonly number[] | Int32Array;
  /** Which segment each token belongs to; zeros when left out. */
  typeIds?: readonly number[] | Int32Array | undefined;
}

/**
 * The inputs of one step for these texts, in order: row i of `pooled`, `embedding` and sequence `logits` is text i. Throws
 * `invalid-argument` for an empty text, one that is longer than the model's positions, or an id outside the vocabulary.
 */
export function textInputs(
  config: TextConfig,
  graph: Graph,
  sequences: readonly TextSequence[],
  pooling?: Pooling,
): EncoderInputs {
  const texts = sequences.map((sequence, i) => padded(checked(sequence, i, config), config));
  const tokens = texts.reduce((sum, { ids }) => sum + ids.length, 0);
  const inputs = {
    tokenIds: new Int32Array(tokens),
    tokenTypeIds: new Int32Array(tokens),
    positionIds: new Int32Array(tokens),
    spans: new Int32Array(2 * tokens),
    ranges: new Int32Array(2 * texts.length),
    rows: new Int32Array(texts.length),
  };
  let first = 0;
  texts.forEach(({ ids, typeIds }, i) => {
    const end = first + ids.length;
    inputs.tokenIds.set(ids, first);
    if (typeIds) inputs.tokenTypeIds.set(typeIds, first);
    for (let row = first; row < end; row++) {
      inputs.positionIds[row] = config.firstPosition + row - first;
      inputs.spans[2 * row] = first;
      inputs.spans[2 * row + 1] = end;
    }
    inputs.ranges.set([first, end], 2 * i);
    inputs.rows[i] = first + pooledRow(ids, config, pooling);
    first = end;
  });
  const positions = inputs.positionIds.map((position) => position - config.firstPosition);
  const all: EncoderInputs = { ...inputs };
  rotaryBases(config).forEach((base, i) => (all[`rotary${i}`] = rotations(positions, base, config.headDim)));
  if (config.relativeBias) all['buckets'] = distanceBuckets(config.relativeBias);
  return Object.fromEntries(Object.keys(graph.inputs).map((name) => [name, all[name]!]));
}

/** The row of a text that stands for it: what the model's pooler reads, or what `pooling` says. */
function pooledRow(ids: ArrayLike<number>, { pooledToken, endToken }: TextConfig, pooling: Pooling | undefined): number {
  if (pooling === 'first') return 0;
  if (pooling === 'last' || pooledToken === 'last') return ids.length - 1;
  if (pooledToken === 'first') return 0;
  let best = 0;
  for (let i = 0; i < ids.length; i++) {
    if (pooledToken === 'end-token' && ids[i] === endToken) return i;
    if (pooledToken === 'largest-id' && ids[i]! > ids[best]!) best = i;
  }
  return best;
}

function padded({ ids, typeIds }: TextSequence, { paddedLength, padToken }: TextConfig): TextSequence {
  if (paddedLength === undefined || ids.length >= paddedLength) return { ids, typeIds };
  return { ids: [...ids, ...Array.from({ length: paddedLength - ids.length }, () => padToken)], typeIds };
}

function checked(sequence: TextSequence, index: number, config: TextConfig): TextSequence {
  const { ids, typeIds } = sequence;
  const fail = (message: string, actual: unknown, allowed: unknown): never => {
    throw new WpError('invalid-argument', `Text ${index} ${message}`, 'Cut long texts before they are encoded.', {
      actual,
      allowed,
    });
  };
  if (ids.length === 0) fail('has no tokens.', 0, '1 or more');
  if (ids.length > config.maxTokens) {
    fail(`has ${ids.length} tokens; the model takes ${config.maxTokens}.`, ids.length, config.maxTokens);
  }
  for (const id of ids) {
    const isKnown = Number.isInteger(id) && id >= 0 && id < config.vocabularySize;
    if (!isKnown) fail(`has the token id ${id}; the vocabulary has ${config.vocabularySize}.`, id, config.vocabularySize);
  }
  if (typeIds && typeIds.length !== ids.length) fail(`has ${typeIds.length} type ids.`, typeIds.length, ids.length);
  for (const id of config.tokenTypes > 0 ? (typeIds ?? []) : []) {
    if (!(id >= 0 && id < config.tokenTypes)) fail(`has the type id ${id}.`, id, config.tokenTypes);
  }
  return sequence;
}

/** Cos and sin of each position's angles: [positions, headDim], the first half of a row cos. */
function rotations(positions: Int32Array, base: number, headDim: number): Float32Array<ArrayBuffer> {
  const half = headDim / 2;
  const rows = new Float32Array(positions.length * headDim);
  positions.forEach((position, row) => {
    for (let i = 0; i < half; i++) {
      // The frequencies are f32 in the models that were trained.
      const angle = Math.fround(position * Math.fround(1 / base ** (i / half)));
      rows[row * headDim + i] = Math.cos(angle);
      rows[row * headDim + half + i] = Math.sin(angle);
    }
  });
  return rows;
}

/**
 * The bucket of each distance (key − query) −maxDistance … maxDistance, as T5 has them: half of the buckets for either side,
 * one a distance up to a quarter of them, then wider and wider. Source: https://arxiv.org/abs/1910.10683.
 */
export function distanceBuckets({ buckets, maxDistance }: { buckets: number; maxDistance: number }): Int32Array<ArrayBuffer> {
  const side = buckets >> 1;
  const exact = side >> 1;
  return Int32Array.from({ length: 2 * maxDistance + 1 }, (_, i) => {
    const distance = Math.abs(i - maxDistance);
    const ahead = i > maxDistance ? side : 0;
    if (distance < exact) return ahead + distance;
    const wide = Math.fround(
      Math.fround(Math.fround(Math.log(Math.fround(distance / exact))) / Math.log(maxDistance / exact)) * (side - exact),
    );
    return ahead + Math.min(side - 1, exact + Math.trunc(wide));
  });
}
