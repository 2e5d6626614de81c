import type { Graph, Operation } from '../types.ts';
import { producers, type OperationOf } from './rewrite.ts';

/**
 * add → rmsNorm becomes addRmsNorm, at the add's place: one pass over the row instead of two. The sum stays a value of its
 * own, for the next residual. A sum that is normed twice keeps its second rmsNorm. The norm that opens a layer thereby
 * joins the end of the layer before; its weight keeps its own layer.
 */
export function fuseResidualNorm(graph: Graph): Graph {
  const producerOf = producers(graph);
  const fused = new Map<Operation, Operation>();
  const removed = new Set<Operation>();
  for (const norm of graph.operations) {
    if (norm.op !== 'rmsNorm') continue;
    const sum = producerOf.get(norm.inputs[0]!);
    if (sum?.op !== 'add' || fused.has(sum)) continue;
    const addRmsNorm: OperationOf<'addRmsNorm'> = {
      op: 'addRmsNorm',
      attributes: norm.attributes,
      inputs: sum.inputs,
      outputs: [...sum.outputs, ...norm.outputs],
      layer: sum.layer,
    };
    fused.set(sum, addRmsNorm);
    removed.add(norm);
  }
  return {
    ...graph,
    operations: graph.operations
      .filter((operation) => !removed.has(operation))
      .map((operation) => fused.get(operation) ?? operation),
  };
}
