import { type FormatName, SUPERBLOCK } from '../../../quantization/formats.ts';
import { repeat } from './kernel.ts';
import type { Rows } from './rows.ts';
import { type ChunkFormat, chunkFormat, chunkVectorsFunction } from './weight-format.wgsl.ts';

export interface MatmulVariant {
  kernel: 'matmul';
  format: FormatName;
  /** What the matrix's columns are a multiple of: decides how wide its loads are. */
  columnMultiple: 4 | 8 | 32;
  hasBias: boolean;
  /** Threads along tokens and along rows. */
  threadsTokens: number;
  threadsRows: number;
  /** Results of each thread along tokens and along rows. */
  tokensPerThread: number;
  rowsPerThread: number;
  /** Columns of a tile in workgroup memory: a multiple of 32. */
  tileColumns: number;
  /** Number type of the tiles in workgroup memory; sums are f32 always. */
  tileType: 'f32' | 'f16';
  /** Steps of the inner loop that are written out: a divisor of tileColumns / 4. */
  unroll: number;
}

/** vec4s from one row of a tile to the next: one more than it holds, so that neighbours' reads meet different banks. */
export function tileStride(variant: Pick<MatmulVariant, 'tileColumns'>): number {
  return variant.tileColumns / 4 + 1;
}

/** Sizes of one product, in the order of `Shape` below. They are not text: one pipeline serves all matrices of a format. */
export interface MatmulShape {
  /** Rows of this piece of the matrix, of the whole, and the whole's row that is this piece's first. */
  rows: number;
  totalRows: number;
  firstRow: number;
  columns: number;
  /** Where the number of activation rows comes from. */
  tokens: Rows;
}

type ResultTile = Pick<
  MatmulVariant,
  'threadsTokens' | 'threadsRows' | 'tokensPerThread' | 'rowsPerThread' | 'hasBias'
>;

export const MATMUL_SHAPE_WGSL = `struct Shape {
  rows: u32,
  totalRows: u32,
  firstRow: u32,
  columns: u32,
  // 0: the step's tokens, 1: its outputs, else the number itself.
  tokenSource: u32,
}`;

/** What two-level scales want to know of the matrix. */
export const SHAPE_SUPERBLOCKS = `(shape.rows * (shape.columns / ${SUPERBLOCK}u))`;

export function matmulShapeWords({ rows, totalRows, firstRow, columns, tokens }: MatmulShape): number[] {
  const tokenSource = typeof tokens === 'number' ? tokens : TOKEN_SOURCES[tokens];
  return [rows, totalRows, firstRow, columns, tokenSource];
}

const TOKEN_SOURCES = { tokens: 0, outputs: 1 } as const;

/**
 * Tiles lie as rows of vec4s along the columns, which is how both operands are read and written; thread (t, r) makes the
 * results of tokens t, t + threadsTokens, … and rows r, r + threadsRows, … of the tile.
 */
export function matmulWgsl(variant: MatmulVariant): string {
  const { format, columnMultiple, threadsTokens, threadsRows, tokensPerThread, rowsPerThread, tileColumns } = variant;
  const chunk = chunkFormat(format, columnMultiple);
  const threads = threadsTokens * threadsRows;
  const tileTokens = threadsTokens * tokensPerThread;
  const tileRows = threadsRows * rowsPerThread;
  const stride = tileStride(variant);
  return `
const STRIDE = ${stride}u;
${chunkVectorsFunction(chunk, SHAPE_SUPERBLOCKS)}
var<workgroup> tokenTile: array<vec4<${variant.tileType}>, ${tileTokens * stride}>;
var<workgroup> rowTile: array<vec4<${variant.tileType}>, ${tileRows * stride}>;

@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let firstToken = workgroup.y * ${tileTokens}u;
  let firstRow = workgroup.x * ${tileRows}u;
  let tokens = select(select(shape.tokenSource, step.outputs, shape.tokenSource == 1u), step.tokens, shape.tokenSource == 0u);
  let vectorCount = shape.columns / 4u;
  let chunkCount = shape.columns / ${chunk.columns}u;
  let threadToken = thread / ${threadsRows}u;
  let threadRow = thread % ${threadsRows}u;
  ${repeat(tokensPerThread * rowsPerThread, (i) => `var sum${i} = 0.0;`, '\n  ')}
  for (var tile = 0u; tile * ${tileColumns}u < shape.columns; tile++) {
    for (var i = thread; i < ${(tileTokens * tileColumns) / 4}u; i += ${threads}u) {
      let token = i / ${tileColumns / 4}u;
      let vector = tile * ${tileColumns / 4}u + i % ${tileColumns / 4}u;
      var value = vec4<f32>(0.0);
      if (firstToken + token < tokens && vector < vectorCount) {
        value = x[(firstToken + token) * vectorCount + vector];
      }
      tokenTile[token * STRIDE + i % ${tileColumns / 4}u] = vec4<${variant.tileType}>(value);
    }
    ${loadRowTile(variant, chunk, tileRows, threads)}
    workgroupBarrier();
    ${multiplyTiles(variant)}
    workgroupBarrier();
  }
  ${writeResults(variant)}
}`;
}

