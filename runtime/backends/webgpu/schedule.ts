// The two ways through a graph: one token with one output, fused as far as it goes; and anything else. Each has its own
// activations, since what is fused lives and dies at other places; those of a single token are small.

import { type ActivationPlan, planActivations } from '../../graph/memory-plan.ts';
import type { Dims, Graph } from '../../graph/types.ts';
import { matrixBindings } from './device-matrix.ts';
import { fuseDecode, type FusedOperation } from './fuse-decode.ts';
import type { LoweredOperation } from './kernel-calls.ts';
import { lowerFused } from './lower-fused.ts';
import type { LoweringContext } from './lowering-context.ts';
import { lowerOperations } from './lowering.ts';

export interface Schedule {
  operations: readonly LoweredOperation[];
  plan: ActivationPlan;
  /** The largest step it serves. */
  dims: Required<Omit<Dims, never>>;
}

/** The operations of a decode step, as they are lowered. */
export function decodeOperations({ graph, profile, weights }: Omit<LoweringContext, 'step'>): FusedOperation[] {
  return fuseDecode(graph, {
    maxStorageBuffers: profile.maxStorageBuffers,
    matrixBuffers: (weight) => matrixBindings(weights.layout(weight).format),
    isCut: (weight) => weights.layout(weight).pieces.length > 1,
  });
}

export function decodeSchedule(context: Omit<LoweringContext, 'step'>, dims: Schedule['dims']): Schedule {
  const fused = decodeOperations(context);
  const decodeDims = { ...dims, tokens: 1, outputs: 1 };
  return {
    operations: fused.map((operation) => lowerFused(operation, { ...context, step: 'decode' })),
    plan: planActivations(withOperations(context.graph, fused), decodeDims),
    dims: decodeDims,
  };
}

export function generalSchedule(context: Omit<LoweringContext, 'step'>, dims: Schedule['dims']): Schedule {
  return {
    operations: lowerOperations({ ...context, step: 'general' }),
    plan: planActivations(context.graph, dims),
    dims,
  };
}

// The plan looks at nothing of an operation but what it reads and writes.
function withOperations(graph: Graph, fused: readonly FusedOperation[]): Graph {
  return {
    ...graph,
    operations: fused.map(({ operation, inputs, outputs }) => ({ ...operation, inputs, outputs })),
  };
}
