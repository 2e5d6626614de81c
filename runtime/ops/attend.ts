import type { AttendAttributes } from '../graph/types.ts';
import {
  expectDim,
  expectInputs,
  expectMatrix,
  expectThat,
  expectVector,
  tensor,
  type OperationDefinition,
} from './operation.ts';

/** How many inputs an attention with these attributes takes: queries, keys, values, then spans and buckets where needed. */
export function attendInputs({ segments, relativeBias }: AttendAttributes): number {
  return 3 + (segments ? 0 : 1) + (relativeBias ? 1 : 0);
}

/**
 * Attention of rows over rows, without a cache: of a batch of texts whose tokens stand one after another, of the patches of
 * images, of a learned query over patches; later of a decoder over an encoder's states.
 *
 * Query i sees keys first … end − 1, which `spans` or `segments` say, narrowed by `isCausal` (keys up to i) and `window`
 * (keys i − window … i + window); these two count rows, so queries and keys must then be the same rows. A query whose span is
 * empty gets zeros: that is what padding is. Scores are query·key × scale + bias(key − query), their softmax weighs the values.
 */
export const attend: OperationDefinition<'attend'> = {
  name: 'attend',
  inputs: ['queries', 'keys', 'values', 'spans'],
  outputs: ['attended'],
  weights: ({ relativeBias }) => (relativeBias ? [relativeBias.weight] : []),
  states: () => [],

  shape(inputs, attributes, context) {
    const { heads, keyValueHeads, headDim, offsets, segments, relativeBias, window } = attributes;
    expectInputs('attend', inputs.length, attendInputs(attributes));
    expectThat(
      'attend',
      heads > 0 && keyValueHeads > 0 && heads % keyValueHeads === 0,
      `heads (${heads}) must be a multiple of keyValueHeads (${keyValueHeads}).`,
      { heads, keyValueHeads },
    );
    expectThat('attend', window === undefined || window >= 0, `the window must not be negative, as ${window} is.`);
    const [queryRows, queryColumns] = expectMatrix('attend', 'queries', inputs[0]);
    const [keyRows, keyColumns] = expectMatrix('attend', 'keys', inputs[1]);
    const [valueRows, valueColumns] = expectMatrix('attend', 'values', inputs[2]);
    expectDim('attend', 'the rows of the values', valueRows, keyRows);
    const room = (what: string, columns: unknown, offset: number, count: number) =>
      expectThat(
        'attend',
        typeof columns === 'number' && offset >= 0 && offset + count * headDim <= columns,
        `${what} have ${String(columns)} columns, too few for ${count} heads of ${headDim} from column ${offset} on.`,
      );
    room('the queries', queryColumns, offsets.queries, heads);
    room('the keys', keyColumns, offsets.keys, keyValueHeads);
    room('the values', valueColumns, offsets.values, keyValueHeads);
    if (segments) {
      const groups = (rows: unknown, size: number) => (typeof rows === 'number' ? rows / size : NaN);
      expectThat(
        'attend',
        Number.isInteger(groups(queryRows, segments.queries)) &&
          groups(queryRows, segments.queries) === groups(keyRows, segments.keys),
        `${String(queryRows)} queries and ${String(keyRows)} keys are not as many runs of ${segments.queries} and ${segments.keys}.`,
      );
    } else {
      const [spanRows, two] = expectMatrix('attend', 'spans', inputs[3]);
      expectDim('attend', 'the rows of the spans', spanRows, queryRows);
      expectDim('attend', 'the columns of the spans', two, 2);
    }
    if (relativeBias) {
      const { weight, buckets, reach } = relativeBias;
      expectDim('attend', 'the buckets', expectVector('attend', 'the buckets', inputs.at(-1)), 2 * reach + 1);
      expectDim('attend', weight, expectVector('attend', weight, context.weightShape(weight)), buckets * heads);
    }
    return [[queryRows, heads * headDim]];
  },

  reference(inputs, attributes, context) {
    const { heads, keyValueHeads, headDim, scale, offsets, segments, isCausal, window, relativeBias } = attributes;
    const [queries, keys, values] = inputs as [(typeof inputs)[0], (typeof inputs)[0], (typeof inputs)[0]];
    const spans = segments ? undefined : inputs[3]!.data;
    const buckets = relativeBias ? inputs.at(-1)!.data : undefined;
    const bias = relativeBias ? context.weight(relativeBias.weight).data : undefined;
    const [n, queryColumns] = queries.shape as readonly [number, number];
    const keyColumns = keys.shape[1]!;
    const valueColumns = values.shape[1]!;
    const out = tensor([n, heads * headDim]);
    const sum = new Float64Array(headDim);
    for (let row = 0; row < n; row++) {
      const group = segments ? Math.floor(row / segments.queries) : 0;
      let first = segments ? group * segments.keys : spans![2 * row]!;
      let end = segments ? first + segments.keys : spans![2 * row + 1]!;
      if (window !== undefined) [first, end] = [Math.max(first, row - window), Math.min(end, row + window + 1)];
      if (isCausal) end = Math.min(end, row + 1);
      if (end <= first) continue;
      for (let head = 0; head < heads; head++) {
        const query = row * queryColumns + offsets.queries + head * headDim;
        const part = Math.floor(head / (heads / keyValueHeads)) * headDim;
        const scores = Float64Array.from({ length: end - first }, (_, i) => {
          const key = (first + i) * keyColumns + offsets.keys + part;
          let score = 0;
          for (let d = 0; d < headDim; d++) score += queries.data[query + d]! * keys.data[key + d]!;
          score *= scale;
          if (!relativeBias) return score;
          const { reach } = relativeBias;
          const distance = Math.max(-reach, Math.min(reach, first + i - row));
          return score + bias![buckets![distance + reach]! * heads + head]!;
        });
        const largest = scores.reduce((a, b) => Math.max(a, b), -Infinity);
        let total = 0;
        sum.fill(0);
        scores.forEach((score, i) => {
          const share = Math.exp(score - largest);
          total += share;
          const value = (first + i) * valueColumns + offsets.values + part;
          for (let d = 0; d < headDim; d++) sum[d]! += share * values.data[value + d]!;
        });
        for (let d = 0; d < headDim; d++) out.data[(row * heads + head) * headDim + d] = sum[d]! / total;
      }
    }
    return [out];
  },

  // What the spans say is not known here: the cost is that of one text of all the rows.
  cost([queries, keys], { heads, headDim, segments, window }) {
    const seen = Math.min(segments?.keys ?? keys![0]!, window === undefined ? Infinity : 2 * window + 1);
    return { flops: 4 * queries![0]! * seen * heads * headDim, bytes: 0 };
  },
};
