// Puts the splits of attention-decode together: result = Σ exp(m_s − m)·values_s / Σ exp(m_s − m)·total_s.

import { type AttentionMergeVariant, attentionMergeWgsl } from './attention-merge.wgsl.ts';
import { type Kernel, STEP_BINDING } from './kernel.ts';

export const attentionMergeKernel: Kernel<AttentionMergeVariant> = {
  name: 'attentionMerge',
  bindings: () => [
    STEP_BINDING,
    { name: 'partials', access: 'read', type: 'array<vec2<f32>>' },
    { name: 'result', access: 'write', type: 'array<vec2<f32>>' },
  ],
  wgsl: attentionMergeWgsl,
  workgroups: ({ heads }) => [heads, 1, 1],
};
