import type { FormatName } from '../../../quantization/formats.ts';
import { repeat } from './kernel.ts';
import { MATRIX_PADDING, type MatmulMatrixTile, SUBGROUP_SIZE } from './matmul-matrix-tile.ts';
import { SHAPE_SUPERBLOCKS } from './matmul.wgsl.ts';
import { type ChunkFormat, chunkFormat } from './weight-format.wgsl.ts';
import { scaleFunctions } from './weight-scales.wgsl.ts';

/** A product by the GPU's own matrix units: subgroup matrices of 16 × 16 f16, with sums in f32. */
export interface MatmulMatrixVariant extends MatmulMatrixTile {
  kernel: 'matmulMatrix';
  format: Exclude<FormatName, 'f32'>;
  hasBias: boolean;
}

/**
 * Activations are halves on the way: a sixteenth of them reaches to a million without overflow, and is exact down to
 * 5e-7. Results are multiplied by 16.
 */
const SHRINK = 16;

/**
 * The part of a tile that a subgroup multiplies is an array of its own, and offsets into it are constants: the browser's
 * compiler puts a branch around every load whose bounds it cannot tell, at half the speed.
 *
 * Each thread has the next tile's numbers in registers while the subgroups multiply this one. Tokens and rows past the end
 * repeat the last, and are not written: no load needs a branch.
 */
export function matmulMatrixWgsl(variant: MatmulMatrixVariant): string {
  const { format, tileTokens, tileRows, subgroupsTokens, subgroupsRows, tileColumns } = variant;
  const chunk = chunkFormat(format, 32);
  const threads = subgroupsTokens * subgroupsRows * SUBGROUP_SIZE;
  const rowVectors = tileColumns / 4;
  const rowChunks = tileColumns / chunk.columns;
  const stride = (tileColumns + MATRIX_PADDING) / 4;
  const tokenLoads = Math.ceil((tileTokens * rowVectors) / threads);
  const chunkLoads = Math.ceil((tileRows * rowChunks) / threads);
  const partTokens = tileTokens / subgroupsTokens;
  const partRows = tileRows / subgroupsRows;
  // What is more than the tile has, the last threads leave out.
  const within = (i: number, count: number, statement: string): string =>
    (i + 1) * threads <= count ? statement : `if (thread + ${i * threads}u < ${count}u) { ${statement} }`;
  const fragmentsTokens = partTokens / 16;
  const fragmentsRows = partRows / 16;
  const fragments = fragmentsTokens * fragmentsRows;
  const fetchChunk = (i: number): string => {
    const words = chunk.planes.map(({ name, suffix }) => `word${i}${suffix} = ${name}[${chunkIndex(i)}];`);
    return [...words, chunk.scales ? `scale${i} = loadScale(${chunkIndex(i)});` : ''].join(' ');
  };
  const chunkIndex = (i: number): string => `chunk${i} + start / ${chunk.columns}u`;
  const fetch = `
    ${repeat(tokenLoads, (i) => within(i, tileTokens * rowVectors, `value${i} = x[vector${i} + start / 4u];`), '\n    ')}
    ${repeat(chunkLoads, (i) => within(i, tileRows * rowChunks, fetchChunk(i)), '\n    ')}`;
  return `
alias Sums = subgroup_matrix_result<f32, 16, 16>;
const STRIDE = ${stride}u;
var<workgroup> tokenTile: array<array<vec4<f16>, ${partTokens * stride}>, ${subgroupsTokens}>;
var<workgroup> rowTile: array<array<vec4<f16>, ${partRows * stride}>, ${subgroupsRows}>;
var<workgroup> sums: array<array<f32, ${fragmentsRows * 256}>, ${subgroupsTokens * subgroupsRows}>;
${scaleFunctions(chunk.scales, SHAPE_SUPERBLOCKS, 1)}
${halvesFunction(chunk)}

@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let tokens = select(select(shape.tokenSource, step.outputs, shape.tokenSource == 1u), step.tokens, shape.tokenSource == 0u);
  let firstToken = workgroup.y * ${tileTokens}u;
  let firstRow = workgroup.x * ${tileRows}u;
  let subgroup = thread / ${SUBGROUP_SIZE}u;
  let partToken = subgroup / ${subgroupsRows}u;
  let partRow = subgroup % ${subgroupsRows}u;
  ${repeat(
    tokenLoads,
    (i) => `let token${i} = (thread + ${i * threads}u) / ${rowVectors}u;
  let vector${i} = min(firstToken + token${i}, tokens - 1u) * (shape.columns / 4u) + thread % ${rowVectors}u;
  var value${i}: vec4<f32>;`,
    '\n  ',
  )}
  ${repeat(
    chunkLoads,
    (i) => `let row${i} = (thread + ${i * threads}u) / ${rowChunks}u;
  let chunk${i} = min(firstRow + row${i}, shape.rows - 1u) * (shape.columns / ${chunk.columns}u) + thread % ${rowChunks}u;
  ${chunk.planes.map(({ suffix, type }) => `var word${i}${suffix}: ${type};`).join(' ')}
  ${chunk.scales ? `var scale${i}: ${chunk.scales.raw};` : ''}`,
    '\n  ',
  )}
  ${repeat(fragments, (i) => `var sum${i} = Sums();`, '\n  ')}
  var start = 0u;${fetch}
  loop {
    ${repeat(tokenLoads, (i) => within(i, tileTokens * rowVectors, writeTokens(i)), '\n    ')}
    ${repeat(chunkLoads, (i) => within(i, tileRows * rowChunks, writeHalves(i)), '\n    ')}
    workgroupBarrier();
    start += ${tileColumns}u;
    if (start < shape.columns) {${fetch}
    }
    ${repeat(tileColumns / 16, multiply, '\n    ')}
    workgroupBarrier();
    if (start >= shape.columns) {
      break;
    }
  }
  ${repeat(fragmentsTokens, writeFragments, '\n  ')}
}`;

  function writeTokens(i: number): string {
    const at = `token${i} % ${partTokens}u * STRIDE + thread % ${rowVectors}u`;
    return `tokenTile[token${i} / ${partTokens}u][${at}] = vec4<f16>(value${i} * ${1 / SHRINK}).xzyw;`;
  }

  function writeHalves(i: number): string {
    const words = chunk.planes.map(({ suffix }) => `word${i}${suffix}`);
    const scale = chunk.scales ? [`scaleOf(scale${i}, ${chunkIndex(i)})`] : [];
    return `{
      let halves = chunkHalves(${[...words, ...scale].join(', ')});
      let at = row${i} % ${partRows}u * STRIDE + thread % ${rowChunks}u * ${chunk.columns / 4}u;
      ${repeat(chunk.columns / 4, (v) => `rowTile[row${i} / ${partRows}u][at + ${v}u] = halves[${v}];`, '\n      ')}
    }`;
  }

  function multiply(k: number): string {
    const load = (side: string, order: string, tile: string, first: number): string =>
      `subgroupMatrixLoad<subgroup_matrix_${side}<f16, 16, 16>, ${order}>(&${tile}, ${first * stride + k * 4}u, STRIDE)`;
    return `{
      ${repeat(fragmentsTokens, (t) => `let left${t} = ${load('left', 'row_major', 'tokenTile[partToken]', t * 16)};`, '\n      ')}
      ${repeat(
        fragmentsRows,
        (r) => `let right${r} = ${load('right', 'col_major', 'rowTile[partRow]', r * 16)};
      ${repeat(fragmentsTokens, (t) => accumulate(t, r), '\n      ')}`,
        '\n      ',
      )}
    }`;
  }

  function accumulate(t: number, r: number): string {
    const sum = `sum${t * fragmentsRows + r}`;
    return `${sum} = subgroupMatrixMultiplyAccumulate(left${t}, right${r}, ${sum});`;
  }

  // A subgroup's fragments of 16 tokens go through workgroup memory, where each thread finds its numbers.
  function writeFragments(t: number): string {
    const width = fragmentsRows * 16;
    return `${repeat(
      fragmentsRows,
      (r) => `subgroupMatrixStore<row_major>(&sums[subgroup], ${r * 16}u, sum${t * fragmentsRows + r}, ${width}u);`,
      '\n  ',
    )}
  workgroupBarrier();
  for (var i = thread % ${SUBGROUP_SIZE}u; i < ${width * 16}u; i += ${SUBGROUP_SIZE}u) {
    let token = firstToken + partToken * ${partTokens}u + ${t * 16}u + i / ${width}u;
    let row = firstRow + partRow * ${partRows}u + i % ${width}u;
    if (token < tokens && row < shape.rows) {
      result[token * shape.totalRows + shape.firstRow + row] = ${SHRINK}.0 * sums[subgroup][i]${variant.hasBias ? ' + bias[shape.firstRow + row]' : ''};
    }
  }
  workgroupBarrier();`;
  }
}

