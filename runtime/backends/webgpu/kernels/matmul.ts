// Several rows of activations times a weight matrix: the linear layers of prefill. Each workgroup makes a tile of
// tokens × rows; tiles of both operands go through workgroup memory, the weights being dequantised on the way.

import { type Kernel, STEP_BINDING } from './kernel.ts';
import { MATMUL_SHAPE_WGSL, type MatmulShape, type MatmulVariant, matmulWgsl, tileStride } from './matmul.wgsl.ts';
import { rowCount } from './rows.ts';
import { weightBindings } from './weight-format.wgsl.ts';

export const matmulKernel: Kernel<MatmulVariant, MatmulShape> = {
  name: 'matmul',
  bindings: ({ format, columnMultiple, hasBias }) => [
    STEP_BINDING,
    { name: 'shape', access: 'uniform', type: 'Shape' },
    { name: 'x', access: 'read', type: 'array<vec4<f32>>' },
    ...weightBindings(format, columnMultiple),
    ...(hasBias ? [{ name: 'bias', access: 'read', type: 'array<f32>' } as const] : []),
    { name: 'result', access: 'write', type: 'array<f32>' },
  ],
  wgsl: (variant) => `${MATMUL_SHAPE_WGSL}\n${matmulWgsl(variant)}`,
  workgroups: (variant, sizes, shape) => [
    Math.ceil(shape.rows / (variant.threadsRows * variant.rowsPerThread)),
    Math.ceil(rowCount(shape.tokens, sizes) / (variant.threadsTokens * variant.tokensPerThread)),
    1,
  ],
};

type TileField = 'threadsTokens' | 'tokensPerThread' | 'threadsRows' | 'rowsPerThread' | 'tileColumns' | 'tileType';

/** Bytes of workgroup memory of a variant. */
export function matmulWorkgroupBytes(variant: Pick<MatmulVariant, TileField>): number {
  const { threadsTokens, tokensPerThread, threadsRows, rowsPerThread, tileType } = variant;
  const tileRows = threadsTokens * tokensPerThread + threadsRows * rowsPerThread;
  return tileRows * tileStride(variant) * (tileType === 'f16' ? 8 : 16);
}
