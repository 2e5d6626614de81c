// The scan on the GPU, in three steps of one program. `score`: a thread a row multiplies its codes with the query; each workgroup
// writes the best of the scores that are certain. `limit`: one workgroup finds the `count`-th largest of these, below which
// `count` rows certainly do not lie. `collect`: the rows that can reach it go into a list.

import { TINY_SCORE } from './quantized-rows.ts';

/** Rows of a workgroup. */
export const WORKGROUP_ROWS = 128;

const LIMIT_THREADS = 256;

export const SEARCH_WGSL = `
struct Parameters {
  // Of a row: codes / 16.
  chunks: u32,
  // Of this part of the codes, and where it begins.
  rows: u32,
  firstRow: u32,
  // Workgroups of all parts.
  groups: u32,
  count: u32,
  queryLength: f32,
  threshold: f32,
}

@group(0) @binding(0) var<uniform> p: Parameters;
@group(0) @binding(1) var<storage, read> codes: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> query: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> scales: array<vec2<f32>>;
@group(0) @binding(4) var<storage, read_write> scores: array<f32>;
@group(0) @binding(5) var<storage, read_write> maxima: array<f32>;
// How many were found, the limit, and the rows.
@group(0) @binding(6) var<storage, read_write> found: array<atomic<u32>>;

const LEAST = -3.4e38;

fn fourCodes(word: u32) -> vec4<f32> {
  let shifted = bitcast<vec4<i32>>(vec4<u32>(word << 24u, word << 16u, word << 8u, word));
  return vec4<f32>(shifted >> vec4<u32>(24u));
}

fn uncertainty(row: u32) -> f32 {
  return scales[row].y * p.queryLength + ${TINY_SCORE};
}

var<workgroup> best: array<f32, ${WORKGROUP_ROWS}>;

@compute @workgroup_size(${WORKGROUP_ROWS})
fn score(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) size: vec3<u32>,
    @builtin(local_invocation_index) thread: u32) {
  let part = group.y * size.x + group.x;
  let own = part * ${WORKGROUP_ROWS}u + thread;
  let row = p.firstRow + own;
  var certain = LEAST;
  if (own < p.rows) {
    var sum = vec4<f32>();
    for (var chunk = 0u; chunk < p.chunks; chunk++) {
      let words = codes[own * p.chunks + chunk];
      let at = chunk * 4u;
      sum += fourCodes(words.x) * query[at] + fourCodes(words.y) * query[at + 1u]
          + fourCodes(words.z) * query[at + 2u] + fourCodes(words.w) * query[at + 3u];
    }
    let total = (sum.x + sum.y + sum.z + sum.w) * scales[row].x;
    scores[row] = total;
    certain = total - uncertainty(row);
  }
  best[thread] = certain;
  for (var stride = ${WORKGROUP_ROWS / 2}u; stride > 0u; stride = stride >> 1u) {
    workgroupBarrier();
    if (thread < stride) { best[thread] = max(best[thread], best[thread + stride]); }
  }
  let group0 = p.firstRow / ${WORKGROUP_ROWS}u;
  if (thread == 0u && part * ${WORKGROUP_ROWS}u < p.rows) { maxima[group0 + part] = best[0]; }
}

// Floats in the order of unsigned numbers.
fn orderOf(number: f32) -> u32 {
  let bits = bitcast<u32>(number);
  return select(bits | 0x80000000u, ~bits, (bits & 0x80000000u) != 0u);
}

var<workgroup> reached: atomic<u32>;

@compute @workgroup_size(${LIMIT_THREADS})
fn limit(@builtin(local_invocation_index) thread: u32) {
  // Bit by bit, the largest number that at least \`count\` of the maxima reach.
  var kth = 0u;
  for (var bit = 0x80000000u; bit > 0u; bit = bit >> 1u) {
    if (thread == 0u) { atomicStore(&reached, 0u); }
    workgroupBarrier();
    var own = 0u;
    for (var group = thread; group < p.groups; group += ${LIMIT_THREADS}u) {
      own += select(0u, 1u, orderOf(maxima[group]) >= (kth | bit));
    }
    atomicAdd(&reached, own);
    workgroupBarrier();
    let isReached = atomicLoad(&reached) >= p.count;
    workgroupBarrier();
    if (isReached) { kth = kth | bit; }
  }
  if (thread == 0u) {
    atomicStore(&found[0], 0u);
    atomicStore(&found[1], max(kth, orderOf(p.threshold)));
  }
}

@compute @workgroup_size(${WORKGROUP_ROWS})
fn collect(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) size: vec3<u32>,
    @builtin(local_invocation_index) thread: u32) {
  let own = (group.y * size.x + group.x) * ${WORKGROUP_ROWS}u + thread;
  if (own >= p.rows) { return; }
  let row = p.firstRow + own;
  if (orderOf(scores[row] + uncertainty(row)) < atomicLoad(&found[1])) { return; }
  let place = atomicAdd(&found[0], 1u);
  atomicStore(&found[2u + place], row);
}
`;
