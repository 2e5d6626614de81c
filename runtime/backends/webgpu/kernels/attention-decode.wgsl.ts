import { float, repeat } from './kernel.ts';

export interface AttentionDecodeVariant {
  kernel: 'attentionDecode';
  heads: number;
  keyValueHeads: number;
  headDim: number;
  context: number;
  scale: number;
  window: number | undefined;
  /** The fewest positions of the context that one workgroup reads. */
  splitPositions: number;
  /** When the context is longer than so many splits, they grow by whole multiples. */
  mostSplits: number;
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

/** Statements that declare `seen`, `first` and `splitSize`: the positions that the token sees, and those of one split. */
export function splitStatements({
  window,
  splitPositions,
  mostSplits,
}: Pick<AttentionDecodeVariant, 'window' | 'splitPositions' | 'mostSplits'>): string {
  return `let seen = ${window === undefined ? 'step.past + 1u' : `min(step.past + 1u, ${window}u)`};
  let first = step.past + 1u - seen;
  let splitSize = (seen + ${splitPositions * mostSplits - 1}u) / ${splitPositions * mostSplits}u * ${splitPositions}u;`;
}

type Shape = Pick<AttentionDecodeVariant, 'headDim' | 'headsPerWorkgroup' | 'workgroupSize' | 'splitPositions'>;

/** How the threads of a workgroup share a tile of positions. */
function arrangement({ headDim, headsPerWorkgroup, workgroupSize, splitPositions }: Shape) {
  // Scores of several heads lie in one vector: one or two, or fours.
  const width = headsPerWorkgroup > 2 ? 4 : headsPerWorkgroup;
  const parts = Math.ceil(headsPerWorkgroup / width);
  const tile = Math.min(splitPositions, 2 ** Math.floor(Math.log2(workgroupSize / parts)));
  const keyHalves = headDim % 8 === 0 ? 8 : 4;
  return {
    width,
    /** Vectors that hold a number of each head. */
    parts,
    /** Positions of a tile. */
    tile,
    /** Threads that share the score of a position. */
    lanes: Math.floor(workgroupSize / tile),
    /** Positions whose scores' maximum one thread finds. */
    run: Math.min(8, tile),
    /** Halves of a key that one load brings, and such loads of a key. */
    keyHalves,
    keyLoads: headDim / keyHalves,
    /** Threads that share a tile's values of the same four dimensions. */
    shares: Math.floor(workgroupSize / (headDim / 4)),
  };
}

/** Bytes of workgroup memory. */
export function attentionDecodeBytes(shape: Shape): number {
  const { headDim, headsPerWorkgroup, workgroupSize } = shape;
  const { width, parts, tile, lanes, run, shares } = arrangement(shape);
  const vectors = parts * (lanes * tile + 2 * tile + tile / run + 2) * width;
  return 4 * (headsPerWorkgroup * headDim + vectors + 4 * workgroupSize + headsPerWorkgroup * shares);
}

export function keyType(headDim: number): string {
  return headDim % 8 === 0 ? 'vec4<u32>' : 'vec2<u32>';
}

/**
 * A tile of positions at a time. Neighbouring threads score a position together, for all heads at once; then they turn to
 * the values, where each owns four dimensions and a share of the tile's positions. All that a tile needs of the caches is
 * asked for at its start: the time of a decode step's attention is that of waiting. Needs workgroupSize ≥ headDim / 4.
 */
export function attentionDecodeWgsl(variant: AttentionDecodeVariant): string {
  const { heads, keyValueHeads, headDim, context, scale, headsPerWorkgroup, workgroupSize } = variant;
  const { width, parts, tile, lanes, run, keyHalves, keyLoads, shares } = arrangement(variant);
  const vectors = headDim / 4;
  const type = width === 1 ? 'f32' : `vec${width}<f32>`;
  const ofHead = (name: string, h: number): string =>
    width === 1 ? `${name}${Math.floor(h / width)}` : `${name}${Math.floor(h / width)}.${'xyzw'[h % width]!}`;
  const eachHead = (text: (h: number) => string, indent: string): string =>
    repeat(headsPerWorkgroup, text, `\n${indent}`);
  const eachPart = (text: (part: number) => string, indent: string): string => repeat(parts, text, `\n${indent}`);
  const keyTurns = Math.ceil(keyLoads / lanes);
  const valueTurns = Math.ceil(tile / shares);
  const runs = tile / run;

  const keyStatements = (turn: number): string => {
    const words = ['x', 'y', 'z', 'w'].slice(0, keyHalves / 2);
    const pairs = words.map((word) => `unpack2x16float(key${turn}.${word})`);
    const body = `let start = (lane + ${turn * lanes}u) * ${keyHalves / 4}u;
      ${repeat(keyHalves / 4, (i) => `let k${i} = vec4<f32>(${pairs[2 * i]!}, ${pairs[2 * i + 1]!});`, '\n      ')}
      ${eachHead(
        (h) =>
          `${ofHead('score', h)} += ${repeat(keyHalves / 4, (i) => `dot(k${i}, query[${h * vectors}u + start + ${i}u])`, ' + ')};`,
        '      ',
      )}`;
    const isWhole = (turn + 1) * lanes <= keyLoads;
    return isWhole ? `{ ${body} }` : `if (lane + ${turn * lanes}u < ${keyLoads}u) { ${body} }`;
  };
  const valueStatements = (turn: number): string => {
    const body = `let value = vec4<f32>(unpack2x16float(value${turn}.x), unpack2x16float(value${turn}.y));
      ${eachPart((part) => `let weight${part} = weights[${part * tile}u + share + ${turn * shares}u];\n      total${part} += weight${part};`, '      ')}
      ${eachHead((h) => `sum${h} += ${ofHead('weight', h)} * value;`, '      ')}`;
    const isWhole = (turn + 1) * shares <= tile && workgroupSize === shares * vectors;
    return isWhole ? `{ ${body} }` : `if (share + ${turn * shares}u < min(TILE, ${(turn + 1) * shares}u)) { ${body} }`;
  };

  return `
const GROUP = ${heads / keyValueHeads}u;
const TILE = ${tile}u;
const THREADS = ${workgroupSize}u;
var<workgroup> query: array<vec4<f32>, ${headsPerWorkgroup * vectors}>;
var<workgroup> scoreParts: array<${type}, ${parts * lanes * tile}>;
var<workgroup> scores: array<${type}, ${parts * tile}>;
var<workgroup> maxima: array<${type}, ${parts * runs}>;
var<workgroup> weights: array<${type}, ${parts * tile}>;
var<workgroup> corrections: array<${type}, ${parts}>;
var<workgroup> gathered: array<vec4<f32>, ${workgroupSize}>;
var<workgroup> totals: array<f32, ${headsPerWorkgroup * shares}>;

@compute @workgroup_size(${workgroupSize})
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let keyValueHead = workgroup.y;
  let firstHead = keyValueHead * GROUP + workgroup.x * ${headsPerWorkgroup}u;
  let headCount = min(${headsPerWorkgroup}u, GROUP - workgroup.x * ${headsPerWorkgroup}u);
  ${splitStatements(variant)}
  let start = first + workgroup.z * splitSize;
  let end = min(start + splitSize, step.past + 1u);
  for (var i = thread; i < ${headsPerWorkgroup * vectors}u; i += THREADS) {
    query[i] = vec4<f32>(0.0);
    if (i < headCount * ${vectors}u) {
      query[i] = ${float(scale)} * queries[firstHead * ${vectors}u + i];
    }
  }
  workgroupBarrier();
  let lane = thread % ${lanes}u;
  let position = min(thread / ${lanes}u, TILE - 1u);
  let four = thread % ${vectors}u;
  let share = thread / ${vectors}u;
  let cacheStart = keyValueHead * ${context}u;
  // Of the scores that this thread puts together: those of one position, for the heads of one vector.
  let ownPart = min(thread / TILE, ${parts - 1}u);
  let ownPosition = thread % TILE;
  var maximum = ${type}(${LOWEST});
  ${eachHead((h) => `var sum${h} = vec4<f32>(0.0);`, '  ')}
  ${eachPart((part) => `var total${part} = ${type}(0.0);`, '  ')}

  for (var tile = start; tile < end; tile += TILE) {
    // Behind the end the last position is read again, and its weight is 0.
    let keyAt = (cacheStart + min(tile + position, end - 1u)) * ${keyLoads}u;
    ${repeat(keyTurns, (turn) => `let key${turn} = keys[keyAt + ${(turn + 1) * lanes <= keyLoads ? `lane + ${turn * lanes}u` : `min(lane + ${turn * lanes}u, ${keyLoads - 1}u)`}];`, '\n    ')}
    ${repeat(valueTurns, (turn) => `let value${turn} = values[(cacheStart + min(tile + share + ${turn * shares}u, end - 1u)) * ${vectors}u + four];`, '\n    ')}
    ${eachPart((part) => `var score${part} = ${type}(0.0);`, '    ')}
    ${repeat(keyTurns, keyStatements, '\n    ')}
    if (thread < ${lanes * tile}u) {
      ${eachPart((part) => `scoreParts[(${part * lanes}u + lane) * TILE + position] = score${part};`, '      ')}
    }
    workgroupBarrier();
    var score = ${type}(${LOWEST});
    if (tile + ownPosition < end) {
      score = ${repeat(lanes, (l) => `scoreParts[(ownPart * ${lanes}u + ${l}u) * TILE + ownPosition]`, ' + ')};
    }
    if (thread < ${parts * tile}u) {
      scores[thread] = score;
    }
    workgroupBarrier();
    if (thread < ${parts * runs}u) {
      maxima[thread] = ${maximumOf(run, (i) => `scores[thread * ${run}u + ${i}u]`)};
    }
    workgroupBarrier();
    let newMaximum = max(maximum, ${maximumOf(runs, (i) => `maxima[ownPart * ${runs}u + ${i}u]`)});
    if (thread < ${parts * tile}u) {
      let weight = exp(max(score - newMaximum, ${type}(-80.0)));
      weights[thread] = select(${type}(0.0), weight, tile + ownPosition < end);
      if (ownPosition == 0u) {
        corrections[ownPart] = exp(max(maximum - newMaximum, ${type}(-80.0)));
      }
    }
    maximum = newMaximum;
    workgroupBarrier();
    ${eachPart((part) => `let correction${part} = corrections[${part}];\n    total${part} *= correction${part};`, '    ')}
    ${eachHead((h) => `sum${h} *= ${ofHead('correction', h)};`, '    ')}
    ${repeat(valueTurns, valueStatements, '\n    ')}
  }
  if (thread < ${parts * tile}u && ownPosition == 0u) {
    maxima[ownPart] = maximum;
  }
  if (four == 0u && share < ${shares}u) {
    ${eachHead((h) => `totals[${h * shares}u + share] = ${ofHead('total', h)};`, '    ')}
  }
  ${eachHead((h) => gatherStatements(variant, h, shares, width === 1 ? 'maxima[0]' : `maxima[${Math.floor(h / width)}][${h % width}]`), '  ')}
}`;
}

function maximumOf(count: number, text: (i: number) => string): string {
  if (count === 1) return text(0);
  const half = count >> 1;
  return `max(${maximumOf(half, text)}, ${maximumOf(count - half, (i) => text(half + i))})`;
}

// Totals and values of all shares are summed in workgroup memory, a head after another.
function gatherStatements(variant: AttentionDecodeVariant, head: number, shares: number, maximum: string): string {
  const vectors = variant.headDim / 4;
  return `gathered[thread] = sum${head};
  workgroupBarrier();
  if (thread < ${vectors}u && ${head}u < headCount) {
    var total = 0.0;
    var sum = vec4<f32>(0.0);
    ${repeat(shares, (i) => `total += totals[${head * shares + i}];\n    sum += gathered[${i * vectors}u + thread];`, '\n    ')}
    ${writeHead(variant, head, maximum)}
  }
  workgroupBarrier();`;
}

function writeHead({ heads, headDim, output }: AttentionDecodeVariant, head: number, maximum: string): string {
  if (output === 'result') {
    return `let at = (firstHead + ${head}u) * ${headDim / 2}u + 2u * thread;
    result[at] = sum.xy / total;
    result[at + 1u] = sum.zw / total;`;
  }
  return `let part = (workgroup.z * ${heads}u + firstHead + ${head}u) * ${partialSize(headDim) / 2}u;
    partials[part + 1u + 2u * thread] = sum.xy;
    partials[part + 2u + 2u * thread] = sum.zw;
    if (thread == 0u) {
      partials[part] = vec2<f32>(${maximum}, total);
    }`;
}
