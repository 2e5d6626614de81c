// Convolution of one group: a thread makes four features of four pixels, so that a weight that is read serves four pixels and
// a pixel four features. Weights stand as [tap][channel][features / 4] vectors (conv-weights.ts).

import { type Kernel, repeat, spread, STEP_BINDING, type Variant } from '../kernels/kernel.ts';
import type { ImageFields } from './elements.wgsl.ts';

export interface ConvVariant extends Variant, ImageFields {
  kernel: 'conv2d';
  /** Pixels of the output. */
  rows: number;
  features: number;
  hasBias: boolean;
}

const WORKGROUP_SIZE = 64;
const PIXELS = 4;

export const convKernel: Kernel<ConvVariant> = {
  name: 'conv2d',
  bindings: ({ hasBias }) => [
    STEP_BINDING,
    { name: 'x', access: 'read', type: 'array<f32>' },
    { name: 'weight', access: 'read', type: 'array<vec4<f32>>' },
    ...(hasBias ? [{ name: 'bias', access: 'read', type: 'array<f32>' } as const] : []),
    { name: 'result', access: 'write', type: 'array<f32>' },
  ],
  wgsl: convWgsl,
  workgroups: ({ rows, features }) =>
    spread(Math.ceil((Math.ceil(rows / PIXELS) * Math.ceil(features / 4)) / WORKGROUP_SIZE)),
};

function convWgsl(variant: ConvVariant): string {
  const { rows, features, hasBias, channels, height, width, outHeight, outWidth } = variant;
  const { kernelHeight, kernelWidth, stride, padding, dilation } = variant;
  const quads = Math.ceil(features / 4);
  const pixel = (i: number) => `
  let pixel${i} = min(first + ${i}u, ${rows - 1}u);
  let x${i} = i32(pixel${i} % ${outWidth}u) * ${stride} - ${padding};
  let y${i} = i32((pixel${i} / ${outWidth}u) % ${outHeight}u) * ${stride} - ${padding};
  let image${i} = (pixel${i} / ${outWidth * outHeight}u) * ${height * width}u;
  var sum${i} = vec4<f32>(0.0);`;
  const tap = (i: number) => `
      let ty${i} = y${i} + tapY;
      let tx${i} = x${i} + tapX;
      let isIn${i} = ty${i} >= 0 && ty${i} < ${height} && tx${i} >= 0 && tx${i} < ${width};
      let at${i} = (image${i} + u32(select(0, ty${i} * ${width} + tx${i}, isIn${i}))) * ${channels}u;
      let in${i} = select(0.0, 1.0, isIn${i});`;
  const store = (i: number) =>
    repeat(
      4,
      (f) => `if (first + ${i}u < ${rows}u && quad * 4u + ${f}u < ${features}u) {
    result[(first + ${i}u) * ${features}u + quad * 4u + ${f}u] = sum${i}[${f}]${hasBias ? ` + bias[quad * 4u + ${f}u]` : ''};
  }`,
      '\n  ',
    );
  return `
@compute @workgroup_size(${WORKGROUP_SIZE})
fn main(
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(num_workgroups) workgroupCount: vec3<u32>,
  @builtin(local_invocation_index) thread: u32
) {
  let index = (workgroup.y * workgroupCount.x + workgroup.x) * ${WORKGROUP_SIZE}u + thread;
  let quad = index % ${quads}u;
  let first = (index / ${quads}u) * ${PIXELS}u;
  if (first >= ${rows}u) {
    return;
  }
  ${repeat(PIXELS, pixel)}
  for (var tapRow = 0; tapRow < ${kernelHeight}; tapRow++) {
    for (var tapColumn = 0; tapColumn < ${kernelWidth}; tapColumn++) {
      let tapY = tapRow * ${dilation};
      let tapX = tapColumn * ${dilation};
      ${repeat(PIXELS, tap)}
      var w = u32(tapRow * ${kernelWidth} + tapColumn) * ${channels * quads}u + quad;
      for (var c = 0u; c < ${channels}u; c++) {
        let factors = weight[w];
        ${repeat(PIXELS, (i) => `sum${i} += (x[at${i} + c] * in${i}) * factors;`, '\n        ')}
        w += ${quads}u;
      }
    }
  }
  ${repeat(PIXELS, store, '\n  ')}
}`;
}
