// The activations of a matrix-vector product as signed bytes in workgroup memory, one scale for each block of 32 columns, as
// integer dot products want them. Every workgroup does this for itself: a row of activations is small and near, and a
// dispatch of its own would cost more than all of it.

import { BLOCK } from '../../../quantization/formats.ts';
import { type Reduction, repeat } from './kernel.ts';

export interface ActivationShape {
  columns: number;
  /** Columns that a thread takes at once: of one or two blocks, or of half a block. */
  chunkColumns: number;
  /** Columns of a chunk that share all factors: at most a block. Their codes are summed beside. */
  partColumns: number;
  workgroupSize: number;
  /** The binding `gain` multiplies the activations, and `squares` receives each thread's share of Σ x². */
  hasNorm: boolean;
  reduction: Reduction;
}

type Layout = Pick<ActivationShape, 'columns' | 'chunkColumns' | 'partColumns'>;

const BLOCK_WORDS = BLOCK / 4;

/**
 * Words between word i of a chunk and its word i + 1. With this padding neighbouring threads meet different banks, whether
 * they take neighbouring words, as when they are written, or neighbouring chunks.
 */
function stride({ columns, chunkColumns }: Layout): number {
  return columns / chunkColumns + 4;
}

/** Word `i` of a chunk: the codes of its columns 4·i … 4·i + 3. */
export function activationWord(layout: Layout, i: number, chunk: string): string {
  return `activations[${chunk} + ${i * stride(layout)}u]`;
}

/** The scale of part `part` of a chunk: an expression. */
export function activationScale({ columns, chunkColumns, partColumns }: Layout, part: number, chunk: string): string {
  if (chunkColumns < BLOCK) return `activationScales[${chunk} / ${BLOCK / chunkColumns}u]`;
  // Blocks of one chunk lie apart, those of neighbouring chunks together.
  const block = Math.floor((part * partColumns) / BLOCK);
  return `activationScales[${chunk} + ${(block * columns) / chunkColumns}u]`;
}

/** The sum of the codes of part `part` of a chunk: an expression. */
export function activationSum({ columns, chunkColumns }: Layout, part: number, chunk: string): string {
  return `activationSums[${chunk} + ${(part * columns) / chunkColumns}u]`;
}

export function activationMemory(shape: ActivationShape): string {
  const { columns, chunkColumns, partColumns, workgroupSize, hasNorm } = shape;
  return `
var<workgroup> activations: array<u32, ${(chunkColumns / 4) * stride(shape)}>;
var<workgroup> activationScales: array<f32, ${columns / BLOCK}>;
var<workgroup> activationSums: array<i32, ${columns / partColumns}>;
${hasNorm ? `var<workgroup> squares: array<f32, ${workgroupSize}>;` : ''}`;
}

/**
 * Statements that fill that memory from the binding `x`; they end with a barrier. A code is the nearest of −127 … 127 in
 * units of its block's scale. Uses `thread`.
 */
export function quantizeActivations(shape: ActivationShape): string {
  return shape.reduction === 'subgroup' ? throughSubgroups(shape) : throughMemory(shape);
}

/** Columns of a thread in a turn. Four threads have a block then, which every subgroup has room for. */
const OWN_COLUMNS = 8;

