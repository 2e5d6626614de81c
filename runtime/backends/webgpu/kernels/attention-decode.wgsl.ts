import { float, repeat } from './kernel.ts';

export interface AttentionDecodeVariant {
  kernel: 'attentionDecode';
  heads: number;
  keyValueHeads: number;
  headDim: number;
  context: number;
  scale: number;
  window: number | undefined;
  /** Positions of the context that one workgroup reads. */
  splitPositions: number;
  /** Query heads of one workgroup; they share a key-value head. */
  headsPerWorkgroup: number;
  workgroupSize: number;
  /** The result itself (one split), or each split's part of it. */
  output: 'result' | 'partials';
}

/** Numbers of one split's part: maximum, sum, then headDim weighted values. */
export function partialSize(headDim: number): number {
  return headDim + 2;
}

/** Below any score, and still a finite number: WGSL promises nothing about infinities. */
export const LOWEST = '-3.0e38f';

/**
 * Tiles of one position a thread: each thread scores its position for all heads, then the threads turn to the values, where
 * each owns a pair of dimensions and a share of the tile's positions. Needs workgroupSize ≥ headDim / 2.
 */
export function attentionDecodeWgsl(variant: AttentionDecodeVariant): string {
  const { heads, keyValueHeads, headDim, context, scale, window, splitPositions, workgroupSize } = variant;
  const headsEach = variant.headsPerWorkgroup;
  const queryVectors = (headsEach * headDim) / 4;
  const each = (text: (h: number) => string, indent = '  '): string => repeat(headsEach, text, `\n${indent}`);
  return `
const GROUP = ${heads / keyValueHeads}u;
const HEAD_DIM = ${headDim}u;
const VECTORS = ${headDim / 4}u;
const PAIRS = ${headDim / 2}u;
const THREADS = ${workgroupSize}u;
const SHARES = ${Math.floor(workgroupSize / (headDim / 2))}u;
var<workgroup> query: array<vec4<f32>, ${queryVectors}>;
var<workgroup> scores: array<f32, ${headsEach * workgroupSize}>;
var<workgroup> weights: array<f32, ${headsEach * workgroupSize}>;
var<workgroup> gathered: array<vec2<f32>, ${workgroupSize}>;

@compute @workgroup_size(${workgroupSize})
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let keyValueHead = workgroup.y;
  let firstHead = keyValueHead * GROUP + workgroup.x * ${headsEach}u;
  let headCount = min(${headsEach}u, GROUP - workgroup.x * ${headsEach}u);
  let seen = ${window === undefined ? 'step.past + 1u' : `min(step.past + 1u, ${window}u)`};
  let first = step.past + 1u - seen + workgroup.z * ${splitPositions}u;
  let end = min(first + ${splitPositions}u, step.past + 1u);
  for (var i = thread; i < ${queryVectors}u; i += THREADS) {
    query[i] = vec4<f32>(0.0);
    if (i < headCount * VECTORS) {
      query[i] = ${float(scale)} * queries[firstHead * VECTORS + i];
    }
  }
  workgroupBarrier();
  ${each((h) => `var maximum${h} = ${LOWEST};\n  var total${h} = 0.0;\n  var value${h} = vec2<f32>(0.0);`)}
  let pair = thread % PAIRS;
  let share = thread / PAIRS;
  let keyStart = keyValueHead * ${context}u * VECTORS;
  let valueStart = keyValueHead * ${context}u * PAIRS;

  for (var tile = first; tile < end; tile += THREADS) {
    let count = min(THREADS, end - tile);
    ${each((h) => `var score${h} = ${LOWEST};`, '    ')}
    if (thread < count) {
      ${each((h) => `score${h} = 0.0;`, '      ')}
      for (var i = 0u; i < VECTORS; i++) {
        let packed = keys[keyStart + (tile + thread) * VECTORS + i];
        let key = vec4<f32>(unpack2x16float(packed.x), unpack2x16float(packed.y));
        ${each((h) => `score${h} += dot(key, query[${(h * headDim) / 4}u + i]);`, '        ')}
      }
    }
    ${each((h) => `scores[${h * workgroupSize}u + thread] = score${h};`, '    ')}
    workgroupBarrier();
    ${each((h) => softmaxStatements(h, workgroupSize), '    ')}
    workgroupBarrier();
    if (share < SHARES) {
      for (var i = share; i < count; i += SHARES) {
        let value = unpack2x16float(values[valueStart + (tile + i) * PAIRS + pair]);
        ${each((h) => `value${h} += weights[${h * workgroupSize}u + i] * value;`, '        ')}
      }
    }
  }
  ${each((h) => writeStatements(variant, h))}
}`;
}

// Each thread finds the maximum by itself and keeps the weights' total of its own positions only.
function softmaxStatements(head: number, workgroupSize: number): string {
  return `{
      var maximum = maximum${head};
      for (var i = 0u; i < count; i++) {
        maximum = max(maximum, scores[${head * workgroupSize}u + i]);
      }
      let correction = exp(max(maximum${head} - maximum, -80.0));
      let weight = select(0.0, exp(max(score${head} - maximum, -80.0)), thread < count);
      weights[${head * workgroupSize}u + thread] = weight;
      total${head} = total${head} * correction + weight;
      value${head} *= correction;
      maximum${head} = maximum;
    }`;
}

// Totals of all threads and values of all shares are summed in workgroup memory, a head after another.
function writeStatements(variant: AttentionDecodeVariant, head: number): string {
  return `workgroupBarrier();
  scores[thread] = total${head};
  gathered[thread] = value${head};
  workgroupBarrier();
  if (thread < PAIRS && ${head}u < headCount) {
    var total = 0.0;
    for (var i = 0u; i < THREADS; i++) {
      total += scores[i];
    }
    var sum = vec2<f32>(0.0);
    for (var i = 0u; i < SHARES; i++) {
      sum += gathered[i * PAIRS + thread];
    }
    ${writeHead(variant, head)}
  }`;
}

function writeHead({ heads, headDim, output }: AttentionDecodeVariant, head: number): string {
  if (output === 'result') return `result[(firstHead + ${head}u) * PAIRS + thread] = sum / total;`;
  return `let part = (workgroup.z * ${heads}u + firstHead + ${head}u) * ${partialSize(headDim) / 2}u;
    partials[part + 1u + thread] = sum;
    if (thread == 0u) {
      partials[part] = vec2<f32>(maximum${head}, total);
    }`;
}
