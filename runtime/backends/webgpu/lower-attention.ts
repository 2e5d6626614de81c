// Attention: a tile of queries at a time in prefill; in decoding the context in splits, and their merge when there are several.

import type { Graph, Operation } from '../../graph/types.ts';
import type { DeviceProfile } from './device-profile.ts';
import {
  type Alternative,
  always,
  type BufferReference,
  type KernelCall,
  type LoweredOperation,
} from './kernel-calls.ts';
import { attentionDecodeKernel, attentionSplits } from './kernels/attention-decode.ts';
import { partialSize } from './kernels/attention-decode.wgsl.ts';
import { attentionMergeKernel } from './kernels/attention-merge.ts';
import { attentionPrefillKernel } from './kernels/attention-prefill.ts';
import type { AttentionPrefillVariant } from './kernels/attention-prefill.wgsl.ts';
import { requireMultiple } from './kernels/kernel.ts';
import { attentionDecodeConfiguration, attentionPrefillConfiguration, hasMatrixAttention } from './ladder.ts';
import { call, type LoweringContext, stateBuffer, STEP_BUFFER, valueBuffer } from './lowering-context.ts';
import { matrixKernels } from './matrix-kernels.ts';

type Attention = Operation & { op: 'attention' };

export function lowerAttention(
  operation: Attention,
  { profile, contextLength, step }: LoweringContext,
): LoweredOperation {
  const { heads, keyValueHeads, headDim, scale, window, keyState, valueState } = operation.attributes;
  requireMultiple('headDim', headDim, 4);
  const shape = { heads, keyValueHeads, headDim, context: contextLength, scale, window };
  const decode = { kernel: 'attentionDecode', ...shape, ...attentionDecodeConfiguration(profile, shape) } as const;
  const merge = {
    kernel: 'attentionMerge',
    heads,
    headDim,
    splitPositions: decode.splitPositions,
    mostSplits: decode.mostSplits,
    window,
    workgroupSize: Math.min(128, decode.workgroupSize),
  } as const;

  const inputs = [STEP_BUFFER, valueBuffer(operation.inputs[0]), stateBuffer(keyState), stateBuffer(valueState)];
  const result = valueBuffer(operation.outputs[0]);
  const partials = { kind: 'partials' } as const;
  const alternatives: Alternative[] =
    step === 'decode'
      ? [
          {
            serves: (sizes) => attentionSplits(decode, sizes) === 1,
            calls: [call(attentionDecodeKernel, { ...decode, output: 'result' }, undefined, [...inputs, result])],
          },
          {
            serves: always,
            calls: [
              call(attentionDecodeKernel, { ...decode, output: 'partials' }, undefined, [...inputs, partials]),
              call(attentionMergeKernel, merge, undefined, [STEP_BUFFER, partials, result]),
            ],
          },
        ]
      : [{ serves: always, calls: [prefillCall(profile, shape, [...inputs, result])] }];
  return { operation: 'attention', layer: operation.layer, alternatives };
}

type PrefillShape = Omit<AttentionPrefillVariant, 'kernel' | 'tileQueries' | 'tilePositions' | 'lanes'>;

function prefillCall(profile: DeviceProfile, shape: PrefillShape, buffers: readonly BufferReference[]): KernelCall {
  if (hasMatrixAttention(profile, shape.headDim)) {
    const variant = { kernel: 'attentionPrefillMatrix', ...shape } as const;
    return call(matrixKernels.get().attentionPrefillMatrixKernel, variant, undefined, buffers);
  }
  const configuration = attentionPrefillConfiguration(profile, shape.headDim);
  return call(attentionPrefillKernel, { kernel: 'attentionPrefill', ...shape, ...configuration }, undefined, buffers);
}

/** Bytes of the parts that a split attention may leave, over all layers; 0 when no context needs more than one split. */
export function partialsBytes(graph: Graph, profile: DeviceProfile, contextLength: number): number {
  const sizes = graph.operations.map((operation) => {
    if (operation.op !== 'attention') return 0;
    const { heads, headDim, window } = operation.attributes;
    const splitting = attentionDecodeConfiguration(profile, operation.attributes);
    // Never more than of a context that is filled to the last split before they grow.
    const past = Math.min(contextLength, splitting.splitPositions * splitting.mostSplits) - 1;
    const splits = attentionSplits({ ...splitting, window }, { past });
    return splits > 1 ? splits * heads * partialSize(headDim) * 4 : 0;
  });
  return Math.max(0, ...sizes);
}
