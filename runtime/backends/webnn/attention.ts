// Attention and rotations: products, a softmax, and masks that are added to the scores. Rows are those of a rectangle, texts ×
// tokens, or runs of a fixed length (patches of images).

import type { OperationAttributes } from '../../graph/types.ts';
import type { CheckedBuilder } from './checked-builder.ts';
import type { Constants } from './constants.ts';
import { OUT_OF_SIGHT } from './feeds.ts';
import type { MLOperand } from './ml-api.ts';

type Attend = OperationAttributes['attend'];

/** Groups of rows that see one another: queries and keys of each. */
export interface Groups {
  count: number;
  queries: number;
  keys: number;
}

export class Attention {
  readonly #masks = new Map<string, MLOperand | undefined>();
  readonly #angles = new Map<MLOperand, { cos: MLOperand; sin: MLOperand }>();

  constructor(
    private readonly b: CheckedBuilder,
    private readonly constants: Constants,
    /** [batch, 1, 1, length], where texts are padded. */
    private readonly padding: () => MLOperand,
  ) {}

  attend(
    inputs: { queries: MLOperand; keys: MLOperand; values: MLOperand; buckets: MLOperand | undefined },
    attributes: Attend,
    groups: Groups,
  ): MLOperand {
    const { b } = this;
    const { heads, keyValueHeads, headDim, scale, offsets } = attributes;
    const { count, queries: queryRows, keys: keyRows } = groups;
    const part = (x: MLOperand, offset: number, parts: number, rows: number) =>
      b.reshape(b.slice(x, 1, offset, parts * headDim), [count, rows, parts, headDim]);
    const shared = (x: MLOperand) => this.#repeatHeads(x, heads / keyValueHeads);

    const queries = b.transpose(b.scale(part(inputs.queries, offsets.queries, heads, queryRows), scale), [0, 2, 1, 3]);
    const keys = shared(b.transpose(part(inputs.keys, offsets.keys, keyValueHeads, keyRows), [0, 2, 3, 1]));
    const values = shared(b.transpose(part(inputs.values, offsets.values, keyValueHeads, keyRows), [0, 2, 1, 3]));
    const scores = b.matmul4(queries, keys);
    const mask = this.#mask(attributes, groups, inputs.buckets);
    const shares = b.softmax(mask ? b.add(scores, mask) : scores);
    const attended = b.transpose(b.matmul4(shares, values), [0, 2, 1, 3]);
    return b.reshape(attended, [count * queryRows, heads * headDim]);
  }

  /** The first `heads` heads turned, the other columns as they are. */
  rotate(x: MLOperand, rotary: MLOperand, { heads, headDim }: OperationAttributes['rotate']): MLOperand {
    const { b } = this;
    const [rows, columns] = x.shape as [number, number];
    const half = headDim / 2;
    const { cos, sin } = this.#cosAndSin(rotary, half);
    const turning = b.reshape(b.slice(x, 1, 0, heads * headDim), [rows, heads, headDim]);
    const [first, second] = [b.slice(turning, 2, 0, half), b.slice(turning, 2, half, half)];
    const turned = b.concat(
      [b.binary('sub', b.mul(first, cos), b.mul(second, sin)), b.add(b.mul(second, cos), b.mul(first, sin))],
      2,
    );
    const flat = b.reshape(turned, [rows, heads * headDim]);
    const rest = columns - heads * headDim;
    return rest === 0 ? flat : b.concat([flat, b.slice(x, 1, heads * headDim, rest)], 1);
  }

  #cosAndSin(rotary: MLOperand, half: number): { cos: MLOperand; sin: MLOperand } {
    const { b } = this;
    let angles = this.#angles.get(rotary);
    if (!angles) {
      const part = (start: number) => b.reshape(b.slice(rotary, 1, start, half), [rotary.shape[0]!, 1, half]);
      this.#angles.set(rotary, (angles = { cos: part(0), sin: part(half) }));
    }
    return angles;
  }

  /** [count, keyValueHeads, …] → [count, heads, …], each head `times` times. */
  #repeatHeads(x: MLOperand, times: number): MLOperand {
    if (times === 1) return x;
    const { b } = this;
    const [count, heads, rows, columns] = x.shape as [number, number, number, number];
    const apart = b.reshape(x, [count, heads, 1, rows * columns]);
    return b.reshape(b.expand(apart, [count, heads, times, rows * columns]), [count, heads * times, rows, columns]);
  }

  /** All that is added to the scores. Layers with the same rules share it. */
  #mask(attributes: Attend, groups: Groups, buckets: MLOperand | undefined): MLOperand | undefined {
    const { heads, isCausal, window, segments, relativeBias } = attributes;
    const { queries, keys } = groups;
    const key = JSON.stringify([heads, isCausal, window, segments, relativeBias?.weight, queries, keys]);
    if (this.#masks.has(key)) return this.#masks.get(key);
    const parts = [
      segments ? undefined : this.padding(),
      isCausal || window !== undefined ? this.#order(attributes, groups) : undefined,
      relativeBias && buckets ? this.#relativeBias(relativeBias, heads, groups, buckets) : undefined,
    ].filter((part) => part !== undefined);
    const mask = parts.length === 0 ? undefined : parts.reduce((sum, part) => this.b.add(sum, part));
    this.#masks.set(key, mask);
    return mask;
  }

  /** [1, 1, queries, keys]: what `isCausal` and `window` hide. */
  #order({ isCausal, window = Infinity }: Attend, { queries, keys }: Groups): MLOperand {
    const hidden = OUT_OF_SIGHT[this.b.real];
    const mask = new Float32Array(queries * keys);
    for (let query = 0; query < queries; query++) {
      for (let key = 0; key < keys; key++) {
        const isSeen = Math.abs(key - query) <= window && (!isCausal || key <= query);
        if (!isSeen) mask[query * keys + key] = hidden;
      }
    }
    return this.b.numbers([1, 1, queries, keys], mask);
  }

  /** [1, heads, queries, keys]: each distance's bucket, and each bucket's number a head. */
  #relativeBias(
    { weight, buckets: count, reach }: NonNullable<Attend['relativeBias']>,
    heads: number,
    { queries, keys }: Groups,
    buckets: MLOperand,
  ): MLOperand {
    const { b } = this;
    const places = new Int32Array(queries * keys);
    for (let query = 0; query < queries; query++) {
      for (let key = 0; key < keys; key++) {
        places[query * keys + key] = Math.max(-reach, Math.min(reach, key - query)) + reach;
      }
    }
    const bucketOf = b.gather(buckets, b.integers([queries * keys], places));
    const rows = b.gather(this.constants.arranged(weight, 'by bucket', [count, heads]), bucketOf);
    return b.reshape(b.transpose(rows, [1, 0]), [1, heads, queries, keys]);
  }
}
