// As attention-prefill, where the GPU has matrix units that a shader reaches.

import { MATRIX_SUBGROUPS } from './attention-prefill-matrix-tile.ts';
import { type AttentionPrefillMatrixVariant, attentionPrefillMatrixWgsl } from './attention-prefill-matrix.wgsl.ts';
import { attentionPrefillBindings } from './attention-prefill.ts';
import { instantiate, type Kernel } from './kernel.ts';

export const attentionPrefillMatrixKernel: Kernel<AttentionPrefillMatrixVariant> = {
  name: 'attentionPrefillMatrix',
  // The caches are read eight halves at a time.
  bindings: () =>
    attentionPrefillBindings.map((binding) =>
      /^(keys|values)$/.test(binding.name) ? { ...binding, type: 'array<vec4<u32>>' } : binding,
    ),
  wgsl: attentionPrefillMatrixWgsl,
  workgroups: ({ heads }, { tokens }) => [heads, Math.ceil(tokens / (MATRIX_SUBGROUPS * 16)), 1],
};

/** As matmul-matrix's. */
export function attentionProbe(): string {
  const shape = { heads: 1, keyValueHeads: 1, headDim: 16, context: 64, scale: 1, window: undefined };
  return instantiate(attentionPrefillMatrixKernel, { kernel: 'attentionPrefillMatrix', ...shape }, undefined).code();
}
