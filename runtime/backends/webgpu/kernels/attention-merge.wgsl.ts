import { type AttentionDecodeVariant, LOWEST, partialSize, splitStatements } from './attention-decode.wgsl.ts';
import { repeat } from './kernel.ts';

/** As attention-decode was told: from its splits those that there are follow. */
export interface AttentionMergeVariant extends Pick<
  AttentionDecodeVariant,
  'heads' | 'headDim' | 'splitPositions' | 'mostSplits' | 'window'
> {
  kernel: 'attentionMerge';
  workgroupSize: number;
}

/** Splits that a thread reads before it adds the first of them. */
const UNROLL = 4;

/** One workgroup a head: a thread a split for the weights, then a thread a pair of dimensions and share of the splits. */
export function attentionMergeWgsl(variant: AttentionMergeVariant): string {
  const { heads, headDim, mostSplits, workgroupSize } = variant;
  const size = partialSize(headDim) / 2;
  const pairs = headDim / 2;
  const shares = Math.max(1, Math.floor(workgroupSize / pairs));
  return `
var<workgroup> weights: array<f32, ${mostSplits}>;
var<workgroup> totals: array<vec2<f32>, ${mostSplits}>;
var<workgroup> sums: array<vec2<f32>, ${shares * pairs}>;

@compute @workgroup_size(${workgroupSize})
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let head = workgroup.x;
  ${splitStatements(variant)}
  let splits = (seen + splitSize - 1u) / splitSize;
  for (var i = thread; i < splits; i += ${workgroupSize}u) {
    totals[i] = partials[(i * ${heads}u + head) * ${size}u];
  }
  workgroupBarrier();
  var maximum = ${LOWEST};
  for (var i = 0u; i < splits; i++) {
    maximum = max(maximum, totals[i].x);
  }
  for (var i = thread; i < splits; i += ${workgroupSize}u) {
    weights[i] = exp(max(totals[i].x - maximum, -80.0));
  }
  workgroupBarrier();
  var total = 0.0;
  for (var i = 0u; i < splits; i++) {
    total += weights[i] * totals[i].y;
  }
  for (var item = thread; item < ${shares * pairs}u; item += ${workgroupSize}u) {
    let pair = item % ${pairs}u;
    var sum = vec2<f32>(0.0);
    for (var i = item / ${pairs}u; i < splits; i += ${UNROLL * shares}u) {
      ${repeat(UNROLL, (u) => `let i${u} = min(i + ${u * shares}u, splits - 1u);\n      let part${u} = partials[(i${u} * ${heads}u + head) * ${size}u + 1u + pair];`, '\n      ')}
      ${repeat(UNROLL, (u) => `sum += select(0.0, weights[i${u}], i + ${u * shares}u < splits) * part${u};`, '\n      ')}
    }
    sums[item] = sum;
  }
  workgroupBarrier();
  for (var pair = thread; pair < ${pairs}u; pair += ${workgroupSize}u) {
    result[head * ${pairs}u + pair] = (${repeat(shares, (s) => `sums[pair + ${s * pairs}u]`, ' + ')}) / total;
  }
}`;
}
