// The common half of fuse-qkv and fuse-gate-up: linears that read the same value become one, whose weight is stacked. One
// matrix product instead of two or three reads its input once and, on a GPU, is one dispatch instead of three.

import { weightsOf } from '../../ops/index.ts';
import type { Graph, Operation, Value, ValueId, Weight } from '../types.ts';
import { countUses, producers, stackWeights, type OperationOf } from './rewrite.ts';

/**
 * Rewrites each operation for which `stackedInputs` returns the values to stack: they become one input, at the front.
 * Where they cannot be stacked (not linears of one value, read elsewhere too, a bias for some only) it stays.
 */
export function stackLinears(
  graph: Graph,
  stackedInputs: (operation: Operation) => readonly ValueId[] | undefined,
): Graph {
  const uses = countUses(graph);
  const producerOf = producers(graph);
  const weights = new Map(graph.weights.map((weight) => [weight.name, weight]));
  const weightUses = countWeightUses(graph);
  const weightNow = new Map<string, Weight | undefined>(weights);
  const values: Value[] = [...graph.values];
  const replaced = new Map<Operation, Operation>();
  const removed = new Set<Operation>();

  const stackable = (names: readonly string[]): Weight | undefined => {
    // A weight that something else reads too (tied embeddings) must stay as it is.
    if (names.some((name) => weightUses.get(name) !== 1)) return undefined;
    return stackWeights(names.map((name) => weights.get(name)!));
  };

  for (const operation of graph.operations) {
    const ids = stackedInputs(operation);
    if (ids === undefined || ids.some((id) => uses.get(id) !== 1)) continue;
    const linears = ids.map((id) => producerOf.get(id)).filter((producer) => producer?.op === 'linear');
    if (linears.length !== ids.length) continue;
    const stacked = linears as OperationOf<'linear'>[];
    const [first] = stacked as [OperationOf<'linear'>];
    if (stacked.some(({ inputs, layer }) => inputs[0] !== first.inputs[0] || layer !== first.layer)) continue;

    const weight = stackable(stacked.map(({ attributes }) => attributes.weight));
    const biasNames = stacked.map(({ attributes }) => attributes.bias).filter((name) => name !== undefined);
    if (weight === undefined || (biasNames.length !== 0 && biasNames.length !== stacked.length)) continue;
    const bias = biasNames.length === 0 ? undefined : stackable(biasNames);
    if (biasNames.length !== 0 && bias === undefined) continue;

    const weightNames = stacked.map(({ attributes }) => attributes.weight);
    // A stack takes the first part's place in the list of weights; the others' places go.
    weightNames.forEach((name, i) => weightNow.set(name, i === 0 ? weight : undefined));
    biasNames.forEach((name, i) => weightNow.set(name, i === 0 ? bias : undefined));
    const output = graph.values[ids[0]!]!;
    const value: Value = {
      ...output,
      id: values.length,
      name: `${output.name}.stacked`,
      shape: [output.shape[0]!, weight.shape[0]!],
    };
    values.push(value);
    // All of them read one value, so that the first's place is early enough; nothing read their outputs before.
    replaced.set(first, {
      ...first,
      attributes: bias ? { weight: weight.name, bias: bias.name } : { weight: weight.name },
      outputs: [value.id],
    });
    stacked.slice(1).forEach((linear) => removed.add(linear));
    replaced.set(operation, { ...operation, inputs: [value.id, ...operation.inputs.slice(ids.length)] });
  }

  return {
    ...graph,
    values,
    weights: graph.weights.map(({ name }) => weightNow.get(name)).filter((weight) => weight !== undefined),
    operations: graph.operations
      .filter((operation) => !removed.has(operation))
      .map((operation) => replaced.get(operation) ?? operation),
  };
}

function countWeightUses(graph: Graph): Map<string, number> {
  const uses = new Map<string, number>();
  for (const operation of graph.operations) {
    for (const name of weightsOf(operation)) uses.set(name, (uses.get(name) ?? 0) + 1);
  }
  return uses;
}
