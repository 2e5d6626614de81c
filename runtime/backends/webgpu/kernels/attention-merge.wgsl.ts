import { LOWEST, partialSize } from './attention-decode.wgsl.ts';

export interface AttentionMergeVariant {
  kernel: 'attentionMerge';
  heads: number;
  headDim: number;
  /** As attention-decode was told: from them the number of splits follows. */
  splitPositions: number;
  window: number | undefined;
  workgroupSize: number;
}

/** One workgroup a head, one thread a pair of dimensions. */
export function attentionMergeWgsl(variant: AttentionMergeVariant): string {
  const { heads, headDim, splitPositions, window, workgroupSize } = variant;
  const size = partialSize(headDim) / 2;
  return `
@compute @workgroup_size(${workgroupSize})
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let head = workgroup.x;
  let seen = ${window === undefined ? 'step.past + 1u' : `min(step.past + 1u, ${window}u)`};
  let splits = (seen + ${splitPositions - 1}u) / ${splitPositions}u;
  var maximum = ${LOWEST};
  for (var i = 0u; i < splits; i++) {
    maximum = max(maximum, partials[(i * ${heads}u + head) * ${size}u].x);
  }
  for (var pair = thread; pair < ${headDim / 2}u; pair += ${workgroupSize}u) {
    var total = 0.0;
    var sum = vec2<f32>(0.0);
    for (var i = 0u; i < splits; i++) {
      let part = (i * ${heads}u + head) * ${size}u;
      let weight = exp(max(partials[part].x - maximum, -80.0));
      total += weight * partials[part].y;
      sum += weight * partials[part + 1u + pair];
    }
    result[head * ${headDim / 2}u + pair] = sum / total;
  }
}`;
}
