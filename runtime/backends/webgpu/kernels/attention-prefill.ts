// Attention of many tokens: tiles of queries pass over tiles of the cache with an online softmax (flash attention), so no
// score matrix is ever stored.

import { type AttentionPrefillVariant, attentionPrefillWgsl } from './attention-prefill.wgsl.ts';
import { type Binding, type Kernel, STEP_BINDING } from './kernel.ts';

export const attentionPrefillBindings: readonly Binding[] = [
  STEP_BINDING,
  { name: 'queries', access: 'read', type: 'array<vec4<f32>>' },
  { name: 'keys', access: 'read', type: 'array<vec2<u32>>' },
  { name: 'values', access: 'read', type: 'array<vec2<u32>>' },
  { name: 'result', access: 'write', type: 'array<vec4<f32>>' },
];

export const attentionPrefillKernel: Kernel<AttentionPrefillVariant> = {
  name: 'attentionPrefill',
  bindings: () => attentionPrefillBindings,
  wgsl: attentionPrefillWgsl,
  workgroups: ({ heads, tileQueries }, { tokens }) => [heads, Math.ceil(tokens / tileQueries), 1],
};
