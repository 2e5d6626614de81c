// Bytes and FLOP of a graph, known before anything is loaded. How many bytes a weight takes is the caller's to say: this
// folder knows no formats (planning/weight-bytes.ts has the function for a plan's formats).

import { costOf, type OperationSpec } from '../ops/index.ts';
import type { Cost } from '../ops/operation.ts';
import { resolveShape, valueBytes } from './shapes.ts';
import type { Graph, Weight } from './types.ts';

export type WeightBytes = (weight: Weight) => number;

export function totalWeightBytes(graph: Graph, weightBytes: WeightBytes): number {
  return graph.weights.reduce((sum, weight) => sum + weightBytes(weight), 0);
}

/** Bytes of all states (the KV cache), with room for `contextLength` tokens. */
export function stateBytes(graph: Graph, contextLength: number): number {
  return graph.states.reduce((sum, state) => sum + valueBytes(state, { context: contextLength }), 0);
}

/** Numbers in all weights; a weight that serves twice counts once. */
export function countParameters(graph: Graph): number {
  return graph.weights.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
}

export interface StepSizes {
  /** Tokens of the step, tokens in the cache before it, rows of logits. */
  tokens: number;
  past: number;
  outputs: number;
}

/**
 * FLOP of a step and the bytes of weights and states that it must move: the limit that a bench divides by. A weight that
 * two operations read is read twice.
 */
export function stepCost(graph: Graph, sizes: StepSizes, weightBytes: WeightBytes): Cost {
  const weights = new Map(graph.weights.map((weight) => [weight.name, weight]));
  const context = {
    weightShape: (name: string) => weights.get(name)!.shape,
    weightBytes: (name: string) => weightBytes(weights.get(name)!),
    past: sizes.past,
    tokens: sizes.tokens,
  };
  const dims = { batch: 1, tokens: sizes.tokens, past: sizes.past, outputs: sizes.outputs };
  const total: Cost = { flops: 0, bytes: 0 };
  for (const operation of graph.operations) {
    const shapes = operation.inputs.map((id) => resolveShape(graph.values[id]!.shape, dims));
    const cost = costOf(operation satisfies OperationSpec, shapes, context);
    total.flops += cost.flops;
    total.bytes += cost.bytes;
  }
  return total;
}

/** Of `stepCost`, the bytes of weights alone: what a decode step must read whatever the context. */
export function weightBytesRead(graph: Graph, sizes: StepSizes, weightBytes: WeightBytes): number {
  return stepCost(graph, sizes, weightBytes).bytes - stepCost(graph, sizes, () => 0).bytes;
}
