// A graph that also gives what its matrices are multiplied by: the input of every linear operation becomes an output.

import type { Graph, ValueId } from '../../graph/types.ts';

export interface Tap {
  /** The output's name in the tapped graph. */
  output: string;
  /** Checkpoint tensors of the matrices that read it. */
  tensors: readonly string[];
  columns: number;
}

export function tapLinears(graph: Graph): { graph: Graph; taps: Tap[] } {
  const weights = new Map(graph.weights.map((weight) => [weight.name, weight]));
  const tensors = new Map<ValueId, string[]>();
  for (const operation of graph.operations) {
    if (operation.op !== 'linear') continue;
    const input = operation.inputs[0]!;
    const parts = weights.get(operation.attributes.weight)!.parts.map(({ tensor }) => tensor);
    tensors.set(input, [...(tensors.get(input) ?? []), ...parts]);
  }
  const taps = [...tensors].map(([value, names]) => ({
    output: `input of ${names.join('+')}`,
    tensors: names,
    columns: graph.values[value]!.shape.at(-1) as number,
  }));
  const outputs = Object.fromEntries([...tensors.keys()].map((value, i) => [taps[i]!.output, value]));
  return { graph: { ...graph, outputs: { ...graph.outputs, ...outputs } }, taps };
}
