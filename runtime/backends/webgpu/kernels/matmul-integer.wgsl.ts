import { BLOCK, codeBits, FORMATS, type QuantFormat, type QuantFormatName } from '../../../quantization/formats.ts';
import { repeat } from './kernel.ts';
import type { MatmulIntegerTile } from './matmul-integer-tile.ts';
import { SHAPE_SUPERBLOCKS, writeResults } from './matmul.wgsl.ts';
import { type ChunkFormat, chunkFormat, loadChunk } from './weight-format.wgsl.ts';
import { chunkScales, scaleFunctions } from './weight-scales.wgsl.ts';

/** A product by dot products of four signed bytes. */
export interface MatmulIntegerVariant extends MatmulIntegerTile {
  kernel: 'matmulInteger';
  format: QuantFormatName;
  hasBias: boolean;
}

/** Blocks of 32 columns of a tile in workgroup memory. */
export const TILE_BLOCKS = 2;
/** vec4s of words from one row of a tile to the next: one more than it holds, so that neighbours meet different banks. */
export const TILE_STRIDE = TILE_BLOCKS * 2 + 1;

/** Groups of a block that have scales of their own. */
export function blockGroups({ groupSize }: QuantFormat): number {
  return Math.max(1, BLOCK / groupSize);
}

/**
 * Tiles of both operands lie in workgroup memory as signed bytes, with a scale for each block of 32 activations and for each
 * group of weights: both are made so on the way in, weights exactly, activations to the nearest 127th of the block's largest.
 * Thread (t, r) makes the results of tokens t, t + threadsTokens, … and rows r, r + threadsRows, … of the tile.
 */
export function matmulIntegerWgsl(variant: MatmulIntegerVariant): string {
  const { threadsTokens, threadsRows, tokensPerThread, rowsPerThread } = variant;
  const format: QuantFormat = FORMATS[variant.format];
  const hasMinimums = format.offset === 'min';
  const groups = blockGroups(format);
  const threads = threadsTokens * threadsRows;
  const tileTokens = threadsTokens * tokensPerThread;
  const tileRows = threadsRows * rowsPerThread;
  return `
const STRIDE = ${TILE_STRIDE}u;
const BLOCKS = ${TILE_BLOCKS}u;
var<workgroup> tokenTile: array<vec4<u32>, ${tileTokens * TILE_STRIDE}>;
var<workgroup> rowTile: array<vec4<u32>, ${tileRows * TILE_STRIDE}>;
var<workgroup> tokenScales: array<f32, ${tileTokens * TILE_BLOCKS}>;
var<workgroup> rowScales: array<f32, ${tileRows * TILE_BLOCKS * groups}>;
${
  hasMinimums
    ? `// Of each group: the sum of the activations, and the weights' minimum.
var<workgroup> tokenSums: array<f32, ${tileTokens * TILE_BLOCKS * groups}>;
var<workgroup> rowMinimums: array<f32, ${tileRows * TILE_BLOCKS * groups}>;`
    : ''
}
${scaleFunctions(chunkScales(format, BLOCK), SHAPE_SUPERBLOCKS, 1)}

@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let firstToken = workgroup.y * ${tileTokens}u;
  let firstRow = workgroup.x * ${tileRows}u;
  let tokens = select(select(shape.tokenSource, step.outputs, shape.tokenSource == 1u), step.tokens, shape.tokenSource == 0u);
  let blockCount = shape.columns / ${BLOCK}u;
  let threadToken = thread / ${threadsRows}u;
  let threadRow = thread % ${threadsRows}u;
  ${repeat(tokensPerThread * rowsPerThread, (i) => `var sum${i} = 0.0;`, '\n  ')}
  for (var first = 0u; first < blockCount; first += BLOCKS) {
    // Tokens, rows and blocks past the end repeat the last: only the scales of blocks must then be zero.
    for (var i = thread; i < ${tileTokens}u * BLOCKS; i += ${threads}u) {
      let start = (min(firstToken + i / BLOCKS, tokens - 1u) * blockCount + min(first + i % BLOCKS, blockCount - 1u)) * 8u;
      ${quantizeBlock(groups, hasMinimums)}
    }
    for (var i = thread; i < ${tileRows}u * BLOCKS; i += ${threads}u) {
      let block = min(firstRow + i / BLOCKS, shape.rows - 1u) * blockCount + min(first + i % BLOCKS, blockCount - 1u);
      ${unpackBlock(variant.format, format, groups)}
    }
    workgroupBarrier();
    for (var block = 0u; block < BLOCKS; block++) {
      ${multiplyBlock(variant, groups, hasMinimums)}
    }
    workgroupBarrier();
  }
  ${writeResults(variant)}
}`;
}

function quantizeBlock(groups: number, hasMinimums: boolean): string {
  const sum = (group: number): string =>
    repeat(8 / groups, (k) => `dot4I8Packed(word${k + (group * 8) / groups}, 0x01010101u)`, ' + ');
  return `${repeat(8, (k) => `let x${k} = x[start + ${k}u];`, '\n      ')}
      let largest4 = ${repeat(7, () => 'max(', '')}abs(x0)${repeat(7, (k) => `, abs(x${k + 1}))`, '')};
      let largest2 = max(largest4.xy, largest4.zw);
      let largest = max(max(largest2.x, largest2.y), 1e-30);
      ${repeat(8, (k) => `let word${k} = pack4xI8(vec4<i32>(round(x${k} * (127.0 / largest))));`, '\n      ')}
      let scale = select(0.0, largest * ${1 / 127}f, first + i % BLOCKS < blockCount);
      tokenScales[i] = scale;
      ${storeWords('tokenTile', (k) => `word${k}`)}
      ${hasMinimums ? repeat(groups, (g) => `tokenSums[i * ${groups}u + ${g}u] = scale * f32(${sum(g)});`, '\n      ') : ''}`;
}

