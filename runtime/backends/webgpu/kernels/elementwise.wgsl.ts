import { activationFunction } from './activation.wgsl.ts';
import { type Rows, rowsExpression } from './rows.ts';

export interface ElementwiseVariant<Name extends string> {
  kernel: Name;
  /** Rows of the output. */
  rows: Rows;
  /** Of the output. */
  columns: number;
  workgroupSize: number;
}

export type AddVariant = ElementwiseVariant<'add'>;
export type SelectRowsVariant = ElementwiseVariant<'selectRows'>;
export interface GatedActivationVariant extends ElementwiseVariant<'gatedActivation'> {
  activation: 'silu' | 'gelu-tanh';
}

/** `main` around statements that use `index`, and `row` and `column` in vec4s. */
function elementwise(variant: ElementwiseVariant<string>, statements: string): string {
  const { rows, columns, workgroupSize } = variant;
  return `
const VECTORS = ${columns / 4}u;

@compute @workgroup_size(${workgroupSize})
fn main(
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(num_workgroups) workgroupCount: vec3<u32>,
  @builtin(local_invocation_index) thread: u32
) {
  let index = (workgroup.y * workgroupCount.x + workgroup.x) * ${workgroupSize}u + thread;
  if (index >= ${rowsExpression(rows)} * VECTORS) {
    return;
  }
  let row = index / VECTORS;
  let column = index % VECTORS;
  ${statements}
}`;
}

export function addWgsl(variant: AddVariant): string {
  return elementwise(variant, 'result[index] = a[index] + b[index];');
}

export function gatedActivationWgsl(variant: GatedActivationVariant): string {
  const body = elementwise(
    variant,
    `let gate = gateAndUp[row * 2u * VECTORS + column];
  let up = gateAndUp[row * 2u * VECTORS + VECTORS + column];
  result[index] = activation(gate) * up;`,
  );
  return `${activationFunction(variant.activation, 'vec4<f32>')}\n${body}`;
}

export function selectRowsWgsl(variant: SelectRowsVariant): string {
  return elementwise(variant, 'result[index] = x[u32(selected[row]) * VECTORS + column];');
}
