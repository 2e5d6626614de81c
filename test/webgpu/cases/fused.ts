// Matrix-vector products with what they take along, against the references of the operations that they replace, one after
// another.

import type { MatvecVariant } from '../../../runtime/backends/webgpu/kernels/matvec-variant.ts';
import { matvecKernel } from '../../../runtime/backends/webgpu/kernels/matvec.ts';
import { gatedActivation } from '../../../runtime/ops/gated-activation.ts';
import { linear } from '../../../runtime/ops/linear.ts';
import type { Tensor } from '../../../runtime/ops/operation.ts';
import { rmsNorm } from '../../../runtime/ops/rms-norm.ts';
import type { FormatName } from '../../../runtime/quantization/formats.ts';
import type { Random } from '../../support/random.ts';
import {
  context,
  type KernelCase,
  matrixOperands,
  needsSubgroups,
  type Operand,
  prepared,
  randomMatrix,
  REDUCTIONS,
  SUM_TOLERANCE,
  tensorOf,
} from '../kernel-case.ts';
import { type Heads, queryKeyValueRows, rotaryOperands } from './rotary-operands.ts';

const EPSILON = 1e-5;
/** Sums, then products of sums. */
const TOLERANCE = 2 * SUM_TOLERANCE;

type Threads = Pick<MatvecVariant, 'lanes' | 'rowsPerThread' | 'workgroupSize' | 'reduction'>;

/** A linear layer, normed or not: its operands up to the norm's gain, and its result. */
function linearParts(
  random: Random,
  format: FormatName,
  rows: number,
  columns: number,
  has: { norm: boolean; bias: boolean },
) {
  const x = random.floats(columns, 2);
  const gain = random.floats(columns, 1);
  const matrix = randomMatrix(random, format, rows, columns);
  const bias = random.floats(rows, 1);
  const weights = context({ weight: matrix.tensor, gain: tensorOf(gain, columns), bias: tensorOf(bias, rows) });
  let input: Tensor = tensorOf(x, 1, columns);
  if (has.norm) input = rmsNorm.reference([input], { weight: 'gain', epsilon: EPSILON }, weights)[0]!;
  const result = linear.reference([input], { weight: 'weight', bias: has.bias ? 'bias' : undefined }, weights)[0]!;
  const operands: Operand[] = [
    { input: x },
    ...matrixOperands(matrix),
    ...(has.bias ? [{ input: bias }] : []),
    ...(has.norm ? [{ input: gain }] : []),
  ];
  return { operands, result };
}

function describe(
  format: FormatName,
  has: { norm: boolean; bias: boolean },
  { lanes, rowsPerThread, reduction }: Threads,
): string {
  return `${format}${has.norm ? ' norm' : ''}${has.bias ? ' bias' : ''}, ${lanes} lanes × ${rowsPerThread}, ${reduction}`;
}

function residualCase(
  format: FormatName,
  rows: number,
  columns: number,
  has: { norm: boolean; bias: boolean },
  threads: Threads,
): KernelCase {
  return {
    name: `matvec + residual ${rows}×${columns} ${describe(format, has, threads)}`,
    unsupported: needsSubgroups(threads.reduction),
    prepare: (random) => {
      const { operands, result } = linearParts(random, format, rows, columns, has);
      const residual = random.floats(rows, 3);
      const output = (result.data as Float32Array).map((value, i) => value + residual[i]!);
      const variant = { ...variantOf(format, rows, columns, has, threads), hasResidual: true };
      return prepared(matvecKernel, variant, undefined, {}, [
        ...operands,
        { input: residual },
        { output, tolerance: TOLERANCE },
      ]);
    },
  };
}

function activationCase(
  activation: 'silu' | 'gelu-tanh',
  width: number,
  columns: number,
  has: { norm: boolean; bias: boolean },
  threads: Threads,
): KernelCase {
  return {
    name: `matvec + ${activation} 2·${width}×${columns} ${describe('q4g32', has, threads)}`,
    unsupported: needsSubgroups(threads.reduction),
    prepare: (random) => {
      const { operands, result } = linearParts(random, 'q4g32', 2 * width, columns, has);
      const [activated] = gatedActivation.reference([result], { activation }, context({}));
      const variant = { ...variantOf('q4g32', 2 * width, columns, has, threads), activation };
      const output = { output: activated!.data as Float32Array, tolerance: TOLERANCE };
      return prepared(matvecKernel, variant, undefined, {}, [...operands, output]);
    },
  };
}

function rotaryCase(
  shape: Heads,
  columns: number,
  has: { norm: boolean; bias: boolean },
  threads: Threads,
): KernelCase {
  const { heads, keyValueHeads, headDim, past } = shape;
  const rows = queryKeyValueRows(shape);
  return {
    name: `matvec + rotary, ${heads}/${keyValueHeads} heads of ${headDim} after ${past} ${describe('q8g32', has, threads)}`,
    unsupported: needsSubgroups(threads.reduction),
    prepare: (random) => {
      const { operands, result } = linearParts(random, 'q8g32', rows, columns, has);
      const rotated = rotaryOperands(random, result, shape, TOLERANCE);
      const variant = { ...variantOf('q8g32', rows, columns, has, threads), rotary: rotated.rotary };
      return prepared(matvecKernel, variant, undefined, { past }, [...operands, ...rotated.operands]);
    },
  };
}

function variantOf(
  format: FormatName,
  rows: number,
  columns: number,
  has: { norm: boolean; bias: boolean },
  threads: Threads,
): MatvecVariant {
  const normEpsilon = has.norm ? EPSILON : undefined;
  return { kernel: 'matvec', format, rows, firstRow: 0, columns, hasBias: has.bias, normEpsilon, ...threads };
}

const BOTH = { norm: true, bias: true };
const NORM = { norm: true, bias: false };
const NEITHER = { norm: false, bias: false };

export const FUSED_CASES: readonly KernelCase[] = REDUCTIONS.flatMap((reduction) => {
  const threads = (lanes: number, rowsPerThread: number): Threads => ({
    lanes,
    rowsPerThread,
    workgroupSize: 128,
    reduction,
  });
  return [
    residualCase('q4g32', 33, 352, NEITHER, threads(32, 1)),
    residualCase('f16', 257, 44, BOTH, threads(8, 2)),
    residualCase('q8g32', 3, 64, NORM, threads(64, 4)),
    activationCase('silu', 33, 96, NORM, threads(4, 2)),
    activationCase('gelu-tanh', 5, 352, BOTH, threads(32, 4)),
    rotaryCase({ heads: 1, keyValueHeads: 1, headDim: 8, past: 0 }, 32, NEITHER, threads(8, 4)),
    rotaryCase({ heads: 7, keyValueHeads: 1, headDim: 12, past: 31 }, 96, BOTH, threads(32, 4)),
  ];
});
