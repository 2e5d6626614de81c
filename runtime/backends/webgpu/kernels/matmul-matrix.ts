// As matmul, where the GPU has matrix units that a shader reaches: the weights become halves in workgroup memory once for all
// tokens of the tile.

import { instantiate, type Kernel, STEP_BINDING } from './kernel.ts';
import { type MatmulMatrixVariant, matmulMatrixWgsl } from './matmul-matrix.wgsl.ts';
import { MATMUL_SHAPE_WGSL, type MatmulShape } from './matmul.wgsl.ts';
import { rowCount } from './rows.ts';
import { weightBindings } from './weight-format.wgsl.ts';

export const matmulMatrixKernel: Kernel<MatmulMatrixVariant, MatmulShape> = {
  name: 'matmulMatrix',
  bindings: ({ format, hasBias }) => [
    STEP_BINDING,
    { name: 'shape', access: 'uniform', type: 'Shape' },
    { name: 'x', access: 'read', type: 'array<vec4<f32>>' },
    ...weightBindings(format, 32),
    ...(hasBias ? [{ name: 'bias', access: 'read', type: 'array<f32>' } as const] : []),
    { name: 'result', access: 'write', type: 'array<f32>' },
  ],
  wgsl: (variant) => `${MATMUL_SHAPE_WGSL}\n${matmulMatrixWgsl(variant)}`,
  workgroups: ({ tileTokens, tileRows }, sizes, shape) => [
    Math.ceil(shape.rows / tileRows),
    Math.ceil(rowCount(shape.tokens, sizes) / tileTokens),
    1,
  ],
};

/** WGSL that tells whether a browser's subgroup matrices, an experiment, are still written as these kernels write them. */
export function matrixProbe(): string {
  const tile = { tileTokens: 16, tileRows: 16, subgroupsTokens: 1, subgroupsRows: 1, tileColumns: 32 };
  const shape = { rows: 16, totalRows: 16, firstRow: 0, columns: 32, tokens: 16 };
  const variant = { kernel: 'matmulMatrix', format: 'f16', hasBias: false, ...tile } as const;
  return instantiate(matmulMatrixKernel, variant, shape).code();
}