/** Two vec4s of words: one block of row i / BLOCKS. */
function storeWords(tile: string, word: (k: number) => string): string {
  return repeat(
    2,
    (half) => {
      const words = repeat(4, (k) => word(half * 4 + k), ', ');
      return `${tile}[i / BLOCKS * STRIDE + i % BLOCKS * 2u + ${half}u] = vec4<u32>(${words});`;
    },
    '\n      ',
  );
}

function unpackBlock(name: QuantFormatName, format: QuantFormat, groups: number): string {
  const chunk = chunkFormat(name, BLOCK);
  const scales = chunkScales(format, BLOCK);
  const chunks = BLOCK / chunk.columns;
  const words = 8 / chunks;
  // What signed bytes leave out of unsigned codes of 8 bits, where there are minimums.
  const shift = (g: number): string => (codeBits(format) === 8 ? ` + 128.0 * ${scales.scale('scale', g)}` : '');
  const minimum = (g: number): string => scales.minimum('scale', g) + shift(g);
  return `${repeat(chunks, (c) => loadChunk(chunk, `chunk${c}`, chunks === 1 ? 'block' : `block * ${chunks}u + ${c}u`), '\n      ')}
      let scale = chunkScale(block);
      ${repeat(groups, (g) => `rowScales[i * ${groups}u + ${g}u] = ${scales.scale('scale', g)};`, '\n      ')}
      ${scales.hasMinimums ? repeat(groups, (g) => `rowMinimums[i * ${groups}u + ${g}u] = ${minimum(g)};`, '\n      ') : ''}
      ${storeWords('rowTile', (k) => signedCodes(format, chunk, `chunk${Math.floor(k / words)}`, k % words))}`;
}

/** The weights over the scale as signed bytes; where there are minimums the codes, of 8 bits less 128. */
function signedCodes(format: QuantFormat, chunk: ChunkFormat, word: string, i: number): string {
  const codes = chunk.codes(word, i);
  const bits = codeBits(format);
  if (bits === 8) return `(${codes}) ^ 0x80808080u`;
  if (format.offset === 'min') return codes;
  // With its top bit set no byte borrows from the next.
  const offset = (2 ** (bits - 1)).toString(16).padStart(2, '0').repeat(4);
  return `(((${codes}) | 0x80808080u) - 0x${offset}u) ^ 0x80808080u`;
}

const COMPONENTS = ['x', 'y', 'z', 'w'] as const;

function multiplyBlock(variant: MatmulIntegerVariant, groups: number, hasMinimums: boolean): string {
  const { threadsTokens, threadsRows, tokensPerThread, rowsPerThread } = variant;
  const load = (side: string, tile: string, index: string): string =>
    `let ${side}0 = ${tile}[(${index}) * STRIDE + block * 2u]; let ${side}1 = ${tile}[(${index}) * STRIDE + block * 2u + 1u];`;
  const perGroup = (name: string, array: string, index: string): string =>
    repeat(groups, (g) => `let ${name}${g} = ${array}[((${index}) * BLOCKS + block) * ${groups}u + ${g}u];`, ' ');
  const dots = (t: number, group: number): string => {
    const words = 8 / groups;
    const word = (side: string, k: number): string => `${side}${k >> 2}.${COMPONENTS[k & 3]!}`;
    return repeat(
      words,
      (k) => `dot4I8Packed(${word(`a${t}w`, k + group * words)}, ${word('b', k + group * words)})`,
      ' + ',
    );
  };
  const multiply = (t: number, r: number): string => {
    const sum = `sum${t * rowsPerThread + r}`;
    const product = repeat(groups, (g) => `f32(${dots(t, g)}) * scale${g}`, ' + ');
    const rest = hasMinimums ? repeat(groups, (g) => ` + a${t}sum${g} * minimum${g}`, '') : '';
    return `${sum} += a${t}scale * (${product})${rest};`;
  };
  return `${repeat(
    tokensPerThread,
    (t) => {
      const index = `threadToken + ${t * threadsTokens}u`;
      return `${load(`a${t}w`, 'tokenTile', index)}
      let a${t}scale = tokenScales[(${index}) * BLOCKS + block]; ${hasMinimums ? perGroup(`a${t}sum`, 'tokenSums', index) : ''}`;
    },
    '\n      ',
  )}
      ${repeat(
        rowsPerThread,
        (r) => {
          const index = `threadRow + ${r * threadsRows}u`;
          return `{
        ${load('b', 'rowTile', index)}
        ${perGroup('scale', 'rowScales', index)} ${hasMinimums ? perGroup('minimum', 'rowMinimums', index) : ''}
        ${repeat(tokensPerThread, (t) => multiply(t, r), '\n        ')}
      }`;
        },
        '\n      ',
      )}`;
}
