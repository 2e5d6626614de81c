// Kernels of one workgroup a row (or an image's group): sums over it, then its numbers again.

import { type Kernel, type Reduction, spread, type Variant } from '../kernels/kernel.ts';
import { reduceStatements } from '../kernels/reduce.wgsl.ts';
import { rowWorkgroupStart } from '../kernels/row-workgroup.wgsl.ts';
import { rowCount, type Rows } from '../kernels/rows.ts';
import { float, storage } from './elements.wgsl.ts';

export interface NormVariant extends Variant {
  kernel: 'layerNorm' | 'normalizeRows' | 'groupNorm';
  /** Rows, or images × groups. */
  rows: Rows;
  /** Numbers of a row, or of an image's group. */
  columns: number;
  epsilon: number;
  hasBias: boolean;
  /** groupNorm: channels, and those of a group; else 0. */
  channels: number;
  groupChannels: number;
  workgroupSize: number;
  reduction: Reduction;
}

export const normKernel: Kernel<NormVariant> = {
  name: 'layerNorm',
  bindings: ({ kernel, hasBias }) => {
    if (kernel === 'normalizeRows') return storage('x', 'result');
    return hasBias ? storage('x', 'weight', 'bias', 'result') : storage('x', 'weight', 'result');
  },
  wgsl: normWgsl,
  workgroups: ({ rows }, sizes) => spread(rowCount(rows, sizes)),
};

function normWgsl(variant: NormVariant): string {
  const { kernel, rows, columns, epsilon, hasBias, channels, groupChannels, workgroupSize, reduction } = variant;
  const shape = { reduction, workgroupSize, lanes: workgroupSize, values: 1 };
  const isGroup = kernel === 'groupNorm';
  const groups = isGroup ? channels / groupChannels : 1;
  const area = isGroup ? columns / groupChannels : 1;
  // Number i of a row, and the channel whose weight it gets.
  const place = isGroup
    ? `let channel = (row % ${groups}u) * ${groupChannels}u + i % ${groupChannels}u;
    let at = ((row / ${groups}u) * ${area}u + i / ${groupChannels}u) * ${channels}u + channel;`
    : `let channel = i;
    let at = row * ${columns}u + i;`;
  const each = (body: string) => `for (var i = thread; i < ${columns}u; i += ${workgroupSize}u) {
    ${place}
    ${body}
  }`;
  /** The sum of all threads' sum0, which all threads get. */
  const total = (name: string) => `{
  ${reduceStatements(shape)}
  if (thread == 0u) {
    shared0 = sum0;
  }
  }
  workgroupBarrier();
  let ${name} = shared0;
  workgroupBarrier();`;
  const mean =
    kernel === 'normalizeRows'
      ? 'let mean = 0.0;'
      : `${each('sum0 += x[at];')}
  ${total('allNumbers')}
  let mean = allNumbers / ${float(columns)};`;
  const inverse =
    kernel === 'normalizeRows'
      ? `1.0 / max(sqrt(squares), ${float(epsilon)})`
      : `inverseSqrt(squares / ${float(columns)} + ${float(epsilon)})`;
  const scaled = `(x[at] - mean) * inverse${kernel === 'normalizeRows' ? '' : ' * weight[channel]'}${hasBias ? ' + bias[channel]' : ''}`;
  return `
var<workgroup> shared0: f32;
${rowWorkgroupStart(rows, shape)}
  ${mean}
  sum0 = 0.0;
  ${each('let difference = x[at] - mean;\n    sum0 += difference * difference;')}
  ${total('squares')}
  let inverse = ${inverse};
  ${each(`result[at] = ${scaled};`)}
}`;
}