function loadRowTile(variant: MatmulVariant, chunk: ChunkFormat, tileRows: number, threads: number): string {
  const chunksPerTile = variant.tileColumns / chunk.columns;
  const vectors = chunk.columns / 4;
  return `for (var i = thread; i < ${tileRows * chunksPerTile}u; i += ${threads}u) {
      let row = i / ${chunksPerTile}u;
      let chunk = tile * ${chunksPerTile}u + i % ${chunksPerTile}u;
      let start = row * STRIDE + i % ${chunksPerTile}u * ${vectors}u;
      if (firstRow + row < shape.rows && chunk < chunkCount) {
        var vectors = chunkVectors((firstRow + row) * chunkCount + chunk);
        ${repeat(vectors, (v) => `rowTile[start + ${v}u] = vec4<${variant.tileType}>(vectors[${v}]);`, '\n        ')}
      } else {
        ${repeat(vectors, (v) => `rowTile[start + ${v}u] = vec4<${variant.tileType}>();`, '\n        ')}
      }
    }`;
}

function multiplyTiles(variant: MatmulVariant): string {
  const { threadsTokens, threadsRows, tokensPerThread, rowsPerThread, tileColumns, unroll } = variant;
  const read = (tile: string, start: string, step: number, index: number): string =>
    `vec4<f32>(${tile}[(${start} + ${index * step}u) * STRIDE + vector])`;
  const multiply = (t: number, r: number): string => {
    const sum = `sum${t * rowsPerThread + r}`;
    return `${sum} = ${sum} + a${t}.x * b.x + a${t}.y * b.y + a${t}.z * b.z + a${t}.w * b.w;`;
  };
  const step = (offset: number): string => `{
      let vector = first + ${offset}u;
      ${repeat(tokensPerThread, (t) => `let a${t} = ${read('tokenTile', 'threadToken', threadsTokens, t)};`, '\n      ')}
      ${repeat(
        rowsPerThread,
        (r) => `{
        let b = ${read('rowTile', 'threadRow', threadsRows, r)};
        ${repeat(tokensPerThread, (t) => multiply(t, r), '\n        ')}
      }`,
        '\n      ',
      )}
      }`;
  return `for (var first = 0u; first < ${tileColumns / 4}u; first += ${unroll}u) {
      ${repeat(unroll, step, '\n      ')}
    }`;
}

/** Writes sum0 … of `threadToken` and `threadRow`. */
export function writeResults(variant: ResultTile): string {
  const { threadsTokens, threadsRows, tokensPerThread, rowsPerThread, hasBias } = variant;
  const write = (t: number, r: number): string => {
    const row = `row + ${r * threadsRows}u`;
    const bias = hasBias ? ` + bias[shape.firstRow + ${row}]` : '';
    return `if (${row} < shape.rows) {
      result[(token + ${t * threadsTokens}u) * shape.totalRows + shape.firstRow + ${row}] = sum${t * rowsPerThread + r}${bias};
    }`;
  };
  return `let token = firstToken + threadToken;
  let row = firstRow + threadRow;
  ${repeat(
    tokensPerThread,
    (t) => `if (token + ${t * threadsTokens}u < tokens) {
    ${repeat(rowsPerThread, (r) => write(t, r), '\n    ')}
  }`,
    '\n  ',
  )}`;
}
