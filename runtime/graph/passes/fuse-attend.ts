import { attendInputs } from '../../ops/attend.ts';
import type { Graph } from '../types.ts';
import { stackLinears } from './stack-linears.ts';

/**
 * linear ×3 → attend(queries, keys, values, …) becomes one linear whose columns attend reads by their offsets. Where the three
 * are no linears of one value (a decoder over an encoder's states) they stay apart: attend takes both.
 */
export function fuseAttend(graph: Graph): Graph {
  const stacked = stackLinears(graph, (operation) =>
    operation.op === 'attend' ? operation.inputs.slice(0, 3) : undefined,
  );
  return {
    ...stacked,
    operations: stacked.operations.map((operation) => {
      if (operation.op !== 'attend' || operation.inputs.length === attendInputs(operation.attributes)) return operation;
      const { heads, keyValueHeads, headDim } = operation.attributes;
      const [qkv, ...others] = operation.inputs as [number, ...number[]];
      const offsets = { queries: 0, keys: heads * headDim, values: (heads + keyValueHeads) * headDim };
      return { ...operation, inputs: [qkv, qkv, qkv, ...others], attributes: { ...operation.attributes, offsets } };
    }),
  };
}
