import { type FormatName, SUPERBLOCK } from '../../../quantization/formats.ts';
import { repeat } from './kernel.ts';
import { chunkFormat, chunkVectorsFunction } from './weight-format.wgsl.ts';

export interface EmbedVariant {
  kernel: 'embed';
  format: FormatName;
  /** Rows of this piece, and the table's row that is its first. */
  rows: number;
  firstRow: number;
  columns: number;
  workgroupSize: number;
}

/** One thread a chunk of a token's row. */
export function embedWgsl({ format, rows, firstRow, columns, workgroupSize }: EmbedVariant): string {
  const chunk = chunkFormat(format, columns);
  const vectors = chunk.columns / 4;
  return `
const CHUNKS = ${columns / chunk.columns}u;
${chunkVectorsFunction(chunk, `${(rows * columns) / SUPERBLOCK}u`)}

@compute @workgroup_size(${workgroupSize})
fn main(
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(num_workgroups) workgroupCount: vec3<u32>,
  @builtin(local_invocation_index) thread: u32
) {
  let index = (workgroup.y * workgroupCount.x + workgroup.x) * ${workgroupSize}u + thread;
  let token = index / CHUNKS;
  if (token >= step.tokens) {
    return;
  }
  let row = tokenIds[token] - ${firstRow};
  if (row < 0 || row >= ${rows}) {
    return;
  }
  var vectors = chunkVectors(u32(row) * CHUNKS + index % CHUNKS);
  ${repeat(vectors, (i) => `result[index * ${vectors}u + ${i}u] = vectors[${i}];`, '\n  ')}
}`;
}