/**
 * A chunk as halves, in groups of columns 0, 2, 1, 3: two bytes of a word become two halves at a time, by way of the bits of
 * 1024 + n.
 */
function halvesFunction(chunk: ChunkFormat): string {
  const { scales } = chunk;
  const count = chunk.columns / 4;
  if (!scales) {
    return `fn chunkHalves(word: vec4<u32>) -> array<vec4<f16>, 2> {
  return array<vec4<f16>, 2>(bitcast<vec4<f16>>(word.xy).xzyw, bitcast<vec4<f16>>(word.zw).xzyw);
}`;
  }
  const parameters = chunk.planes.map(({ suffix, type }) => `word${suffix}: ${type}`);
  const offset = Math.round(chunk.offset * chunk.scaleFactor);
  const vector = (i: number): string => {
    const group = Math.floor((i * scales.groups) / count);
    const scale = `f16(${scales.scale('scale', group)})`;
    const pair = (bits: string): string => `bitcast<vec2<f16>>((${bits} & 0x00ff00ffu) | 0x64006400u)`;
    const codes = `(${chunk.codes('word', i)})`;
    const value = `(vec4<f16>(${pair(codes)}, ${pair(`(${codes} >> 8u)`)}) - ${1024 + offset}.0h) * ${scale}`;
    return scales.hasMinimums ? `${value} + f16(${scales.minimum('scale', group)})` : value;
  };
  return `fn chunkHalves(${[...parameters, `scale: ${scales.type}`].join(', ')}) -> array<vec4<f16>, ${count}> {
  return array<vec4<f16>, ${count}>(
    ${repeat(count, vector, ',\n    ')}
  );
}`;
}
