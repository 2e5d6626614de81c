import type { Graph, Weight } from '../graph/types.ts';
import type { StoredFormat } from './precision-policy.ts';

/**
 * The graph with a kind for each matrix that is stored in few bits, or was given bits of its own: queries, keys and values of
 * different kinds are not stacked, so that each keeps its format. For a graph that is not lowered yet.
 */
export function withKinds(
  graph: Graph,
  storedFormat: (weight: Weight) => StoredFormat,
  bitsOf?: (weight: Weight) => number,
): Graph {
  const weights = graph.weights.map((weight) => {
    if (weight.shape.length < 2) return weight;
    const stored = storedFormat(weight);
    const isPlain = stored === 'f32' || stored === 'f16' || stored === 'bf16';
    const kind = `${isPlain ? '' : stored}${bitsOf ? ` ${bitsOf(weight)}` : ''}`;
    return kind ? { ...weight, kind } : weight;
  });
  return { ...graph, weights };
}
