import type { AttentionPrefillVariant } from './attention-prefill.wgsl.ts';
import { LOWEST } from './attention-decode.wgsl.ts';
import { float, repeat } from './kernel.ts';
import {
  MATRIX_SUBGROUPS,
  SCORE_STRIDE,
  SUBGROUP_SIZE,
  TILE_PARTS,
  tileStride,
  WEIGHT_STRIDE,
} from './attention-prefill-matrix-tile.ts';

/** Attention of many tokens by the GPU's matrix units: 16 queries a subgroup. */
export interface AttentionPrefillMatrixVariant extends Omit<
  AttentionPrefillVariant,
  'kernel' | 'tileQueries' | 'tilePositions' | 'lanes'
> {
  kernel: 'attentionPrefillMatrix';
}

/**
 * The positions are passed twice: once for the largest score of each query, once for the weights and their sums. What a
 * subgroup matrix holds cannot be scaled by rows, as a maximum that grows on the way would want; the scores are made twice
 * instead, by units that are quick at it.
 *
 * Queries are halves in registers. Keys and values take turns in workgroup memory, 64 positions in four parts of 16, so that
 * all offsets of loads are constants (see matmul-matrix); the next is on its way to registers meanwhile. Threads 2·r and 2·r + 1 of a subgroup look after its query r.
 */