/** Threads of a block tell each other its largest and its sum: there is nothing to wait for but the end. */
function throughSubgroups(shape: ActivationShape): string {
  const { columns, chunkColumns, partColumns, workgroupSize, hasNorm } = shape;
  const owners = columns / OWN_COLUMNS;
  const chunks = columns / chunkColumns;
  const owned = (columnCount: number): number => columnCount / OWN_COLUMNS;
  const turns = Math.ceil(owners / workgroupSize);
  const isWhole = (turn: number): boolean => (turn + 1) * workgroupSize <= owners;
  const all = (text: (turn: number) => string): string => repeat(turns, text, '\n  ');
  const joined = (name: string, columnCount: number, join: (other: string) => string): string => {
    const strides = [1, 2].filter((stride) => stride < owned(columnCount));
    return strides.map((stride) => `${name} = ${join(`subgroupShuffleXor(${name}, ${stride}u)`)};`).join(' ');
  };
  const inChunk = (j: string, columnCount: number): string =>
    `${j} % ${owned(chunkColumns)}u / ${owned(columnCount)}u * ${chunks}u + ${j} / ${owned(chunkColumns)}u`;
  const scaleIndex = (j: string): string => (chunkColumns < BLOCK ? `${j} / ${owned(BLOCK)}u` : inChunk(j, BLOCK));
  return `
  ${hasNorm ? 'var square = 0.0;' : ''}
  ${all((turn) => {
    const place = `thread + ${turn * workgroupSize}u`;
    // Threads past the end take what the last one has, and write nothing.
    return `let j${turn} = ${isWhole(turn) ? place : `min(${place}, ${owners - 1}u)`};
  var low${turn} = x[2u * j${turn}];
  var high${turn} = x[2u * j${turn} + 1u];`;
  })}
  ${all((turn) => {
    const guard = isWhole(turn) ? '' : `if (thread + ${turn * workgroupSize}u < ${owners}u) `;
    return `{
    ${
      hasNorm
        ? `${guard}{ square += dot(low${turn}, low${turn}) + dot(high${turn}, high${turn}); }
    low${turn} *= gain[2u * j${turn}];
    high${turn} *= gain[2u * j${turn} + 1u];`
        : ''
    }
    let four = max(abs(low${turn}), abs(high${turn}));
    var largest = max(max(max(four.x, four.y), max(four.z, four.w)), 1e-30f);
    ${joined('largest', BLOCK, (other) => `max(largest, ${other})`)}
    let perUnit = 127.0 / largest;
    let codes = vec2<u32>(pack4xI8(vec4<i32>(round(low${turn} * perUnit))), pack4xI8(vec4<i32>(round(high${turn} * perUnit))));
    var total = dot4I8Packed(codes.x, 0x01010101u) + dot4I8Packed(codes.y, 0x01010101u);
    ${joined('total', partColumns, (other) => `total + ${other}`)}
    ${guard}{
      let first = j${turn} % ${owned(chunkColumns)}u * ${2 * stride(shape)}u + j${turn} / ${owned(chunkColumns)}u;
      activations[first] = codes.x;
      activations[first + ${stride(shape)}u] = codes.y;
      if (j${turn} % ${owned(BLOCK)}u == 0u) { activationScales[${scaleIndex(`j${turn}`)}] = largest * ${1 / 127}f; }
      if (j${turn} % ${owned(partColumns)}u == 0u) { activationSums[${inChunk(`j${turn}`, partColumns)}] = total; }
    }
  }`;
  })}
  ${hasNorm ? 'squares[thread] = square;' : ''}
  workgroupBarrier();`;
}

function throughMemory(shape: ActivationShape): string {
  const { columns, chunkColumns, partColumns, workgroupSize, hasNorm } = shape;
  const vectors = columns / 4;
  const chunks = columns / chunkColumns;
  const chunkWords = chunkColumns / 4;
  const partWords = partColumns / 4;
  const turns = Math.ceil(vectors / workgroupSize);
  // Neighbouring threads read neighbouring vec4s, and keep them while the largest of each block is found.
  const each = (text: (turn: number, index: string) => string): string =>
    repeat(
      turns,
      (turn) => {
        const isWhole = (turn + 1) * workgroupSize <= vectors;
        return `${isWhole ? '' : `if (j${turn} < ${vectors}u) `}{
    ${text(turn, `j${turn}`)}
  }`;
      },
      '\n  ',
    );
  const scaleIndex = (j: string): string => {
    if (chunkColumns <= BLOCK) return `${j} / ${BLOCK_WORDS}u`;
    return `${j} % ${chunkWords}u / ${BLOCK_WORDS}u * ${chunks}u + ${j} / ${chunkWords}u`;
  };
  return `
  ${hasNorm ? 'var square = 0.0;' : ''}
  ${repeat(turns, (turn) => `let j${turn} = thread + ${turn * workgroupSize}u;\n  var x${turn}: vec4<f32>;\n  var largest${turn} = 1e-30f;`, '\n  ')}
  ${each(
    (turn, j) => `x${turn} = x[${j}];
    ${hasNorm ? `square += dot(x${turn}, x${turn});\n    x${turn} *= gain[${j}];` : ''}
    let pair = max(abs(x${turn}.xy), abs(x${turn}.zw));
    activations[${j}] = bitcast<u32>(max(pair.x, pair.y));`,
  )}
  ${hasNorm ? 'squares[thread] = square;' : ''}
  workgroupBarrier();
  ${each((turn, j) =>
    repeat(
      BLOCK_WORDS,
      (k) => `largest${turn} = max(largest${turn}, bitcast<f32>(activations[(${j} & ~7u) + ${k}u]));`,
      '\n    ',
    ),
  )}
  workgroupBarrier();
  ${each(
    (turn, j) => `activations[${j} % ${chunkWords}u * ${stride(shape)}u + ${j} / ${chunkWords}u] =
      pack4xI8(vec4<i32>(round(x${turn} * (127.0 / largest${turn}))));
    if ((${j} & 7u) == 0u) {
      activationScales[${scaleIndex(j)}] = largest${turn} * ${1 / 127}f;
    }`,
  )}
  workgroupBarrier();
  for (var i = thread; i < ${columns / partColumns}u; i += ${workgroupSize}u) {
    let first = i / ${chunks}u * ${partWords * stride(shape)}u + i % ${chunks}u;
    activationSums[i] = ${repeat(partWords, (k) => `dot4I8Packed(activations[first + ${k * stride(shape)}u], 0x01010101u)`, ' + ')};
  }
  workgroupBarrier();`;
}
