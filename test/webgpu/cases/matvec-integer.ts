// Matrix-vector products in integers, with all that they take along, against the references of the operations that they
// replace: closely with activations rounded as the kernel rounds them, loosely with the activations as they are.

import type { MatvecIntegerVariant } from '../../../runtime/backends/webgpu/kernels/matvec-integer.wgsl.ts';
import { matvecIntegerKernel } from '../../../runtime/backends/webgpu/kernels/matvec-integer.ts';
import { gatedActivation } from '../../../runtime/ops/gated-activation.ts';
import { linear } from '../../../runtime/ops/linear.ts';
import type { Tensor } from '../../../runtime/ops/operation.ts';
import {
  BLOCK,
  type FormatName,
  FORMATS,
  isQuantized,
  type QuantFormat,
  type QuantFormatName,
} from '../../../runtime/quantization/formats.ts';
import type { Random } from '../../support/random.ts';
import {
  context,
  type KernelCase,
  matrixOperands,
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
const CLOSE = 2 * SUM_TOLERANCE;
/** Rounding to 127 parts of a block's largest: 0.4 % of a sum, four times that for the worst of many. */
const LOOSE = 2e-2;

type Threads = Pick<
  MatvecIntegerVariant,
  'lanes' | 'rowsPerThread' | 'workgroupSize' | 'reduction' | 'chunksPerStep' | 'unitsPerThread'
>;

interface Layer {
  format: FormatName;
  rows: number;
  columns: number;
  hasNorm?: boolean;
  hasBias?: boolean;
  piece?: { firstRow: number; rows: number };
}

interface Activations {
  x: Float32Array;
  gain: Float32Array;
  /** What meets the weights. */
  exact: Float32Array;
  rounded: Float32Array;
}

/** Activations of which none lies so near the middle of two codes that it could be rounded either way. */
function activationsOf(random: Random, columns: number, hasNorm: boolean): Activations {
  const gain = hasNorm
    ? Float32Array.from(random.floats(columns, 1), (g) => (g < 0 ? g - 0.5 : g + 0.5))
    : new Float32Array(columns).fill(1);
  const rounded = new Float32Array(columns);
  const x = new Float32Array(columns);
  for (let start = 0; start < columns; start += BLOCK) {
    const scale = 0.001 + 0.02 * random.next();
    const largest = random.integer(0, BLOCK - 1);
    for (let i = start; i < start + BLOCK; i++) {
      const code = i - start === largest ? 127 : random.integer(-126, 126);
      const jitter = i - start === largest ? 0 : 0.9 * (random.next() - 0.5);
      rounded[i] = code * scale;
      x[i] = ((code + jitter) * scale) / gain[i]!;
    }
  }
  // A block of zeros has no scale.
  if (columns > BLOCK) {
    x.fill(0, BLOCK, 2 * BLOCK);
    rounded.fill(0, BLOCK, 2 * BLOCK);
  }
  const exact = x.map((value, i) => value * gain[i]!);
  if (hasNorm) {
    const inverse = 1 / Math.sqrt(x.reduce((sum, value) => sum + value * value, 0) / columns + EPSILON);
    for (const numbers of [exact, rounded]) for (let i = 0; i < columns; i++) numbers[i]! *= inverse;
  }
  return { x, gain, exact, rounded };
}

/** The operands up to the norm's gain, and the results with rounded and with exact activations. */
function layerParts(random: Random, { format, rows, columns, hasNorm = false, hasBias = false, piece }: Layer) {
  const { x, gain, exact, rounded } = activationsOf(random, columns, hasNorm);
  const matrix = randomMatrix(random, format, rows, columns);
  const bias = random.floats(rows, 1);
  const weights = context({ weight: matrix.tensor, bias: tensorOf(bias, rows) });
  const result = (input: Float32Array): Tensor =>
    linear.reference(
      [tensorOf(input, 1, columns)],
      { weight: 'weight', bias: hasBias ? 'bias' : undefined },
      weights,
    )[0]!;
  const operands: Operand[] = [
    { input: x },
    ...matrixOperands(matrix, piece?.firstRow, piece?.rows),
    ...(hasBias ? [{ input: bias }] : []),
    ...(hasNorm ? [{ input: gain }] : []),
  ];
  return { operands, closely: result(rounded), loosely: result(exact) };
}

function variantOf({ format, rows, columns, hasNorm, hasBias, piece }: Layer, threads: Threads): MatvecIntegerVariant {
  return {
    kernel: 'matvecInteger',
    format,
    ...(piece ?? { firstRow: 0, rows }),
    columns,
    hasBias: hasBias ?? false,
    normEpsilon: hasNorm ? EPSILON : undefined,
    ...threads,
  };
}

function describe(layer: Layer, threads: Threads): string {
  const { format, rows, columns, hasNorm, hasBias, piece } = layer;
  const has = [hasNorm && 'norm', hasBias && 'bias', piece && 'piece']
    .filter(Boolean)
    .map((word) => ` ${String(word)}`);
  return `${rows}×${columns} ${format}${has.join('')}, ${Object.values(threads).join(' ')}`;
}

function integerCase(name: string, { reduction }: Threads, prepare: KernelCase['prepare']): KernelCase {
  return {
    name: `matvecInteger ${name}`,
    unsupported: ({ integerDots, subgroups }) => {
      if (!integerDots) return 'this browser has no integer dot products';
      return reduction === 'subgroup' && !subgroups ? 'this device has no subgroups' : undefined;
    },
    prepare,
  };
}

function plainCases(layer: Layer, threads: Threads): KernelCase[] {
  const { rows, piece = { firstRow: 0, rows } } = layer;
  return (['closely', 'loosely'] as const).map((way) =>
    integerCase(`${describe(layer, threads)}, ${way}`, threads, (random) => {
      const parts = layerParts(random, layer);
      const isWritten = (row: number): boolean => row >= piece.firstRow && row < piece.firstRow + piece.rows;
      const output = (parts[way].data as Float32Array).map((value, i) => (isWritten(i) ? value : NaN));
      const tolerance = way === 'closely' ? CLOSE : LOOSE;
      return prepared(matvecIntegerKernel, variantOf(layer, threads), undefined, {}, [
        ...parts.operands,
        { output, tolerance },
      ]);
    }),
  );
}

function residualCase(layer: Layer, threads: Threads): KernelCase {
  return integerCase(`+ residual ${describe(layer, threads)}`, threads, (random) => {
    const { operands, closely } = layerParts(random, layer);
    const residual = random.floats(layer.rows, 3);
    const output = (closely.data as Float32Array).map((value, i) => value + residual[i]!);
    const variant = { ...variantOf(layer, threads), hasResidual: true };
    return prepared(matvecIntegerKernel, variant, undefined, {}, [
      ...operands,
      { input: residual },
      { output, tolerance: CLOSE },
    ]);
  });
}

function activationCase(activation: 'silu' | 'gelu-tanh', layer: Layer, threads: Threads): KernelCase {
  return integerCase(`+ ${activation} ${describe(layer, threads)}`, threads, (random) => {
    const { operands, closely } = layerParts(random, layer);
    const [activated] = gatedActivation.reference([closely], { activation }, context({}));
    const output = { output: activated!.data as Float32Array, tolerance: CLOSE };
    const variant = { ...variantOf(layer, threads), activation };
    return prepared(matvecIntegerKernel, variant, undefined, {}, [...operands, output]);
  });
}

function rotaryCase(shape: Heads, layer: Omit<Layer, 'rows'>, threads: Threads): KernelCase {
  const whole = { ...layer, rows: queryKeyValueRows(shape) };
  return integerCase(`+ rotary after ${shape.past} ${describe(whole, threads)}`, threads, (random) => {
    const { operands, closely } = layerParts(random, whole);
    const rotated = rotaryOperands(random, closely, shape, CLOSE);
    const variant = { ...variantOf(whole, threads), rotary: rotated.rotary };
    return prepared(matvecIntegerKernel, variant, undefined, { past: shape.past }, [...operands, ...rotated.operands]);
  });
}

const SHAPES = [
  { rows: 1, columns: 32 },
  { rows: 3, columns: 64 },
  { rows: 33, columns: 96 },
  { rows: 257, columns: 352 },
  { rows: 33, columns: 1280 },
];

const QUANTIZED = Object.values(FORMATS).filter(isQuantized);

/** Every row of the format table, at the smallest shapes that show how it lies. */
function formatCases(format: QuantFormat, f: number): KernelCase[] {
  const name = format.name as QuantFormatName;
  const span = format.scale === 'f16' ? Math.max(BLOCK, format.groupSize) : format.scale.superblock;
  const threads: Threads = { ...THREADS[f % 3]!, workgroupSize: 64, lanes: 4, reduction: 'workgroup' };
  const layer = { format: name, rows: 3, columns: 3 * span, hasBias: f % 2 === 0 };
  const cases = [residualCase(layer, threads)];
  // 2 bits are read 64 columns at a time where rows have a multiple of 64.
  if (span === BLOCK && format.planes[0] === 2)
    cases.push(residualCase({ ...layer, columns: 192, hasNorm: true }, threads));
  return cases;
}

const THREADS = [
  { lanes: 4, rowsPerThread: 1, workgroupSize: 128, chunksPerStep: 1, unitsPerThread: 1 },
  { lanes: 32, rowsPerThread: 4, workgroupSize: 128, chunksPerStep: 2, unitsPerThread: 2 },
  { lanes: 64, rowsPerThread: 2, workgroupSize: 64, chunksPerStep: 4, unitsPerThread: 3 },
];

export const MATVEC_INTEGER_CASES: readonly KernelCase[] = [
  ...QUANTIZED.flatMap(formatCases),
  ...(['q4g32', 'q8g32'] as const).flatMap((format, f) =>
    SHAPES.flatMap((shape, s) =>
      plainCases(
        { format, ...shape, hasBias: (f + s) % 2 === 0 },
        { ...THREADS[(f + s) % 3]!, reduction: REDUCTIONS[(f + s) % 2]! },
      ),
    ),
  ),
  ...plainCases(
    { format: 'q4g32', rows: 70, columns: 64, hasBias: true, piece: { firstRow: 32, rows: 5 } },
    { ...THREADS[1]!, reduction: 'workgroup' },
  ),
  ...REDUCTIONS.flatMap((reduction) => {
    const threads = THREADS.map((each) => ({ ...each, reduction }));
    const [narrow, wide, long] = threads as [Threads, Threads, Threads];
    const rotaryThreads = { ...narrow, lanes: 8, rowsPerThread: 4 };
    return [
      ...plainCases({ format: 'q4g32', rows: 33, columns: 352 }, wide),
      ...plainCases({ format: 'q8g32', rows: 33, columns: 352, hasNorm: true }, long),
      residualCase({ format: 'q4g32', rows: 33, columns: 352 }, wide),
      residualCase({ format: 'q8g32', rows: 3, columns: 64, hasNorm: true, hasBias: true }, long),
      activationCase('silu', { format: 'q4g32', rows: 66, columns: 96, hasNorm: true }, wide),
      activationCase('gelu-tanh', { format: 'q8g32', rows: 10, columns: 352, hasNorm: true, hasBias: true }, wide),
      rotaryCase({ heads: 1, keyValueHeads: 1, headDim: 8, past: 0 }, { format: 'q4g32', columns: 32 }, rotaryThreads),
      rotaryCase(
        { heads: 7, keyValueHeads: 1, headDim: 12, past: 31 },
        { format: 'q8g32', columns: 96, hasNorm: true, hasBias: true },
        { ...wide, unitsPerThread: 3 },
      ),
    ];
  }),
];
