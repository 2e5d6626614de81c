// Sums over the threads of a workgroup. Threads stand in rows of `lanes` (a power of two); every row gets the sums of its
// own threads. With subgroups most of the tree is shuffles; without, it is workgroup memory and barriers.
//
// A subgroup's size is never assumed: 4 on SwiftShader, 8 to 32 on Intel, 32 on NVIDIA, 64 on AMD. That threads are numbered
// consecutively within a subgroup is assumed, as every implementation does it.

import { type Reduction, repeat } from './kernel.ts';

export interface ReduceShape {
  reduction: Reduction;
  workgroupSize: number;
  /** Threads that share a sum: a power of two that divides the workgroup. */
  lanes: number;
  /** Sums that each thread brings. */
  values: number;
}

/** Builtins that `main` must take for the reduction below. */
export function reduceBuiltins(reduction: Reduction): string {
  return reduction === 'subgroup' ? ', @builtin(subgroup_size) subgroupSize: u32' : '';
}

/** Workgroup memory that the reduction needs. */
export function reduceMemory({ values, workgroupSize }: ReduceShape): string {
  return `var<workgroup> partialSums: array<f32, ${values * workgroupSize}>;`;
}

/** Statements that turn `sum0 … sum<values − 1>` into sums over the lanes, valid in lane 0 at least. Uses `thread`, `lane`. */
export function reduceStatements(shape: ReduceShape): string {
  return shape.reduction === 'subgroup' ? subgroupStatements(shape) : workgroupStatements(shape);
}

function subgroupStatements({ lanes, values, workgroupSize }: ReduceShape): string {
  return `
  let joined = min(subgroupSize, ${lanes}u);
  for (var stride = 1u; stride < joined; stride = stride << 1u) {
    ${repeat(values, (i) => `sum${i} += subgroupShuffleXor(sum${i}, stride);`, '\n    ')}
  }
  if (joined < ${lanes}u) {
    ${repeat(values, (i) => `partialSums[${i * workgroupSize}u + thread] = sum${i};`, '\n    ')}
    workgroupBarrier();
    if (lane == 0u) {
      for (var other = joined; other < ${lanes}u; other += joined) {
        ${repeat(values, (i) => `sum${i} += partialSums[${i * workgroupSize}u + thread + other];`, '\n        ')}
      }
    }
  }`;
}

function workgroupStatements({ lanes, values, workgroupSize }: ReduceShape): string {
  return `
  ${repeat(values, (i) => `partialSums[${i * workgroupSize}u + thread] = sum${i};`, '\n  ')}
  for (var stride = ${lanes / 2}u; stride > 0u; stride = stride >> 1u) {
    workgroupBarrier();
    if (lane < stride) {
      ${repeat(values, (i) => `sum${i} += partialSums[${i * workgroupSize}u + thread + stride];`, '\n      ')}
      ${repeat(values, (i) => `partialSums[${i * workgroupSize}u + thread] = sum${i};`, '\n      ')}
    }
  }`;
}
