// Splits stacked queries, keys and values by head: norms (qwen3) and rotates queries and keys, writes the queries to an
// activation and keys and values to the caches, in f16 packed two a word (no f16 feature needed).

import { type Kernel, STEP_BINDING } from './kernel.ts';
import { partSlots, type RotaryCacheVariant, rotaryCacheWgsl } from './rotary-cache.wgsl.ts';

export const rotaryCacheKernel: Kernel<RotaryCacheVariant> = {
  name: 'rotaryCache',
  bindings: ({ hasQueryNorm, hasKeyNorm, part }) => [
    STEP_BINDING,
    { name: 'qkv', access: 'read', type: 'array<vec2<f32>>' },
    ...(part === 'values' ? [] : [{ name: 'rotary', access: 'read', type: 'array<vec2<f32>>' } as const]),
    ...(hasQueryNorm ? [{ name: 'queryNorm', access: 'read', type: 'array<vec2<f32>>' } as const] : []),
    ...(hasKeyNorm ? [{ name: 'keyNorm', access: 'read', type: 'array<vec2<f32>>' } as const] : []),
    ...((part ?? 'keys') === 'keys' ? [{ name: 'keys', access: 'write', type: 'array<u32>' } as const] : []),
    ...((part ?? 'values') === 'values' ? [{ name: 'values', access: 'write', type: 'array<u32>' } as const] : []),
    ...((part ?? 'queries') === 'queries'
      ? [{ name: 'queries', access: 'write', type: 'array<vec2<f32>>' } as const]
      : []),
  ],
  wgsl: rotaryCacheWgsl,
  workgroups: (variant, { tokens }) => [partSlots(variant).slots, tokens, 1],
};
