import type { Graph } from '../types.ts';
import { stackLinears } from './stack-linears.ts';

/** linear ×3 → rotaryCache(queries, keys, values, rotary) becomes one linear → rotaryCache(qkv, rotary); biases stack too. */
export function fuseQkv(graph: Graph): Graph {
  return stackLinears(graph, (operation) =>
    operation.op === 'rotaryCache' && operation.inputs.length === 4 ? operation.inputs.slice(0, 3) : undefined,
  );
}
