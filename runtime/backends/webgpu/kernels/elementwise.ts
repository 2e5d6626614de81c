// Kernels of one thread a vec4 of the output: add, gated activation, selecting rows.

import {
  type AddVariant,
  addWgsl,
  type ElementwiseVariant,
  type GatedActivationVariant,
  gatedActivationWgsl,
  type SelectRowsVariant,
  selectRowsWgsl,
} from './elementwise.wgsl.ts';
import { type Kernel, spread, STEP_BINDING, type StepSizes, type Workgroups } from './kernel.ts';
import { rowCount } from './rows.ts';

function workgroups({ rows, columns, workgroupSize }: ElementwiseVariant<string>, sizes: StepSizes): Workgroups {
  return spread(Math.ceil((rowCount(rows, sizes) * columns) / 4 / workgroupSize));
}

const VECTORS = 'array<vec4<f32>>';

export const addKernel: Kernel<AddVariant> = {
  name: 'add',
  bindings: () => [
    STEP_BINDING,
    { name: 'a', access: 'read', type: VECTORS },
    { name: 'b', access: 'read', type: VECTORS },
    { name: 'result', access: 'write', type: VECTORS },
  ],
  wgsl: addWgsl,
  workgroups,
};

export const gatedActivationKernel: Kernel<GatedActivationVariant> = {
  name: 'gatedActivation',
  bindings: () => [
    STEP_BINDING,
    { name: 'gateAndUp', access: 'read', type: VECTORS },
    { name: 'result', access: 'write', type: VECTORS },
  ],
  wgsl: gatedActivationWgsl,
  workgroups,
};

export const selectRowsKernel: Kernel<SelectRowsVariant> = {
  name: 'selectRows',
  bindings: () => [
    STEP_BINDING,
    { name: 'x', access: 'read', type: VECTORS },
    { name: 'selected', access: 'read', type: 'array<i32>' },
    { name: 'result', access: 'write', type: VECTORS },
  ],
  wgsl: selectRowsWgsl,
  workgroups,
};
