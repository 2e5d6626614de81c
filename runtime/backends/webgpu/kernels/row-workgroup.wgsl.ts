// How the kernels begin that give each row a workgroup of its own, and sum over it.

import { reduceBuiltins, reduceMemory, type ReduceShape } from './reduce.wgsl.ts';
import { type Rows, rowsExpression } from './rows.ts';

/** A kernel up to its first sum: `row`, `thread`, and `lane` and `sum0` for reduceStatements, whose lanes are the workgroup. */
export function rowWorkgroupStart(rows: Rows, shape: ReduceShape): string {
  return `
${reduceMemory(shape)}

@compute @workgroup_size(${shape.workgroupSize})
fn main(
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(num_workgroups) workgroupCount: vec3<u32>,
  @builtin(local_invocation_index) thread: u32${reduceBuiltins(shape.reduction)}
) {
  let row = workgroup.y * workgroupCount.x + workgroup.x;
  if (row >= ${rowsExpression(rows)}) {
    return;
  }
  let lane = thread;
  var sum0 = 0.0;`;
}
