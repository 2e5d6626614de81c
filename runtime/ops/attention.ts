import { expectDim, expectInputs, expectMatrix, expectThat, tensor, type OperationDefinition } from './operation.ts';

/**
 * Causal attention over the caches: queries [tokens, heads·headDim] → [tokens, heads·headDim].
 *
 * Token t stands at position p = past + t and sees positions max(0, p − window + 1) … p (all up to p without a window).
 * Query head h reads key-value head floor(h / (heads / keyValueHeads)). Scores are query·key × scale, their softmax
 * weighs the values. The states are [keyValueHeads, context, headDim] and already hold this step's keys and values
 * (rotaryCache wrote them). Source: Ainslie et al. 2023, https://arxiv.org/abs/2305.13245.
 */
export const attention: OperationDefinition<'attention'> = {
  name: 'attention',
  inputs: ['queries'],
  outputs: ['attended'],
  weights: () => [],
  states: ({ keyState, valueState }) => [keyState, valueState],

  shape(inputs, { heads, keyValueHeads, headDim, window }) {
    expectInputs('attention', inputs.length, 1);
    expectThat(
      'attention',
      heads > 0 && keyValueHeads > 0 && heads % keyValueHeads === 0,
      `heads (${heads}) must be a multiple of keyValueHeads (${keyValueHeads}).`,
      { heads, keyValueHeads },
    );
    expectThat('attention', window === undefined || window >= 1, `the window must be at least 1, not ${window}.`, {
      window,
    });
    const [tokens, columns] = expectMatrix('attention', 'queries', inputs[0]);
    expectDim('attention', 'the columns of the queries', columns, heads * headDim);
    return [[tokens, columns]];
  },

  reference([queries], attributes, context) {
    const { heads, keyValueHeads, headDim, scale, window } = attributes;
    const keys = context.state(attributes.keyState);
    const values = context.state(attributes.valueState);
    const room = keys.shape[1]!;
    const tokens = queries!.shape[0]!;
    const out = tensor(queries!.shape);
    const sum = new Float64Array(headDim);
    for (let token = 0; token < tokens; token++) {
      const position = context.past + token;
      const first = window === undefined ? 0 : Math.max(0, position - window + 1);
      for (let head = 0; head < heads; head++) {
        const query = (token * heads + head) * headDim;
        const keyValueHead = Math.floor(head / (heads / keyValueHeads));
        const row = (at: number) => (keyValueHead * room + at) * headDim;

        const scores = new Float64Array(position - first + 1);
        for (let at = first; at <= position; at++) {
          let score = 0;
          for (let i = 0; i < headDim; i++) score += queries!.data[query + i]! * keys.data[row(at) + i]!;
          scores[at - first] = score * scale;
        }
        const largest = scores.reduce((a, b) => Math.max(a, b), -Infinity);
        let total = 0;
        sum.fill(0);
        for (let at = first; at <= position; at++) {
          const share = Math.exp(scores[at - first]! - largest);
          total += share;
          for (let i = 0; i < headDim; i++) sum[i] = sum[i]! + share * values.data[row(at) + i]!;
        }
        for (let i = 0; i < headDim; i++) out.data[query + i] = sum[i]! / total;
      }
    }
    return [out];
  },

  cost([queries], { heads, keyValueHeads, headDim, window }, context) {
    const tokens = queries![0]!;
    let seen = 0;
    for (let token = 0; token < tokens; token++) seen += Math.min(context.past + token + 1, window ?? Infinity);
    const last = context.past + tokens;
    // All tokens of a step share one reading of the cache; its earliest position is the first token's.
    const positions = Math.min(last, (window ?? Infinity) + tokens - 1);
    return { flops: 4 * seen * heads * headDim, bytes: 2 * positions * keyValueHeads * headDim * 2 };
  },
};
