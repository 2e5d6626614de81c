import type { Graph, ValueId } from '../types.ts';
import { producers } from './rewrite.ts';
import { stackLinears } from './stack-linears.ts';

/**
 * linear ×3 → rotaryCache(queries, keys, values, rotary) becomes one linear → rotaryCache(qkv, rotary); biases stack too.
 * Where the three weights are not of one kind (a file that gives values more bits than queries) they stay apart.
 */
export function fuseQkv(graph: Graph): Graph {
  const kinds = new Map(graph.weights.map(({ name, kind }) => [name, kind]));
  const producerOf = producers(graph);
  const kindOf = (id: ValueId): string | undefined => {
    const linear = producerOf.get(id);
    return linear?.op === 'linear' ? kinds.get(linear.attributes.weight) : undefined;
  };
  return stackLinears(graph, ({ op, inputs }) => {
    if (op !== 'rotaryCache' || inputs.length !== 4) return undefined;
    const stacked = inputs.slice(0, 3);
    return new Set(stacked.map(kindOf)).size === 1 ? stacked : undefined;
  });
}
