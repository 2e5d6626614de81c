// Rows of the embedding table, dequantised, one a token. A table that is cut into pieces takes one dispatch a piece: each
// fills the rows of the tokens that it holds.

import { type EmbedVariant, embedWgsl } from './embed.wgsl.ts';
import { type Kernel, spread, STEP_BINDING } from './kernel.ts';
import { chunkFormat, weightBindings } from './weight-format.wgsl.ts';

export const embedKernel: Kernel<EmbedVariant> = {
  name: 'embed',
  bindings: ({ format, columns }) => [
    STEP_BINDING,
    { name: 'tokenIds', access: 'read', type: 'array<i32>' },
    ...weightBindings(format, columns),
    { name: 'result', access: 'write', type: 'array<vec4<f32>>' },
  ],
  wgsl: embedWgsl,
  workgroups: ({ format, columns, workgroupSize }, { tokens }) => {
    const chunks = columns / chunkFormat(format, columns).columns;
    return spread(Math.ceil((tokens * chunks) / workgroupSize));
  },
};
