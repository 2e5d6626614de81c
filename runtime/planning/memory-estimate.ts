// The bytes of a plan, from the graph alone: nothing has been loaded yet.

import { planActivations, type ActivationPlan } from '../graph/memory-plan.ts';
import { stateBytes, totalWeightBytes } from '../graph/sizes.ts';
import type { Graph } from '../graph/types.ts';
import { weightBytes, type Formats } from './weight-bytes.ts';

/** What the activations and the cache are sized for; the same as a backend's CompileOptions. */
export interface ProgramSizes {
  contextLength: number;
  maxTokens: number;
  maxOutputs: number;
}

export interface MemoryEstimate {
  weights: number;
  keyValueCache: number;
  activations: number;
  total: number;
}

/** The slots of a program's activations, as both backends allocate them. */
export function activationPlan(
  graph: Graph,
  { maxTokens, maxOutputs }: Omit<ProgramSizes, 'contextLength'>,
): ActivationPlan {
  return planActivations(graph, { batch: 1, tokens: maxTokens, outputs: maxOutputs });
}

export function estimateMemory(
  graph: Graph,
  formats: Formats,
  contextLength: number,
  activations: ActivationPlan,
): MemoryEstimate {
  const weights = totalWeightBytes(graph, (weight) => weightBytes(weight, formats));
  const keyValueCache = stateBytes(graph, contextLength);
  const total = weights + keyValueCache + activations.totalBytes;
  return { weights, keyValueCache, activations: activations.totalBytes, total };
}
