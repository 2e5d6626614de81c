import { LOWEST } from './attention-decode.wgsl.ts';
import { float, repeat } from './kernel.ts';

export interface AttentionPrefillVariant {
  kernel: 'attentionPrefill';
  heads: number;
  keyValueHeads: number;
  headDim: number;
  context: number;
  scale: number;
  window: number | undefined;
  /** Tokens of a workgroup. */
  tileQueries: number;
  /** Positions of the cache that are in workgroup memory at a time. */
  tilePositions: number;
  /** Threads that share a token; they divide its dimensions and positions among them. */
  lanes: number;
}

/**
 * Thread (q, lane) scores positions lane, lane + lanes, … of a tile for query q, and owns vec4s lane, lane + lanes, … of the
 * result. Keys and values take turns in the same workgroup memory, packed as in the cache.
 */
export function attentionPrefillWgsl(variant: AttentionPrefillVariant): string {
  const { heads, keyValueHeads, headDim, context, scale, window, tileQueries, tilePositions, lanes } = variant;
  const threads = tileQueries * lanes;
  const vectors = headDim / 4;
  const owned = Math.ceil(vectors / lanes);
  return `
const VECTORS = ${vectors}u;
const THREADS = ${threads}u;
var<workgroup> query: array<vec4<f32>, ${tileQueries * (vectors + 1)}>;
var<workgroup> cached: array<vec2<u32>, ${tilePositions * (vectors + 1)}>;
var<workgroup> scores: array<f32, ${tileQueries * tilePositions}>;

@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let head = workgroup.x;
  let firstToken = workgroup.y * ${tileQueries}u;
  let cacheStart = head / ${heads / keyValueHeads}u * ${context}u * VECTORS;
  let own = thread / ${lanes}u;
  let lane = thread % ${lanes}u;
  for (var i = thread; i < ${tileQueries}u * VECTORS; i += THREADS) {
    let token = firstToken + i / VECTORS;
    var value = vec4<f32>(0.0);
    if (token < step.tokens) {
      value = ${float(scale)} * queries[(token * ${heads}u + head) * VECTORS + i % VECTORS];
    }
    query[i / VECTORS * (VECTORS + 1u) + i % VECTORS] = value;
  }
  ${repeat(owned, (i) => `var result${i} = vec4<f32>(0.0);`, '\n  ')}
  var maximum = ${LOWEST};
  var total = 0.0;
  // Positions that this thread's token sees, and that any token of the tile sees.
  let end = step.past + firstToken + own + 1u;
  let first = ${firstSeen('end', window)};
  let tileEnd = step.past + min(firstToken + ${tileQueries}u, step.tokens);
  let tileFirst = ${firstSeen('step.past + firstToken + 1u', window)};

  for (var start = tileFirst; start < tileEnd; start += ${tilePositions}u) {
    workgroupBarrier();
    ${loadStatements('keys', tilePositions)}
    workgroupBarrier();
    for (var i = lane; i < ${tilePositions}u; i += ${lanes}u) {
      var score = ${LOWEST};
      if (start + i >= first && start + i < end) {
        score = 0.0;
        for (var v = 0u; v < VECTORS; v++) {
          let packed = cached[i * (VECTORS + 1u) + v];
          let key = vec4<f32>(unpack2x16float(packed.x), unpack2x16float(packed.y));
          score += dot(key, query[own * (VECTORS + 1u) + v]);
        }
      }
      scores[own * ${tilePositions}u + i] = score;
    }
    workgroupBarrier();
    ${loadStatements('values', tilePositions)}
    var tileMaximum = maximum;
    for (var i = 0u; i < ${tilePositions}u; i++) {
      tileMaximum = max(tileMaximum, scores[own * ${tilePositions}u + i]);
    }
    let correction = exp(max(maximum - tileMaximum, -80.0));
    maximum = tileMaximum;
    total *= correction;
    ${repeat(owned, (i) => `result${i} *= correction;`, '\n    ')}
    workgroupBarrier();
    for (var i = 0u; i < ${tilePositions}u; i++) {
      // A position outside of what the token sees weighs nothing, also while nothing else has been seen.
      if (start + i < first || start + i >= end) {
        continue;
      }
      let weight = exp(max(scores[own * ${tilePositions}u + i] - maximum, -80.0));
      total += weight;
      ${repeat(owned, (i) => valueStatement(i, lanes, vectors), '\n      ')}
    }
  }
  let token = firstToken + own;
  if (token < step.tokens) {
    ${repeat(owned, (i) => writeStatement(i, lanes, vectors, heads), '\n    ')}
  }
}`;
}

function firstSeen(end: string, window: number | undefined): string {
  return window === undefined ? '0u' : `${end} - min(${end}, ${window}u)`;
}

function loadStatements(source: 'keys' | 'values', tilePositions: number): string {
  return `for (var i = thread; i < ${tilePositions}u * VECTORS; i += THREADS) {
      let position = start + i / VECTORS;
      if (position < tileEnd) {
        cached[i / VECTORS * (VECTORS + 1u) + i % VECTORS] = ${source}[cacheStart + position * VECTORS + i % VECTORS];
      }
    }`;
}

/** Statements on the i-th vec4 that a lane owns; the last one may lie past the end. */
function ifOwned(i: number, lanes: number, vectors: number, statements: string): string {
  if ((i + 1) * lanes <= vectors) return `{\n        ${statements}\n      }`;
  return `if (lane + ${i * lanes}u < VECTORS) {\n        ${statements}\n      }`;
}

function valueStatement(i: number, lanes: number, vectors: number): string {
  return ifOwned(
    i,
    lanes,
    vectors,
    `let packed = cached[i * (VECTORS + 1u) + lane + ${i * lanes}u];
        result${i} += weight * vec4<f32>(unpack2x16float(packed.x), unpack2x16float(packed.y));`,
  );
}

function writeStatement(i: number, lanes: number, vectors: number, heads: number): string {
  const index = `(token * ${heads}u + head) * VECTORS + lane + ${i * lanes}u`;
  return ifOwned(i, lanes, vectors, `result[${index}] = result${i} / total;`);
}
