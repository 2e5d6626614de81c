// What the passes share: a graph's uses and producers, and a weight made of several.

import type { Graph, Operation, ValueId, Weight } from '../types.ts';

export type OperationOf<Name extends Operation['op']> = Extract<Operation, { op: Name }>;

/** How often each value is read, by operations and as an output of the graph. */
export function countUses(graph: Graph): Map<ValueId, number> {
  const uses = new Map<ValueId, number>();
  const count = (id: ValueId) => uses.set(id, (uses.get(id) ?? 0) + 1);
  for (const operation of graph.operations) operation.inputs.forEach(count);
  Object.values(graph.outputs).forEach(count);
  return uses;
}

/** The operation that produces each value; a graph's inputs have none. */
export function producers(graph: Graph): Map<ValueId, Operation> {
  const map = new Map<ValueId, Operation>();
  for (const operation of graph.operations) for (const id of operation.outputs) map.set(id, operation);
  return map;
}

/** Several weights stacked along their rows, in order; undefined when they do not stack. */
export function stackWeights(weights: readonly Weight[]): Weight | undefined {
  const first = weights[0]!;
  const columns = first.shape.slice(1);
  for (const { shape, role } of weights) {
    if (
      role !== first.role ||
      shape.length !== first.shape.length ||
      shape.slice(1).some((size, i) => size !== columns[i])
    ) {
      return undefined;
    }
  }
  // One weight twice in a stack would need its rows twice.
  if (new Set(weights.map(({ name }) => name)).size !== weights.length) return undefined;
  return {
    ...first,
    name: weights.map(({ name }) => name).join('+'),
    parts: weights.flatMap(({ parts }) => parts),
    shape: [weights.reduce((sum, { shape }) => sum + shape[0]!, 0), ...columns],
  };
}
