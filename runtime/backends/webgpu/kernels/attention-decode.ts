// Attention of one token over its cache. The context is cut into splits that run in parallel, each with its own softmax
// (maximum, sum, weighted values); attention-merge puts them together. When one split is enough it writes the result itself.
//
// A workgroup serves several query heads of one key-value head, so that keys and values are read once for all of them.

import { type AttentionDecodeVariant, attentionDecodeWgsl, keyType } from './attention-decode.wgsl.ts';
import { type Kernel, STEP_BINDING, type StepSizes } from './kernel.ts';

export const attentionDecodeKernel: Kernel<AttentionDecodeVariant> = {
  name: 'attentionDecode',
  bindings: ({ headDim, output }) => [
    STEP_BINDING,
    { name: 'queries', access: 'read', type: 'array<vec4<f32>>' },
    { name: 'keys', access: 'read', type: `array<${keyType(headDim)}>` },
    { name: 'values', access: 'read', type: 'array<vec2<u32>>' },
    { name: output, access: 'write', type: 'array<vec2<f32>>' },
  ],
  wgsl: attentionDecodeWgsl,
  workgroups: (variant, sizes) => [
    Math.ceil(variant.heads / variant.keyValueHeads / variant.headsPerWorkgroup),
    variant.keyValueHeads,
    attentionSplits(variant, sizes),
  ],
};

/** Splits of the positions that the token at `past` sees. */
export function attentionSplits(
  shape: Pick<AttentionDecodeVariant, 'splitPositions' | 'mostSplits' | 'window'>,
  sizes: Pick<StepSizes, 'past'>,
): number {
  return Math.ceil(seenPositions(shape, sizes) / splitSize(shape, sizes));
}

/** Positions of each of them but the last. */
export function splitSize(
  shape: Pick<AttentionDecodeVariant, 'splitPositions' | 'mostSplits' | 'window'>,
  sizes: Pick<StepSizes, 'past'>,
): number {
  const { splitPositions, mostSplits } = shape;
  return Math.ceil(seenPositions(shape, sizes) / (splitPositions * mostSplits)) * splitPositions;
}

function seenPositions({ window }: Pick<AttentionDecodeVariant, 'window'>, { past }: Pick<StepSizes, 'past'>): number {
  return Math.min(past + 1, window ?? Infinity);
}
