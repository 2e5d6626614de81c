import type { FormatName } from '../../../quantization/formats.ts';
import { type Reduction, repeat } from './kernel.ts';
import { reduceBuiltins, reduceMemory, reduceStatements } from './reduce.wgsl.ts';
import { type ChunkFormat, chunkFormat, float, scaleFunction } from './weight-format.wgsl.ts';

export interface MatvecVariant {
  kernel: 'matvec';
  format: FormatName;
  /** Rows of this piece of the matrix, and the matrix's row that is its first. */
  rows: number;
  firstRow: number;
  columns: number;
  hasBias: boolean;
  /** Threads that share a row: a power of two. */
  lanes: number;
  /** Rows that each thread takes part in. */
  rowsPerThread: number;
  workgroupSize: number;
  reduction: Reduction;
}

export function rowsPerWorkgroup({ workgroupSize, lanes, rowsPerThread }: MatvecVariant): number {
  return (workgroupSize / lanes) * rowsPerThread;
}

/** `lanes` threads a group of rows; lane l takes chunks l, l + lanes, … of each of its rows. */
export function matvecWgsl(variant: MatvecVariant): string {
  const { format, rows, firstRow, columns, hasBias, lanes, rowsPerThread, workgroupSize, reduction } = variant;
  const chunk = chunkFormat(format, columns);
  const vectors = chunk.columns / 4;
  const shape = { reduction, workgroupSize, lanes, values: rowsPerThread };
  return `
const CHUNKS = ${columns / chunk.columns}u;
const ROWS = ${rows}u;
${scaleFunction(chunk)}
${reduceMemory(shape)}

@compute @workgroup_size(${workgroupSize})
fn main(
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(num_workgroups) workgroupCount: vec3<u32>,
  @builtin(local_invocation_index) thread: u32${reduceBuiltins(reduction)}
) {
  let lane = thread % ${lanes}u;
  let workgroupIndex = workgroup.y * workgroupCount.x + workgroup.x;
  let firstRow = workgroupIndex * ${rowsPerWorkgroup(variant)}u + thread / ${lanes}u * ${rowsPerThread}u;
  // Rows past the end are computed as copies of the last one and not written, so that all threads stay together.
  ${repeat(rowsPerThread, (r) => `let start${r} = min(firstRow + ${r}u, ROWS - 1u) * CHUNKS;`, '\n  ')}
  ${repeat(rowsPerThread, (r) => `var sum${r} = 0.0;`, '\n  ')}
  for (var i = lane; i < CHUNKS; i += ${lanes}u) {
    ${repeat(rowsPerThread, (r) => `let word${r} = plane[start${r} + i];`, '\n    ')}
    ${repeat(vectors, (v) => `let x${v} = x[i * ${vectors}u + ${v}u];`, '\n    ')}
    ${chunk.offset === 0 ? '' : offsetStatement(chunk)}
    ${repeat(rowsPerThread, (r) => rowStatement(chunk, r), '\n    ')}
  }
  ${reduceStatements(shape)}
  if (lane == 0u) {
    ${repeat(rowsPerThread, (r) => writeStatement(r, firstRow, hasBias), '\n    ')}
  }
}`;
}

/** Σ (code − offset)·x = Σ code·x − offset·Σ x: the second sum is shared by all rows. */
function offsetStatement(chunk: ChunkFormat): string {
  const sum = repeat(chunk.columns / 4, (v) => `x${v}`, ' + ');
  return `let offset = ${float(chunk.offset)} * dot(${sum}, vec4<f32>(1.0));`;
}

function rowStatement(chunk: ChunkFormat, row: number): string {
  const products = repeat(chunk.columns / 4, (v) => `dot(${chunk.vector(`word${row}`, v)}, x${v})`, ' + ');
  const centred = chunk.offset === 0 ? products : `${products} - offset`;
  if (!chunk.isScaled) return `sum${row} += ${centred};`;
  return `sum${row} += (${centred}) * chunkScale(start${row} + i);`;
}

function writeStatement(row: number, firstRow: number, hasBias: boolean): string {
  const index = `${firstRow}u + firstRow + ${row}u`;
  return `if (firstRow + ${row}u < ROWS) {
      result[${index}] = sum${row}${hasBias ? ` + bias[${index}]` : ''};
    }`;
}
