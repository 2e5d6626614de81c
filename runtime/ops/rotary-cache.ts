import { roundToF16 } from '../half.ts';
import {
  expectDim,
  expectInputs,
  expectMatrix,
  expectThat,
  tensor,
  type OperationDefinition,
  type Tensor,
} from './operation.ts';
import { normRows } from './rms-norm.ts';

/**
 * Rotates queries and keys and writes keys and values to the caches.
 *
 * qkv [tokens, (heads + 2·keyValueHeads)·headDim]: a row is queries | keys | values, each by heads. rotary
 * [tokens, headDim]: a row is cos(headDim/2) | sin(headDim/2) of the token's position, scaling included. Result: rotated
 * queries [tokens, heads·headDim]. Or (queries, keys, values, rotary), as families write it: the pass fuse-qkv stacks the
 * three where their weights are of one kind.
 *
 * With queryNorm and keyNorm ([headDim]) each head's query and key is first normed (rmsNorm with epsilon). The rotation
 * pairs i with i + headDim/2, as Hugging Face checkpoints want it (rotate_half):
 *   out[i] = x[i]·cos[i] − x[i+h]·sin[i]        out[i+h] = x[i+h]·cos[i] + x[i]·sin[i]        h = headDim/2
 * Rotated keys and plain values are rounded to f16 and written at positions past … past + tokens − 1 of the states
 * [keyValueHeads, context, headDim]. Limits: headDim is even; past + tokens ≤ context.
 * Source: Su et al. 2021, https://arxiv.org/abs/2104.09864.
 */
export const rotaryCache: OperationDefinition<'rotaryCache'> = {
  name: 'rotaryCache',
  inputs: ['qkv', 'rotary'],
  outputs: ['queries'],
  weights: ({ queryNorm, keyNorm }) => [queryNorm, keyNorm].filter((name) => name !== undefined),
  states: ({ keyState, valueState }) => [keyState, valueState],

  shape(inputs, { heads, keyValueHeads, headDim, queryNorm, keyNorm }, context) {
    expectInputs('rotaryCache', inputs.length, 2, 4);
    expectThat('rotaryCache', headDim > 0 && headDim % 2 === 0, `headDim must be even, not ${headDim}.`, { headDim });
    expectThat(
      'rotaryCache',
      heads > 0 && keyValueHeads > 0 && heads % keyValueHeads === 0,
      `heads (${heads}) must be a multiple of keyValueHeads (${keyValueHeads}).`,
      { heads, keyValueHeads },
    );
    const [tokens, columns] = expectMatrix('rotaryCache', 'queries', inputs[0]);
    const keyValueColumns = keyValueHeads * headDim;
    if (inputs.length === 2) {
      expectDim('rotaryCache', 'the columns of qkv', columns, heads * headDim + 2 * keyValueColumns);
    } else {
      expectDim('rotaryCache', 'the columns of the queries', columns, heads * headDim);
      for (const [what, shape] of [
        ['keys', inputs[1]],
        ['values', inputs[2]],
      ] as const) {
        const [n, otherColumns] = expectMatrix('rotaryCache', what, shape);
        expectDim('rotaryCache', `the rows of the ${what}`, n, tokens);
        expectDim('rotaryCache', `the columns of the ${what}`, otherColumns, keyValueColumns);
      }
    }
    const [rotaryTokens, rotaryColumns] = expectMatrix('rotaryCache', 'rotary', inputs.at(-1));
    expectDim('rotaryCache', 'the rows of rotary', rotaryTokens, tokens);
    expectDim('rotaryCache', 'the columns of rotary', rotaryColumns, headDim);
    for (const norm of [queryNorm, keyNorm]) {
      if (norm !== undefined) expectDim('rotaryCache', `the length of ${norm}`, context.weightShape(norm)[0], headDim);
    }
    return [[tokens, heads * headDim]];
  },

  reference(inputs, attributes, context) {
    const { heads, keyValueHeads, headDim, queryNorm, keyNorm, epsilon } = attributes;
    const tokens = inputs[0]!.shape[0]!;
    const rotary = inputs.at(-1)!.data;
    const keyState = context.state(attributes.keyState);
    const valueState = context.state(attributes.valueState);
    const room = keyState.shape[1]!;
    expectThat(
      'rotaryCache',
      context.past + tokens <= room,
      `${context.past} + ${tokens} tokens exceed the cache's ${room}.`,
    );

    const [queries, keys, values] = split(inputs, heads * headDim, keyValueHeads * headDim);
    const out = tensor([tokens, heads * headDim]);
    for (let token = 0; token < tokens; token++) {
      const angles = rotary.subarray(token * headDim, (token + 1) * headDim);
      for (let head = 0; head < heads; head++) {
        const query = queries.head(token, head, headDim);
        if (queryNorm !== undefined) normRows(query, context.weight(queryNorm).data, epsilon, query);
        out.data.set(rotate(query, angles), (token * heads + head) * headDim);
      }
      for (let head = 0; head < keyValueHeads; head++) {
        const key = keys.head(token, head, headDim);
        if (keyNorm !== undefined) normRows(key, context.weight(keyNorm).data, epsilon, key);
        const at = (head * room + context.past + token) * headDim;
        keyState.data.set(rotate(key, angles).map(roundToF16), at);
        valueState.data.set(values.head(token, head, headDim).map(roundToF16), at);
      }
    }
    return [out];
  },

  cost([first], { heads, keyValueHeads, headDim, queryNorm, keyNorm }, context) {
    const tokens = first![0]!;
    let flops = 3 * tokens * (heads + keyValueHeads) * headDim;
    let bytes = 2 * tokens * keyValueHeads * headDim * 2;
    if (queryNorm !== undefined) {
      flops += 4 * tokens * heads * headDim;
      bytes += context.weightBytes(queryNorm);
    }
    if (keyNorm !== undefined) {
      flops += 4 * tokens * keyValueHeads * headDim;
      bytes += context.weightBytes(keyNorm);
    }
    return { flops, bytes };
  },
};

/** A head's numbers, copied as float64, out of rows that may hold other things beside. */
interface HeadRows {
  head(token: number, head: number, headDim: number): Float64Array;
}

function headRows({ data, shape }: Tensor, offset: number): HeadRows {
  const stride = shape[1]!;
  return {
    head(token, head, headDim) {
      const start = token * stride + offset + head * headDim;
      return Float64Array.from(data.subarray(start, start + headDim));
    },
  };
}

function split(
  inputs: readonly Tensor[],
  queryColumns: number,
  keyValueColumns: number,
): [HeadRows, HeadRows, HeadRows] {
  const [first, keys, values] = inputs;
  if (inputs.length === 4) return [headRows(first!, 0), headRows(keys!, 0), headRows(values!, 0)];
  return [headRows(first!, 0), headRows(first!, queryColumns), headRows(first!, queryColumns + keyValueColumns)];
}

function rotate(x: Float64Array, angles: ArrayLike<number>): Float64Array {
  const half = x.length / 2;
  const out = new Float64Array(x.length);
  for (let i = 0; i < half; i++) {
    const cos = angles[i]!;
    const sin = angles[half + i]!;
    out[i] = x[i]! * cos - x[half + i]! * sin;
    out[half + i] = x[half + i]! * cos + x[i]! * sin;
  }
  return out;
}
