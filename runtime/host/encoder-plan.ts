// How much an encoder's step holds: a decoder's plan decides backend and formats; a step has to have room for the longest text,
// and takes as many texts together as the memory allows.

import type { Graph } from '../graph/types.ts';
import { activationPlan, estimateMemory, type MemoryEstimate } from '../planning/memory-estimate.ts';
import { findMisfit, memoryLimit } from '../planning/memory-limit.ts';
import { planModel, type ModelPlan, type PlanRequest } from '../planning/plan.ts';
import { describeBytes } from '../planning/reason.ts';
import { chooseWebNnDevice, webNnConstantBytes } from '../planning/webnn.ts';
import { WpError } from '../errors.ts';
import type { Capabilities, WebNnDevice } from '../types.ts';

export interface EncoderPlan extends ModelPlan {
  /** What WebNN is asked to run on; undefined of other backends. */
  device: WebNnDevice | undefined;
}

/** Throws as `planModel` does. */
export function planEncoder(request: PlanRequest): EncoderPlan {
  const plan = planModel(request);
  if (plan.backend !== 'webnn') return { ...plan, device: undefined };
  const { device, reason } = chooseWebNnDevice(request.capabilities, request.wishes.webnnDevice);
  return { ...plan, device, reasons: [...plan.reasons, reason] };
}

export interface StepPlan {
  maxTokens: number;
  maxOutputs: number;
  memory: MemoryEstimate;
}

/** Tokens of a step, unless the longest text needs more. An abort waits for a step at most, so a CPU takes shorter ones. */
const STEP_TOKENS = { webgpu: 4096, webnn: 4096, wasm: 1024 };
const STEP_TEXTS = 64;

/** Throws `out-of-memory` when not even one text of the greatest length fits. */
export function planSteps(
  graph: Graph,
  plan: Pick<EncoderPlan, 'backend' | 'formats' | 'device'>,
  longestText: number,
  capabilities: Capabilities,
  memoryLimitBytes: number | undefined,
): StepPlan {
  const limit = memoryLimit(plan.backend, capabilities, memoryLimitBytes);
  const constants = plan.backend === 'webnn' ? webNnConstantBytes(graph) : 0;
  for (let wanted = STEP_TOKENS[plan.device === 'cpu' ? 'wasm' : plan.backend]; ; wanted /= 2) {
    const maxTokens = Math.max(longestText, Math.floor(wanted));
    const maxOutputs = Math.min(STEP_TEXTS, maxTokens);
    const activations = activationPlan(graph, { maxTokens, maxOutputs });
    const estimate = estimateMemory(graph, plan.formats, 0, activations);
    const memory = { ...estimate, weights: estimate.weights + constants, total: estimate.total + constants };
    const candidate = { graph, formats: plan.formats, contextLength: 0, activations, memory };
    const misfit = findMisfit(plan.backend, capabilities, candidate, limit);
    if (!misfit) return { maxTokens, maxOutputs, memory };
    if (maxTokens > longestText) continue;
    throw new WpError(
      'out-of-memory',
      `${misfit.what} needs ${describeBytes(misfit.neededBytes)} on ${plan.backend} for texts of ${longestText} tokens, and the ` +
        `limit is ${describeBytes(misfit.allowedBytes)} (${misfit.source}).`,
      'Load it with a smaller contextLength: longer texts are cut there.',
      { neededBytes: misfit.neededBytes, allowedBytes: misfit.allowedBytes, source: misfit.source, memory },
    );
  }
}
