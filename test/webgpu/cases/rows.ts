// Row-wise kernels: embedding, norms, element-wise ones and the selection of rows.

import {
  addKernel,
  gatedActivationKernel,
  selectRowsKernel,
} from '../../../runtime/backends/webgpu/kernels/elementwise.ts';
import { embedKernel } from '../../../runtime/backends/webgpu/kernels/embed.ts';
import { rmsNormKernel } from '../../../runtime/backends/webgpu/kernels/rms-norm.ts';
import type { Reduction } from '../../../runtime/backends/webgpu/kernels/kernel.ts';
import { addRmsNorm } from '../../../runtime/ops/add-rms-norm.ts';
import { gatedActivation } from '../../../runtime/ops/gated-activation.ts';
import { rmsNorm } from '../../../runtime/ops/rms-norm.ts';
import type { FormatName } from '../../../runtime/quantization/formats.ts';
import {
  context,
  type KernelCase,
  matrixOperands,
  needsSubgroups,
  prepared,
  randomMatrix,
  REDUCTIONS,
  tensorOf,
} from '../kernel-case.ts';

const TOLERANCE = 2e-6;

export function embedCase(format: FormatName, columns: number, piece?: { firstRow: number; rows: number }): KernelCase {
  const vocabulary = 70;
  const { firstRow, rows } = piece ?? { firstRow: 0, rows: vocabulary };
  return {
    name: `embed ${format} of ${columns} columns${piece ? `, rows ${firstRow}+${rows}` : ''}`,
    prepare: (random) => {
      const table = randomMatrix(random, format, vocabulary, columns);
      const ids = Int32Array.from([0, 31, 32, 36, 37, 69, 32]);
      const output = new Float32Array(ids.length * columns);
      ids.forEach((id, token) => {
        const row = (table.tensor.data as Float32Array).subarray(id * columns, (id + 1) * columns);
        output.set(id >= firstRow && id < firstRow + rows ? row : row.map(() => NaN), token * columns);
      });
      const variant = { kernel: 'embed', format, rows, firstRow, columns, workgroupSize: 64 } as const;
      const operands = [{ input: ids }, ...matrixOperands(table, firstRow, rows), { output, tolerance: TOLERANCE }];
      return prepared(embedKernel, variant, undefined, { tokens: ids.length }, operands);
    },
  };
}

function normCase(
  kernel: 'rmsNorm' | 'addRmsNorm',
  tokens: number,
  columns: number,
  workgroupSize: number,
  reduction: Reduction,
): KernelCase {
  return {
    name: `${kernel} ${tokens}×${columns}, ${workgroupSize} threads, ${reduction}`,
    unsupported: needsSubgroups(reduction),
    prepare: (random) => {
      const epsilon = 1e-5;
      const variant = { kernel, rows: 'tokens', columns, epsilon, workgroupSize, reduction } as const;
      const [x, residual] = [random.floats(tokens * columns, 2), random.floats(tokens * columns, 1)];
      const weight = random.floats(columns, 1);
      const weights = context({ weight: tensorOf(weight, columns) });
      const tensors = [x, residual].map((data) => tensorOf(data, tokens, columns));
      const isAdding = kernel === 'addRmsNorm';
      const attributes = { weight: 'weight', epsilon };
      const outputs = isAdding
        ? addRmsNorm.reference(tensors, attributes, weights)
        : rmsNorm.reference([tensors[0]!], attributes, weights);
      return prepared(rmsNormKernel, variant, undefined, { tokens }, [
        { input: x },
        ...(isAdding ? [{ input: residual }] : []),
        { input: weight },
        ...outputs.map(({ data }) => ({ output: data as Float32Array, tolerance: TOLERANCE })),
      ]);
    },
  };
}

function gatedActivationCase(activation: 'silu' | 'gelu-tanh', tokens: number, columns: number): KernelCase {
  return {
    name: `gatedActivation ${activation} ${tokens}×${columns}`,
    prepare: (random) => {
      const variant = { kernel: 'gatedActivation', rows: 'tokens', columns, activation, workgroupSize: 64 } as const;
      const input = random.floats(tokens * 2 * columns, 6);
      // Far outside, where exp overflows and tanh of some drivers is NaN.
      input.set([200, -200, 1e4, -1e4]);
      const [expected] = gatedActivation.reference([tensorOf(input, tokens, 2 * columns)], { activation }, context({}));
      const output = expected!.data as Float32Array;
      return prepared(gatedActivationKernel, variant, undefined, { tokens }, [
        { input },
        { output, tolerance: TOLERANCE },
      ]);
    },
  };
}

const ADD: KernelCase = {
  name: 'add 17×44',
  prepare: (random) => {
    const [a, b] = [random.floats(17 * 44, 1), random.floats(17 * 44, 1)];
    const variant = { kernel: 'add', rows: 'tokens', columns: 44, workgroupSize: 64 } as const;
    const output = a.map((x, i) => x + b[i]!);
    return prepared(addKernel, variant, undefined, { tokens: 17 }, [
      { input: a },
      { input: b },
      { output, tolerance: TOLERANCE },
    ]);
  },
};

const SELECT_ROWS: KernelCase = {
  name: 'selectRows 3 of 17×44',
  prepare: (random) => {
    const x = random.floats(17 * 44, 1);
    const rows = Int32Array.from([0, 9, 16]);
    const variant = { kernel: 'selectRows', rows: 'outputs', columns: 44, workgroupSize: 64 } as const;
    const output = Float32Array.from([...rows].flatMap((row) => [...x.subarray(row * 44, (row + 1) * 44)]));
    return prepared(selectRowsKernel, variant, undefined, { tokens: 17, outputs: 3 }, [
      { input: x },
      { input: rows },
      { output, tolerance: 0 },
    ]);
  },
};

export const ROW_CASES: readonly KernelCase[] = [
  ...(['q4g32', 'q8g32', 'f16', 'f32'] as const).flatMap((format) => [
    embedCase(format, 96),
    embedCase(format, 64, { firstRow: 32, rows: 5 }),
  ]),
  embedCase('f16', 44),
  embedCase('f32', 44),
  ...REDUCTIONS.flatMap((reduction) => [
    normCase('rmsNorm', 1, 32, 64, reduction),
    normCase('rmsNorm', 17, 352, 256, reduction),
    normCase('addRmsNorm', 3, 44, 64, reduction),
    normCase('addRmsNorm', 2, 1280, 256, reduction),
  ]),
  gatedActivationCase('silu', 3, 352),
  gatedActivationCase('gelu-tanh', 17, 44),
  ADD,
  SELECT_ROWS,
];