export function attentionPrefillMatrixWgsl(variant: AttentionPrefillMatrixVariant): string {
  const { heads, keyValueHeads, headDim, context, scale, window } = variant;
  const vectors = headDim / 4;
  const stride = tileStride(headDim);
  const slices = headDim / 16;
  const threads = MATRIX_SUBGROUPS * SUBGROUP_SIZE;
  const queries = MATRIX_SUBGROUPS * 16;
  const positions = TILE_PARTS * 16;

  const wide = headDim / 8;
  // Of a tile, what each thread brings: eight halves at a time.
  const loads = (positions * wide) / threads;
  const rowOf = (i: number): string => `(thread + ${i * threads}u) / ${wide}u`;
  const wideOf = (i: number): string => `(thread + ${i * threads}u) % ${wide}u`;
  // Rows past the end repeat the last one that is there: whatever they give is masked.
  const fetch = (name: string, start: string): string =>
    repeat(
      loads,
      (i) => `fetched${i} = ${name}[cacheStart + min(${start} + ${rowOf(i)}, tileEnd - 1u) * ${wide}u + ${wideOf(i)}];`,
      '\n    ',
    );
  const storeTile = (halves: (i: number) => readonly [string, string]): string =>
    repeat(
      loads,
      (i) =>
        repeat(
          2,
          (h) => `tile[${rowOf(i)} / 16u][${rowOf(i)} % 16u * STRIDE + ${wideOf(i)} * 2u + ${h}u] = ${halves(i)[h]!};`,
          ' ',
        ),
      '\n    ',
    );
  const storeFetched = storeTile((i) => [`bitcast<vec4<f16>>(fetched${i}.xy)`, `bitcast<vec4<f16>>(fetched${i}.zw)`]);
  const query = (i: number, h: number): string =>
    `vec4<f16>(${float(scale)} * queries[(min(firstToken + ${rowOf(i)}, step.tokens - 1u) * ${heads}u + head) * VECTORS + ${wideOf(i)} * 2u + ${h}u])`;
  const matrix = (side: string, order: string, source: string, offset: number, stride: string): string =>
    `subgroupMatrixLoad<subgroup_matrix_${side}<f16, 16, 16>, ${order}>(&${source}, ${offset}u, ${stride})`;

  const scoreTile = repeat(
    TILE_PARTS,
    (part) => `{
      var sum = Sums();
      ${repeat(slices, (k) => `sum = subgroupMatrixMultiplyAccumulate(query${k}, ${matrix('right', 'col_major', `tile[${part}]`, k * 4, 'STRIDE')}, sum);`, '\n      ')}
      subgroupMatrixStore<row_major>(&scores[subgroup], ${part * 16}u, sum, ${SCORE_STRIDE}u);
    }`,
    '\n    ',
  );
  // Each of the pair of threads takes two columns of every four. What lies before `first` wraps round to far behind it.
  const eachScore = (statement: (column: string) => string): string =>
    repeat(
      positions / 2,
      (j) => {
        const column = `${(j >> 1) * 4 + (j & 1)}u`;
        return `{ let score = select(${LOWEST}, scores[subgroup][ownScores + ${column}], seen + ${column} < span); ${statement(column)} }`;
      },
      '\n    ',
    );

  return `
alias Sums = subgroup_matrix_result<f32, 16, 16>;
const VECTORS = ${vectors}u;
const STRIDE = ${stride}u;
var<workgroup> tile: array<array<vec4<f16>, ${16 * stride}>, ${TILE_PARTS}>;
var<workgroup> scores: array<array<f32, ${16 * SCORE_STRIDE}>, ${MATRIX_SUBGROUPS}>;
var<workgroup> weights: array<array<f16, ${16 * WEIGHT_STRIDE}>, ${MATRIX_SUBGROUPS}>;

@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let head = workgroup.x;
  let firstToken = workgroup.y * ${queries}u;
  let cacheStart = head / ${heads / keyValueHeads}u * ${(context * headDim) / 8}u;
  let subgroup = thread / ${SUBGROUP_SIZE}u;
  let own = thread % ${SUBGROUP_SIZE}u / 2u;
  let pair = thread % 2u;
  let ownScores = own * ${SCORE_STRIDE}u + pair * 2u;
  let ownWeights = own * ${WEIGHT_STRIDE}u + pair * 2u;
  ${storeTile((i) => [query(i, 0), query(i, 1)])}
  workgroupBarrier();
  ${repeat(slices, (k) => `let query${k} = ${matrix('left', 'row_major', 'tile[subgroup]', k * 4, 'STRIDE')};`, '\n  ')}
  // Positions that this thread's token sees, and that any token of the tile sees.
  let token = firstToken + subgroup * 16u + own;
  let end = step.past + token + 1u;
  let first = ${firstSeen('end', window)};
  let span = end - first;
  let tileEnd = step.past + min(firstToken + ${queries}u, step.tokens);
  let tileFirst = ${firstSeen('step.past + firstToken + 1u', window)};
  ${repeat(loads, (i) => `var fetched${i}: vec4<u32>;`, '\n  ')}

  var maximum = ${LOWEST};
  ${fetch('keys', 'tileFirst')}
  for (var start = tileFirst; start < tileEnd; start += ${positions}u) {
    workgroupBarrier();
    ${storeFetched}
    workgroupBarrier();
    ${fetch('keys', `start + ${positions}u`)}
    ${scoreTile}
    workgroupBarrier();
    let seen = start + pair * 2u - first;
    ${eachScore(() => 'maximum = max(maximum, score);')}
  }
  maximum = max(maximum, subgroupShuffleXor(maximum, 1u));

  var total = 0.0;
  ${repeat(slices, (k) => `var result${k} = Sums();`, '\n  ')}
  ${fetch('keys', 'tileFirst')}
  for (var start = tileFirst; start < tileEnd; start += ${positions}u) {
    workgroupBarrier();
    ${storeFetched}
    workgroupBarrier();
    ${fetch('values', 'start')}
    ${scoreTile}
    workgroupBarrier();
    ${storeFetched}
    let seen = start + pair * 2u - first;
    ${eachScore((column) => `let weight = exp(max(score - maximum, -80.0)); total += weight; weights[subgroup][ownWeights + ${column}] = f16(weight);`)}
    workgroupBarrier();
    ${fetch('keys', `start + ${positions}u`)}
    ${repeat(
      TILE_PARTS,
      (part) => `{
      let weight = ${matrix('left', 'row_major', 'weights[subgroup]', part * 16, `${WEIGHT_STRIDE}u`)};
      ${repeat(slices, (k) => `result${k} = subgroupMatrixMultiplyAccumulate(weight, ${matrix('right', 'row_major', `tile[${part}]`, k * 4, 'STRIDE')}, result${k});`, '\n      ')}
    }`,
      '\n    ',
    )}
  }
  total += subgroupShuffleXor(total, 1u);
  ${repeat(Math.ceil(slices / TILE_PARTS), (chunk) => writeChunk(chunk, slices, heads), '\n  ')}
}`;
}

/** 64 dimensions of the result, by way of the scores' memory: the fragments' layout is the hardware's own. */
function writeChunk(chunk: number, slices: number, heads: number): string {
  const count = Math.min(TILE_PARTS, slices - chunk * TILE_PARTS);
  const at = (c: number): string => `scores[subgroup][own * ${SCORE_STRIDE}u + v * 4u + ${c}u]`;
  return `workgroupBarrier();
  ${repeat(count, (k) => `subgroupMatrixStore<row_major>(&scores[subgroup], ${k * 16}u, result${chunk * TILE_PARTS + k}, ${SCORE_STRIDE}u);`, '\n  ')}
  workgroupBarrier();
  if (token < step.tokens) {
    for (var v = pair; v < ${count * 4}u; v += 2u) {
      let value = vec4<f32>(${repeat(4, at, ', ')}) / total;
      result[(token * ${heads}u + head) * VECTORS + ${chunk * TILE_PARTS * 4}u + v] = value;
    }
  }`;
}

function firstSeen(end: string, window: number | undefined): string {
  return window === undefined ? '0u' : `${end} - min(${end}, ${window}u)`;
}
