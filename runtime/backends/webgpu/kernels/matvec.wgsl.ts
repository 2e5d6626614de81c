import { SUPERBLOCK } from '../../../quantization/formats.ts';
import { activationFunction } from './activation.wgsl.ts';
import { float, repeat } from './kernel.ts';
import { matvecEpilogue } from './matvec-epilogue.wgsl.ts';
import type { MatvecVariant } from './matvec-variant.ts';
import { reduceBuiltins, reduceMemory, reduceStatements } from './reduce.wgsl.ts';
import { type ChunkFormat, chunkFormat, loadChunk } from './weight-format.wgsl.ts';
import { scaleFunctions } from './weight-scales.wgsl.ts';

/** `lanes` threads a unit of rows; lane l takes chunks l, l + lanes, … of each of its rows. */
export function matvecWgsl(variant: MatvecVariant): string {
  const { format, columns, lanes, rowsPerThread, workgroupSize, reduction, normEpsilon, activation } = variant;
  const chunk = chunkFormat(format, columns);
  const vectors = chunk.columns / 4;
  const hasNorm = normEpsilon !== undefined;
  const shape = { reduction, workgroupSize, lanes, values: rowsPerThread + (hasNorm ? 1 : 0) };
  const epilogue = matvecEpilogue(variant);
  return `
const CHUNKS = ${columns / chunk.columns}u;
const UNITS = ${epilogue.units}u;
${scaleFunctions(chunk.scales, `${(variant.rows * columns) / SUPERBLOCK}u`, chunk.scaleFactor)}
${activation ? activationFunction(activation, 'f32') : ''}
${reduceMemory(shape)}

@compute @workgroup_size(${workgroupSize})
fn main(
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(num_workgroups) workgroupCount: vec3<u32>,
  @builtin(local_invocation_index) thread: u32${reduceBuiltins(reduction)}
) {
  let lane = thread % ${lanes}u;
  let ownUnit = (workgroup.y * workgroupCount.x + workgroup.x) * ${workgroupSize / lanes}u + thread / ${lanes}u;
  // Units past the end are computed as copies of the last one and not written, so that all threads stay together.
  let unit = min(ownUnit, UNITS - 1u);
  ${repeat(rowsPerThread, (r) => `let row${r} = ${epilogue.row(r)};`, '\n  ')}
  ${repeat(shape.values, (i) => `var sum${i} = 0.0;`, '\n  ')}
  for (var i = lane; i < CHUNKS; i += ${lanes}u) {
    ${repeat(rowsPerThread, (r) => loadChunk(chunk, `word${r}`, `row${r} * CHUNKS + i`), '\n    ')}
    ${hasNorm ? normedLoads(vectors, rowsPerThread) : repeat(vectors, (v) => `let x${v} = x[i * ${vectors}u + ${v}u];`, '\n    ')}
    ${groupStatements(chunk)}
    ${repeat(rowsPerThread, (r) => rowStatement(chunk, r), '\n    ')}
  }
  ${reduceStatements(shape)}
  if (lane == 0u && ownUnit < UNITS) {
    ${hasNorm ? `let inverse = inverseSqrt(sum${rowsPerThread} / ${float(columns)} + ${float(normEpsilon)});` : ''}
    ${repeat(rowsPerThread, (r) => `let value${r} = ${finished(variant, r)};`, '\n    ')}
    ${epilogue.write}
  }
}`;
}

// The norm's factor is the same for all columns, so it waits until the end: Σ w·x·gain is divided by the root of the mean
// of x², which is summed beside.
function normedLoads(vectors: number, sumOfSquares: number): string {
  return repeat(
    vectors,
    (v) => `let raw${v} = x[i * ${vectors}u + ${v}u];
    let x${v} = raw${v} * gain[i * ${vectors}u + ${v}u];
    sum${sumOfSquares} += dot(raw${v}, raw${v});`,
    '\n    ',
  );
}

/** The finished sum of a row: normed, with its bias. */
export function finished(
  { firstRow, hasBias, normEpsilon }: Pick<MatvecVariant, 'firstRow' | 'hasBias' | 'normEpsilon'>,
  row: number,
): string {
  const sum = normEpsilon === undefined ? `sum${row}` : `sum${row} * inverse`;
  return hasBias ? `${sum} + bias[${firstRow}u + row${row}]` : sum;
}

/**
 * What a group's activations come to without its codes, which all rows share: Σ (code − offset)·x = Σ code·x − offset·Σ x,
 * and where there is a minimum it takes Σ x.
 */
function groupStatements(chunk: ChunkFormat): string {
  const { scales, offset } = chunk;
  if (!scales) return '';
  const factor = scales.hasMinimums ? '' : `${float(offset)} * `;
  return repeat(
    scales.groups,
    (g) =>
      `let shared${g} = ${factor}dot(${repeat(groupVectors(chunk), (v) => `x${v + g * groupVectors(chunk)}`, ' + ')}, vec4<f32>(1.0));`,
    '\n    ',
  );
}

function groupVectors({ columns, scales }: ChunkFormat): number {
  return columns / 4 / (scales?.groups ?? 1);
}

function rowStatement(chunk: ChunkFormat, row: number): string {
  const { scales } = chunk;
  const vectors = groupVectors(chunk);
  const products = (group: number): string =>
    repeat(vectors, (v) => `dot(${chunk.vector(`word${row}`, v + group * vectors)}, x${v + group * vectors})`, ' + ');
  if (!scales) return `sum${row} += ${products(0)};`;
  const term = (group: number): string => {
    const scale = scales.scale(`scale${row}`, group);
    if (!scales.hasMinimums) return `(${products(group)} - shared${group}) * ${scale}`;
    return `(${products(group)}) * ${scale} + shared${group} * ${scales.minimum(`scale${row}`, group)}`;
  };
  return `let scale${row} = chunkScale(row${row} * CHUNKS + i);
    sum${row} += ${repeat(scales.groups, term, ' + ')};`;
}
