import { float, type Reduction } from './kernel.ts';
import { reduceStatements } from './reduce.wgsl.ts';
import { rowWorkgroupStart } from './row-workgroup.wgsl.ts';
import type { Rows } from './rows.ts';

export interface RmsNormVariant {
  kernel: 'rmsNorm' | 'addRmsNorm';
  rows: Rows;
  columns: number;
  epsilon: number;
  workgroupSize: number;
  reduction: Reduction;
}

/** One workgroup a row. */
export function rmsNormWgsl(variant: RmsNormVariant): string {
  const { kernel, rows, columns, epsilon, workgroupSize, reduction } = variant;
  const isAdding = kernel === 'addRmsNorm';
  const shape = { reduction, workgroupSize, lanes: workgroupSize, values: 1 };
  return `
const VECTORS = ${columns / 4}u;
var<workgroup> inverse: f32;
${rowWorkgroupStart(rows, shape)}
  for (var i = thread; i < VECTORS; i += ${workgroupSize}u) {
    ${isAdding ? 'let value = x[row * VECTORS + i] + residual[row * VECTORS + i];' : 'let value = x[row * VECTORS + i];'}
    ${isAdding ? 'added[row * VECTORS + i] = value;' : ''}
    sum0 += dot(value, value);
  }
  ${reduceStatements(shape)}
  if (thread == 0u) {
    inverse = inverseSqrt(sum0 / ${float(columns)} + ${float(epsilon)});
  }
  workgroupBarrier();
  // Each thread reads back what it wrote itself, so no barrier is needed for \`added\`.
  for (var i = thread; i < VECTORS; i += ${workgroupSize}u) {
    let value = ${isAdding ? 'added' : 'x'}[row * VECTORS + i];
    result[row * VECTORS + i] = value * inverse * weight[i];
  }
}`;
}
