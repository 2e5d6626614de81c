// Attention without a cache (ops/attend.ts): a workgroup takes 64 queries of a head, a query a thread, which keeps its query, its
// running maximum and its sums in registers. Blocks of keys and values come through workgroup memory; those that no query of the
// tile sees are not read, and a text's keys are seen by its own queries only.

import { type Binding, type Kernel, repeat, STEP_BINDING, type Variant } from '../kernels/kernel.ts';
import { rowCount, type Rows, rowsExpression } from '../kernels/rows.ts';
import { float } from './elements.wgsl.ts';

export interface AttendVariant extends Variant {
  kernel: 'attend';
  /** Of queries and of keys. */
  rows: Rows;
  keyRows: Rows;
  heads: number;
  keyValueHeads: number;
  headDim: number;
  scale: number;
  /** In numbers: the inputs' columns and first columns. */
  queryColumns: number;
  keyColumns: number;
  valueColumns: number;
  queryOffset: number;
  keyOffset: number;
  valueOffset: number;
  isCausal: boolean;
  /** −1 for none. */
  window: number;
  /** 0: spans say. */
  queryRun: number;
  keyRun: number;
  /** −1 without a bias by distance. */
  reach: number;
  /** Keys that stand in workgroup memory together. */
  blockKeys: number;
}

const QUERIES = 64;

export const attendKernel: Kernel<AttendVariant> = {
  name: 'attend',
  bindings({ queryRun, reach }) {
    const read = (name: string, type: string): Binding => ({ name, access: 'read', type });
    return [
      STEP_BINDING,
      ...['queries', 'keys', 'values'].map((name) => read(name, 'array<vec4<f32>>')),
      ...(queryRun === 0 ? [read('spans', 'array<vec2<i32>>')] : []),
      ...(reach >= 0 ? [read('buckets', 'array<i32>'), read('bias', 'array<f32>')] : []),
      { name: 'result', access: 'write', type: 'array<vec4<f32>>' },
    ];
  },
  wgsl: attendWgsl,
  workgroups: ({ rows, heads }, sizes) => [Math.ceil(rowCount(rows, sizes) / QUERIES), heads, 1],
};

/** As many keys as fit `bytes` of workgroup memory with their values, a power of two. */
export function attendBlockKeys(headDim: number, bytes: number): number {
  const most = Math.floor((bytes - 1024) / (2 * headDim * 4));
  return 2 ** Math.min(5, Math.floor(Math.log2(Math.max(1, most))));
}

function attendWgsl(variant: AttendVariant): string {
  const { rows, heads, keyValueHeads, headDim, scale, window, isCausal, queryRun, keyRun, reach, blockKeys } = variant;
  const vectors = headDim / 4;
  const span =
    queryRun === 0
      ? 'seen = spans[row];'
      : `let first = i32(row / ${queryRun}u) * ${keyRun};
    seen = vec2<i32>(first, first + ${keyRun});`;
  const narrowed = [
    ...(window >= 0
      ? [`seen = vec2<i32>(max(seen.x, i32(row) - ${window}), min(seen.y, i32(row) + ${window + 1}));`]
      : []),
    ...(isCausal ? ['seen.y = min(seen.y, i32(row) + 1);'] : []),
  ].join('\n    ');
  const biased =
    reach < 0
      ? ''
      : `score += bias[u32(buckets[clamp(key - i32(row), -${reach}, ${reach}) + ${reach}]) * ${heads}u + head];`;
  return `
var<workgroup> blockOfKeys: array<vec4<f32>, ${blockKeys * vectors}>;
var<workgroup> blockOfValues: array<vec4<f32>, ${blockKeys * vectors}>;
var<workgroup> allSeen: array<vec2<i32>, ${QUERIES}>;
var<workgroup> bounds: vec2<i32>;

@compute @workgroup_size(${QUERIES})
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let row = workgroup.x * ${QUERIES}u + thread;
  let head = workgroup.y;
  let isRow = row < ${rowsExpression(rows)};
  var seen = vec2<i32>(0, 0);
  if (isRow) {
    ${span}
    ${narrowed}
    seen.y = min(seen.y, i32(${rowsExpression(variant.keyRows)}));
  }
  allSeen[thread] = select(seen, vec2<i32>(2147483647, 0), seen.y <= seen.x);
  workgroupBarrier();
  if (thread == 0u) {
    var both = allSeen[0];
    for (var i = 1u; i < ${QUERIES}u; i++) {
      both = vec2<i32>(min(both.x, allSeen[i].x), max(both.y, allSeen[i].y));
    }
    bounds = both;
  }
  let range = workgroupUniformLoad(&bounds);

  let queryRow = select(0u, row, isRow) * ${variant.queryColumns / 4}u + ${variant.queryOffset / 4}u + head * ${vectors}u;
  ${repeat(vectors, (i) => `let q${i} = queries[queryRow + ${i}u] * ${float(scale)};`, '\n  ')}
  ${repeat(vectors, (i) => `var sum${i} = vec4<f32>(0.0);`, '\n  ')}
  var largest = -1e30;
  var total = 0.0;
  let part = (head / ${heads / keyValueHeads}u) * ${vectors}u;
  for (var start = range.x; start < range.y; start += ${blockKeys}) {
    let count = min(${blockKeys}, range.y - start);
    for (var i = thread; i < u32(count) * ${vectors}u; i += ${QUERIES}u) {
      let keyRow = u32(start) + i / ${vectors}u;
      let column = part + i % ${vectors}u;
      blockOfKeys[i] = keys[keyRow * ${variant.keyColumns / 4}u + ${variant.keyOffset / 4}u + column];
      blockOfValues[i] = values[keyRow * ${variant.valueColumns / 4}u + ${variant.valueOffset / 4}u + column];
    }
    workgroupBarrier();
    for (var i = 0; i < count; i++) {
      let key = start + i;
      if (key < seen.x || key >= seen.y) {
        continue;
      }
      let at = u32(i) * ${vectors}u;
      var score = ${repeat(vectors, (i) => `dot(q${i}, blockOfKeys[at + ${i}u])`, ' + ')};
      ${biased}
      if (score > largest) {
        let shrink = exp(max(largest - score, -80.0));
        ${repeat(vectors, (i) => `sum${i} *= shrink;`, '\n        ')}
        total *= shrink;
        largest = score;
      }
      let share = exp(max(score - largest, -80.0));
      total += share;
      ${repeat(vectors, (i) => `sum${i} += share * blockOfValues[at + ${i}u];`, '\n      ')}
    }
    workgroupBarrier();
  }
  if (!isRow) {
    return;
  }
  let inverse = select(0.0, 1.0 / total, total > 0.0);
  let out = (row * ${heads}u + head) * ${vectors}u;
  ${repeat(vectors, (i) => `result[out + ${i}u] = sum${i} * inverse;`, '\n  ')}
}`;
}
