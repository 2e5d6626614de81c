// As matmul, of a quantised matrix where the GPU multiplies bytes four at a time: activations become signed bytes on the way.

import { BLOCK, FORMATS } from '../../../quantization/formats.ts';
import { type Kernel, STEP_BINDING } from './kernel.ts';
import { type MatmulIntegerVariant, matmulIntegerWgsl } from './matmul-integer.wgsl.ts';
import { MATMUL_SHAPE_WGSL, type MatmulShape } from './matmul.wgsl.ts';
import { rowCount } from './rows.ts';
import { weightBindings } from './weight-format.wgsl.ts';
import { chunkScales } from './weight-scales.wgsl.ts';

export const matmulIntegerKernel: Kernel<MatmulIntegerVariant, MatmulShape> = {
  name: 'matmulInteger',
  bindings: ({ format, hasBias }) => [
    STEP_BINDING,
    { name: 'shape', access: 'uniform', type: 'Shape' },
    { name: 'x', access: 'read', type: 'array<vec4<f32>>' },
    ...weightBindings(format, BLOCK, chunkScales(FORMATS[format], BLOCK)),
    ...(hasBias ? [{ name: 'bias', access: 'read', type: 'array<f32>' } as const] : []),
    { name: 'result', access: 'write', type: 'array<f32>' },
  ],
  wgsl: (variant) => `${MATMUL_SHAPE_WGSL}\n${matmulIntegerWgsl(variant)}`,
  workgroups: (variant, sizes, shape) => [
    Math.ceil(shape.rows / (variant.threadsRows * variant.rowsPerThread)),
    Math.ceil(rowCount(shape.tokens, sizes) / (variant.threadsTokens * variant.tokensPerThread)),
    1,
  ],
};
