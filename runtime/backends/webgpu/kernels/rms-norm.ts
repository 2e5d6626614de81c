// RMS norm of each row, alone or after adding the residual; the sum is kept too, since the next layer adds to it.

import { type Kernel, spread, STEP_BINDING } from './kernel.ts';
import { type RmsNormVariant, rmsNormWgsl } from './rms-norm.wgsl.ts';
import { rowCount } from './rows.ts';

export const rmsNormKernel: Kernel<RmsNormVariant> = {
  name: 'rmsNorm',
  bindings: ({ kernel }) => {
    const vectors = 'array<vec4<f32>>';
    const isAdding = kernel === 'addRmsNorm';
    return [
      STEP_BINDING,
      { name: 'x', access: 'read', type: vectors },
      ...(isAdding ? [{ name: 'residual', access: 'read', type: vectors } as const] : []),
      { name: 'weight', access: 'read', type: vectors },
      ...(isAdding ? [{ name: 'added', access: 'write', type: vectors } as const] : []),
      { name: 'result', access: 'write', type: vectors },
    ];
  },
  wgsl: rmsNormWgsl,
  workgroups: ({ rows }, sizes) => spread(rowCount(rows, sizes)),
};
