// The search for a plan on one backend: of the contexts, precisions and chunks that the wishes leave open, the first that
// fits. First the chunk gives way, then the precision down to 4 bits, then the context, and at
// last the precision again.

import type { ActivationPlan } from '../graph/memory-plan.ts';
import type { Graph } from '../graph/types.ts';
import type { BackendName, Capabilities, LoadOptions, PrecisionName } from '../types.ts';
import { chooseContextLengths } from './context-length.ts';
import { activationPlan, estimateMemory, type MemoryEstimate, type ProgramSizes } from './memory-estimate.ts';
import { findMisfit, memoryLimit, type MemoryLimit, type Misfit } from './memory-limit.ts';
import {
  chooseFormats,
  type FormatChoice,
  type PrecisionLadder,
  type PrecisionPolicy,
  type StoredFormats,
} from './precision-policy.ts';
import { describeBytes, describeCount, type Reason } from './reason.ts';

export interface PlanWishes extends Pick<
  LoadOptions,
  'backend' | 'contextLength' | 'memoryLimitBytes' | 'threads' | 'webnnDevice'
> {
  /** Bits a role and a layer come as a policy: see quantization-options.ts. What a file was measured for is a ladder: measured-precision.ts. */
  precision?: PrecisionName | PrecisionPolicy | PrecisionLadder | undefined;
}

export interface PlanRequest {
  /** Lowered (graph/passes): formats are planned for the weights that a backend will get. */
  graph: Graph;
  capabilities: Capabilities;
  wishes: PlanWishes;
  model: {
    maxContextLength: number;
    storedFormats: StoredFormats;
  };
}

export interface Fit extends ProgramSizes {
  choice: FormatChoice;
  memory: MemoryEstimate;
  reasons: Reason[];
}

/** Nothing fits: what of the smallest plan does not, and that plan's figures. */
export interface NoFit {
  misfit: Misfit;
  memory: MemoryEstimate;
  choice: FormatChoice;
  contextLength: number;
}

/** Prefill chunks to try. An abort waits for a chunk at most, so a CPU takes shorter ones. */
const CHUNKS: Record<BackendName, readonly number[]> = {
  webgpu: [512, 256, 128, 64],
  webnn: [512, 256, 128, 64],
  wasm: [128, 64, 32],
};

/** The rows of logits that one step computes when a text is scored take at most this. */
const LOGITS_BYTES = 2 * 2 ** 20;

export function findFit(backend: BackendName, request: PlanRequest): Fit | NoFit {
  const { graph, capabilities, wishes, model } = request;
  const choices = chooseFormats(graph, model.storedFormats, wishes.precision ?? 'auto');
  const contextLengths = chooseContextLengths(wishes.contextLength, model.maxContextLength);
  const limit = memoryLimit(backend, capabilities, wishes.memoryLimitBytes);
  const chunks = CHUNKS[backend];
  // Activations depend on the chunk alone: the plan of each is made once.
  const activationPlans = new Map<number, ActivationPlan>();
  let smallest: NoFit | undefined;
  const lastResorts = choices.filter(({ isLastResort }) => isLastResort);
  const rounds = [choices.filter((choice) => !lastResorts.includes(choice)), ...lastResorts.map((choice) => [choice])];
  for (const [round, contextLength] of rounds.flatMap((round) =>
    contextLengths.map((length) => [round, length] as const),
  )) {
    for (const choice of round) {
      for (const chunk of chunks) {
        const sizes = programSizes(graph, contextLength, chunk);
        const activations = activationPlans.get(sizes.maxTokens) ?? activationPlan(graph, sizes);
        activationPlans.set(sizes.maxTokens, activations);
        const { formats } = choice;
        const memory = estimateMemory(graph, formats, contextLength, activations);
        const candidate = { graph, formats, contextLength, activations, memory };
        const misfit = findMisfit(backend, capabilities, candidate, limit);
        if (!misfit) {
          const reasons: Reason[] = [
            ...choice.reasons,
            contextReason(contextLength, contextLengths[0]!, request),
            ...(chunk < chunks[0]! ? [chunkReason(chunk)] : []),
            memoryReason(memory.total, limit),
          ];
          return { ...sizes, choice, memory, reasons };
        }
        if (!smallest || memory.total < smallest.memory.total) smallest = { misfit, memory, choice, contextLength };
      }
    }
  }
  return smallest!;
}

function programSizes(graph: Graph, contextLength: number, chunk: number): ProgramSizes {
  const maxTokens = Math.min(chunk, contextLength);
  const logits = graph.outputs['logits'];
  const vocabulary = logits === undefined ? 1 : Number(graph.values[logits]!.shape.at(-1));
  const rows = Math.floor(LOGITS_BYTES / (4 * vocabulary));
  return { contextLength, maxTokens, maxOutputs: Math.min(Math.max(rows, 1), maxTokens) };
}

function contextReason(contextLength: number, wanted: number, { wishes, model }: PlanRequest): Reason {
  const tokens = describeCount(contextLength);
  const most = `the model allows ${describeCount(model.maxContextLength)}`;
  if (wishes.contextLength !== undefined)
    return { topic: 'context', reason: `${tokens} tokens were asked for; ${most}.` };
  if (contextLength === wanted)
    return { topic: 'context', reason: `${tokens} tokens unless asked otherwise; ${most}.` };
  return {
    topic: 'context',
    reason: `${tokens} tokens instead of ${describeCount(wanted)}, to fit the memory; ${most}.`,
  };
}

function chunkReason(chunk: number): Reason {
  return { topic: 'prefill', reason: `Prompts are read ${chunk} tokens at a time, to save memory.` };
}

function memoryReason(totalBytes: number, limit: MemoryLimit | undefined): Reason {
  const known = limit ? `the limit is ${describeBytes(limit.bytes)} (${limit.source})` : 'no limit is known';
  return { topic: 'memory', reason: `${describeBytes(totalBytes)} in all; ${known}.` };
}
