import { statesOf, weightsOf } from '../../ops/index.ts';
import type { Graph, Operation, Value, ValueId } from '../types.ts';

/**
 * Drops what no output needs: operations, weights, states and values; then numbers the values anew, densely. The graph's
 * inputs stay, needed or not, since the caller provides them. A write to a state is needed when something needed reads it.
 */
export function removeDeadCode(graph: Graph): Graph {
  const neededValues = new Set<ValueId>(Object.values(graph.outputs));
  const neededStates = new Set<string>();
  const live = new Set<Operation>();
  // Backwards: a reader of a value or a state stands after its writer.
  for (const operation of graph.operations.toReversed()) {
    const writesNeededState =
      operation.op === 'rotaryCache' && statesOf(operation).some((name) => neededStates.has(name));
    if (!writesNeededState && !operation.outputs.some((id) => neededValues.has(id))) continue;
    live.add(operation);
    operation.inputs.forEach((id) => neededValues.add(id));
    statesOf(operation).forEach((name) => neededStates.add(name));
  }

  const operations = graph.operations.filter((operation) => live.has(operation));
  const kept = new Set<ValueId>(Object.values(graph.inputs));
  for (const { inputs, outputs } of operations) [...inputs, ...outputs].forEach((id) => kept.add(id));
  const newId = new Map<ValueId, ValueId>();
  const values: Value[] = [];
  for (const value of graph.values) {
    if (!kept.has(value.id)) continue;
    newId.set(value.id, values.length);
    values.push({ ...value, id: values.length });
  }
  const renumber = (id: ValueId): ValueId => newId.get(id)!;
  const renumberAll = (named: Readonly<Record<string, ValueId>>) =>
    Object.fromEntries(Object.entries(named).map(([name, id]) => [name, renumber(id)]));

  const usedWeights = new Set(operations.flatMap((operation) => weightsOf(operation)));
  return {
    operations: operations.map((operation) => ({
      ...operation,
      inputs: operation.inputs.map(renumber),
      outputs: operation.outputs.map(renumber),
    })),
    values,
    inputs: renumberAll(graph.inputs),
    outputs: renumberAll(graph.outputs),
    weights: graph.weights.filter(({ name }) => usedWeights.has(name)),
    states: graph.states.filter(({ name }) => neededStates.has(name)),
  };
}
