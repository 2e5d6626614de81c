// One row of activations times a weight matrix: the linear layers of a decode step. Bound by the weights' bytes, so every
// thread reads 16 bytes at a time, neighbours read neighbouring chunks, and each chunk of activations serves several rows.
// What stands before and after a linear layer can be taken along: a norm on the way in; a residual, a gated activation, or
// rotation and cache on the way out. Each saves a dispatch, and on a fast GPU a decode step is mostly dispatches.

import { type Binding, type Kernel, spread, STEP_BINDING } from './kernel.ts';
import { matvecUnits } from './matvec-epilogue.wgsl.ts';
import type { MatvecVariant } from './matvec-variant.ts';
import { matvecWgsl } from './matvec.wgsl.ts';
import { weightBindings } from './weight-format.wgsl.ts';

export const matvecKernel: Kernel<MatvecVariant> = {
  name: 'matvec',
  bindings: (variant) => matvecBindings(variant, weightBindings(variant.format, variant.columns)),
  wgsl: matvecWgsl,
  workgroups: (variant) => spread(Math.ceil(matvecUnits(variant) / (variant.workgroupSize / variant.lanes))),
};

/** Of any matrix-vector kernel: the activations, the matrix, and what is taken along. */
export function matvecBindings(
  { hasBias, normEpsilon, hasResidual, rotary }: Omit<MatvecVariant, 'kernel'>,
  matrix: readonly Binding[],
): Binding[] {
  return [
    STEP_BINDING,
    { name: 'x', access: 'read', type: 'array<vec4<f32>>' },
    ...matrix,
    ...optional(hasBias, { name: 'bias', access: 'read', type: 'array<f32>' }),
    ...optional(normEpsilon !== undefined, { name: 'gain', access: 'read', type: 'array<vec4<f32>>' }),
    ...optional(hasResidual === true, { name: 'residual', access: 'read', type: 'array<f32>' }),
    ...(rotary === undefined ? [RESULT] : ROTARY_BINDINGS),
  ];
}

const RESULT: Binding = { name: 'result', access: 'write', type: 'array<f32>' };

const ROTARY_BINDINGS: readonly Binding[] = [
  { name: 'rotary', access: 'read', type: 'array<vec2<f32>>' },
  { name: 'keys', access: 'write', type: 'array<u32>' },
  { name: 'values', access: 'write', type: 'array<u32>' },
  { name: 'queries', access: 'write', type: 'array<vec2<f32>>' },
];

function optional(isThere: boolean, binding: Binding): Binding[] {
  return isThere ? [binding] : [];
}
