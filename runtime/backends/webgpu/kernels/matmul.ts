// Several rows of activations times a weight matrix: the linear layers of prefill. Each workgroup makes a tile of
// tokens × rows; tiles of both operands go through workgroup memory, the weights being dequantised on the way.

import { type Kernel, STEP_BINDING } from './kernel.ts';
import { type MatmulVariant, matmulWgsl, tileStride } from './matmul.wgsl.ts';
import { rowCount } from './rows.ts';
import { weightBindings } from './weight-format.wgsl.ts';

export const matmulKernel: Kernel<MatmulVariant> = {
  name: 'matmul',
  bindings: ({ format, columns, hasBias }) => [
    STEP_BINDING,
    { name: 'x', access: 'read', type: 'array<vec4<f32>>' },
    ...weightBindings(format, columns),
    ...(hasBias ? [{ name: 'bias', access: 'read', type: 'array<f32>' } as const] : []),
    { name: 'result', access: 'write', type: 'array<f32>' },
  ],
  wgsl: matmulWgsl,
  workgroups: (variant, sizes) => [
    Math.ceil(variant.rows / (variant.threadsRows * variant.rowsPerThread)),
    Math.ceil(rowCount(variant.tokens, sizes) / (variant.threadsTokens * variant.tokensPerThread)),
    1,
  ],
};

/** Bytes of workgroup memory of a variant. */
export function matmulWorkgroupBytes(variant: Omit<MatmulVariant, 'kernel' | 'format'>): number {
  const { threadsTokens, tokensPerThread, threadsRows, rowsPerThread, tileType } = variant;
  const tileRows = threadsTokens * tokensPerThread + threadsRows * rowsPerThread;
  return tileRows * tileStride(variant) * (tileType === 'f16' ? 8 : 16);
}
