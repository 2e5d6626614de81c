// From a model, a device and wishes to a plan, with a reason for each decision. Pure: the same request gives the same
// plan, and nothing is loaded or allocated to make it. Wishes by name are kept or refused; only what was left to `auto`,
// or left out, gives way when memory is short (fit.ts says in which order), and the backend gives way last.

import { WpError } from '../errors.ts';
import type { WeightFormat } from '../quantization/formats.ts';
import type { PlanReport } from '../types.ts';
import { chooseBackends } from './backend-choice.ts';
import { findFit, type PlanRequest } from './fit.ts';
import { outOfMemory } from './out-of-memory.ts';
import type { Reason } from './reason.ts';
import { chooseThreads } from './threads.ts';
import { averageBits } from './weight-bytes.ts';

export type { PlanRequest, PlanWishes } from './fit.ts';
export type { StoredFormat, StoredFormats } from './precision-policy.ts';

/** The part of a PlanReport that is known before loading, and what a backend's CompileOptions want. */
export interface ModelPlan extends Pick<
  PlanReport,
  'backend' | 'precision' | 'contextLength' | 'threads' | 'memory' | 'bitsPerWeight'
> {
  /** Of every weight of the graph, by its name. */
  formats: Map<string, WeightFormat>;
  /** The longest prefill chunk. */
  maxTokens: number;
  /** The most rows of logits of one step. */
  maxOutputs: number;
  reasons: Reason[];
}

/**
 * Decides backend, formats, context, chunk and threads.
 * Throws `invalid-argument` for a wish out of range, `backend-unavailable`, and `out-of-memory`, with the figures and what
 * would fit, before anything is downloaded.
 */
export function planModel(request: PlanRequest): ModelPlan {
  const { wishes, capabilities } = request;
  const { memoryLimitBytes } = wishes;
  if (memoryLimitBytes !== undefined && !(memoryLimitBytes > 0)) {
    throw new WpError('invalid-argument', `memoryLimitBytes is ${memoryLimitBytes}; it must be more than 0.`, '', {
      actual: memoryLimitBytes,
    });
  }
  const threads = chooseThreads(capabilities, wishes.threads);

  const refusals: WpError[] = [];
  const isEncoder = request.graph.states.length === 0;
  for (const { backend, reason } of chooseBackends(capabilities, wishes.backend ?? 'auto', isEncoder)) {
    const fit = findFit(backend, request);
    if ('misfit' in fit) {
      refusals.push(outOfMemory(backend, request, fit));
      continue;
    }
    const { choice, memory, contextLength, maxTokens, maxOutputs } = fit;
    const isWasm = backend === 'wasm';
    const backendReason = refusals[0] ? `The model does not fit the first choice: ${refusals[0].message}` : reason;
    return {
      backend,
      formats: choice.formats,
      precision: choice.precision,
      bitsPerWeight: averageBits(request.graph, choice.formats),
      contextLength,
      maxTokens,
      maxOutputs,
      threads: isWasm ? threads.threads : 1,
      memory,
      reasons: [{ topic: 'backend', reason: backendReason }, ...fit.reasons, ...(isWasm ? [threads.reason] : [])],
    };
  }
  throw refusals[0]!;
}
