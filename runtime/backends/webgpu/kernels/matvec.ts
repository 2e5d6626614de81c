// One row of activations times a weight matrix: the linear layers of a decode step. Bound by the weights' bytes, so every
// thread reads 16 bytes at a time, neighbours read neighbouring chunks, and each chunk of activations serves several rows.

import { type Kernel, spread, STEP_BINDING } from './kernel.ts';
import { type MatvecVariant, matvecWgsl, rowsPerWorkgroup } from './matvec.wgsl.ts';
import { weightBindings } from './weight-format.wgsl.ts';

export const matvecKernel: Kernel<MatvecVariant> = {
  name: 'matvec',
  bindings: ({ format, columns, hasBias }) => [
    STEP_BINDING,
    { name: 'x', access: 'read', type: 'array<vec4<f32>>' },
    ...weightBindings(format, columns),
    ...(hasBias ? [{ name: 'bias', access: 'read', type: 'array<f32>' } as const] : []),
    { name: 'result', access: 'write', type: 'array<f32>' },
  ],
  wgsl: matvecWgsl,
  workgroups: (variant) => spread(Math.ceil(variant.rows / rowsPerWorkgroup(variant))),
};
