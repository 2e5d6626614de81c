import type { MatmulIntegerTile } from '../../../runtime/backends/webgpu/kernels/matmul-integer-tile.ts';
import { matmulIntegerKernel } from '../../../runtime/backends/webgpu/kernels/matmul-integer.ts';
import { matmulMatrixKernel } from '../../../runtime/backends/webgpu/kernels/matmul-matrix.ts';
import type { MatmulMatrixVariant } from '../../../runtime/backends/webgpu/kernels/matmul-matrix.wgsl.ts';
import { matmulKernel } from '../../../runtime/backends/webgpu/kernels/matmul.ts';
import {
  matmulShapeWords,
  type MatmulShape,
  type MatmulVariant,
} from '../../../runtime/backends/webgpu/kernels/matmul.wgsl.ts';
import { matvecKernel } from '../../../runtime/backends/webgpu/kernels/matvec.ts';
import type { MatvecVariant } from '../../../runtime/backends/webgpu/kernels/matvec-variant.ts';
import { linear } from '../../../runtime/ops/linear.ts';
import type { FormatName, QuantFormatName } from '../../../runtime/quantization/formats.ts';
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

const FORMAT_NAMES: readonly FormatName[] = ['q4g32', 'q8g32', 'f16', 'f32'];

interface LinearSizes {
  tokens: number;
  rows: number;
  columns: number;
  /** Rows of the piece that is multiplied; the others must stay as they were. */
  piece?: { firstRow: number; rows: number };
  hasBias: boolean;
}

/** x, the piece's operands, the bias and the result: what both kernels take. */
function linearOperands(
  random: Random,
  format: FormatName,
  sizes: LinearSizes,
  tolerance: number,
  x = random.floats(sizes.tokens * sizes.columns, 1),
): Operand[] {
  const { tokens, rows, columns, hasBias, piece = { firstRow: 0, rows } } = sizes;
  const matrix = randomMatrix(random, format, rows, columns);
  const bias = random.floats(rows, 1);
  const [expected] = linear.reference(
    [tensorOf(x, tokens, columns)],
    { weight: 'weight', bias: hasBias ? 'bias' : undefined },
    context({ weight: matrix.tensor, bias: tensorOf(bias, rows) }),
  );
  const isWritten = (row: number): boolean => row >= piece.firstRow && row < piece.firstRow + piece.rows;
  const output = (expected!.data as Float32Array).map((value, i) => (isWritten(i % rows) ? value : NaN));
  return [
    { input: x },
    ...matrixOperands(matrix, piece.firstRow, piece.rows),
    ...(hasBias ? [{ input: bias }] : []),
    { output, tolerance },
  ];
}

export function matvecCase(
  format: FormatName,
  sizes: Omit<LinearSizes, 'tokens'>,
  configuration: Pick<MatvecVariant, 'lanes' | 'rowsPerThread' | 'workgroupSize' | 'reduction'>,
): KernelCase {
  const { rows, columns, hasBias, piece = { firstRow: 0, rows } } = sizes;
  const { lanes, rowsPerThread, workgroupSize, reduction } = configuration;
  return {
    name: `matvec ${format} ${rows}×${columns}${sizes.piece ? ` rows ${piece.firstRow}+${piece.rows}` : ''}${hasBias ? ' bias' : ''}, ${lanes} lanes × ${rowsPerThread}, ${workgroupSize} threads, ${reduction}`,
    unsupported: needsSubgroups(reduction),
    prepare: (random) => {
      const variant = { kernel: 'matvec', format, ...piece, columns, hasBias, ...configuration } as const;
      const operands = linearOperands(random, format, { ...sizes, tokens: 1 }, SUM_TOLERANCE);
      return prepared(matvecKernel, variant, undefined, {}, operands);
    },
  };
}

type Tile = Pick<
  MatmulVariant,
  'threadsTokens' | 'threadsRows' | 'tokensPerThread' | 'rowsPerThread' | 'tileColumns' | 'tileType' | 'unroll'
>;

const TILES: Readonly<Record<string, Tile>> = {
  chrome: tile(8, 16, 4, 4, 'f32', 4),
  firefox: tile(8, 8, 4, 4, 'f32', 2),
  safari: tile(4, 4, 4, 4, 'f32', 1),
  software: tile(8, 8, 2, 2, 'f32', 1),
  half: tile(8, 16, 4, 4, 'f16', 4),
};

function tile(
  threadsTokens: number,
  threadsRows: number,
  tokensPerThread: number,
  rowsPerThread: number,
  tileType: 'f32' | 'f16',
  unroll: number,
): Tile {
  return { threadsTokens, threadsRows, tokensPerThread, rowsPerThread, tileColumns: 32, tileType, unroll };
}

/** Operands of f16 tiles are rounded to 11 bits on the way. */
const HALF_TOLERANCE = 4e-3;

export function matmulCase(format: FormatName, sizes: LinearSizes, tileName: string): KernelCase {
  const { tokens, rows, columns, hasBias, piece = { firstRow: 0, rows } } = sizes;
  const configuration = TILES[tileName]!;
  const isHalf = configuration.tileType === 'f16';
  return {
    name: `matmul ${format} ${tokens}×${rows}×${columns}${sizes.piece ? ` rows ${piece.firstRow}+${piece.rows}` : ''}${hasBias ? ' bias' : ''}, ${tileName} tiles`,
    unsupported: ({ shaderF16 }) => (isHalf && !shaderF16 ? 'this device has no shader-f16' : undefined),
    prepare: (random) => {
      const columnMultiple = columns % 32 === 0 ? 32 : columns % 8 === 0 ? 8 : 4;
      const variant = { kernel: 'matmul', format, columnMultiple, hasBias, ...configuration } as const;
      const shape: MatmulShape = { ...piece, totalRows: rows, columns, tokens: 'tokens' };
      const operands = linearOperands(random, format, sizes, isHalf ? HALF_TOLERANCE : SUM_TOLERANCE);
      const constants = { input: Uint32Array.from(matmulShapeWords(shape)) };
      return prepared(matmulKernel, variant, shape, { tokens }, [constants, ...operands]);
    },
  };
}

type MatrixTile = Pick<
  MatmulMatrixVariant,
  'tileTokens' | 'tileRows' | 'subgroupsTokens' | 'subgroupsRows' | 'tileColumns'
>;

export const MATRIX_TILES: readonly MatrixTile[] = [
  { tileTokens: 64, tileRows: 128, subgroupsTokens: 2, subgroupsRows: 4, tileColumns: 64 },
  { tileTokens: 64, tileRows: 128, subgroupsTokens: 1, subgroupsRows: 4, tileColumns: 32 },
  { tileTokens: 32, tileRows: 64, subgroupsTokens: 1, subgroupsRows: 4, tileColumns: 64 },
  { tileTokens: 32, tileRows: 64, subgroupsTokens: 1, subgroupsRows: 4, tileColumns: 32 },
];

export function matrixCase(format: MatmulMatrixVariant['format'], sizes: LinearSizes, tile: MatrixTile): KernelCase {
  const { tokens, rows, columns, hasBias, piece = { firstRow: 0, rows } } = sizes;
  return {
    name: `matmulMatrix ${format} ${tokens}×${rows}×${columns}${sizes.piece ? ` rows ${piece.firstRow}+${piece.rows}` : ''}${hasBias ? ' bias' : ''}, ${tile.tileTokens}×${tile.tileRows}×${tile.tileColumns}`,
    unsupported: ({ subgroupMatrix }) => (subgroupMatrix ? undefined : 'this device has no subgroup matrices'),
    prepare: (random) => {
      const variant = { kernel: 'matmulMatrix', format, hasBias, ...tile } as const;
      const shape: MatmulShape = { ...piece, totalRows: rows, columns, tokens: 'tokens' };
      const constants = { input: Uint32Array.from(matmulShapeWords(shape)) };
      const operands = linearOperands(random, format, sizes, HALF_TOLERANCE);
      return prepared(matmulMatrixKernel, variant, shape, { tokens }, [constants, ...operands]);
    },
  };
}

const INTEGER_TILES: Readonly<Record<string, MatmulIntegerTile>> = {
  small: { threadsTokens: 8, threadsRows: 8, tokensPerThread: 2, rowsPerThread: 2 },
  large: { threadsTokens: 8, threadsRows: 16, tokensPerThread: 4, rowsPerThread: 4 },
};

/** Activations are rounded to a 127th of the largest of 32. */
const ROUNDED_TOLERANCE = 3e-2;

/**
 * `exact`: activations that lose nothing as signed bytes, so that the product must be as near as that of floats; `rounded`:
 * any activations.
 */
export function integerCase(
  format: QuantFormatName,
  sizes: LinearSizes,
  activations: 'exact' | 'rounded',
  tileName: keyof typeof INTEGER_TILES,
): KernelCase {
  const { tokens, rows, columns, hasBias, piece = { firstRow: 0, rows } } = sizes;
  const isExact = activations === 'exact';
  return {
    name: `matmulInteger ${format} ${tokens}×${rows}×${columns}${sizes.piece ? ` rows ${piece.firstRow}+${piece.rows}` : ''}${hasBias ? ' bias' : ''}, ${activations}, ${tileName} tiles`,
    unsupported: ({ integerDots }) => (integerDots ? undefined : 'this browser has no integer dot products'),
    prepare: (random) => {
      const variant = { kernel: 'matmulInteger', format, hasBias, ...INTEGER_TILES[tileName]! } as const;
      const shape: MatmulShape = { ...piece, totalRows: rows, columns, tokens: 'tokens' };
      const x = isExact ? signedBytes(random, tokens * columns) : random.floats(tokens * columns, 1);
      const operands = linearOperands(random, format, sizes, isExact ? SUM_TOLERANCE : ROUNDED_TOLERANCE, x);
      const constants = { input: Uint32Array.from(matmulShapeWords(shape)) };
      return prepared(matmulIntegerKernel, variant, shape, { tokens }, [constants, ...operands]);
    },
  };
}

/** In each block of 32 whole multiples, −127 to 127, of a number of its own; one is 127, and some blocks are zero. */
function signedBytes(random: Random, count: number): Float32Array {
  const x = new Float32Array(count);
  for (let start = 0; start < count; start += 32) {
    const scale = random.integer(0, 9) === 0 ? 0 : random.next() / 127;
    const largest = random.integer(0, 31);
    for (let i = 0; i < 32; i++) x[start + i] = scale * (i === largest ? 127 : random.integer(-127, 127));
  }
  return x;
}

const MATVEC_SHAPES = [
  { rows: 1, columns: 32 },
  { rows: 3, columns: 64 },
  { rows: 33, columns: 96 },
  { rows: 257, columns: 352 },
  { rows: 33, columns: 1280 },
];
const MATVEC_THREADS = [
  { lanes: 4, rowsPerThread: 1, workgroupSize: 128 },
  { lanes: 32, rowsPerThread: 4, workgroupSize: 128 },
  { lanes: 64, rowsPerThread: 2, workgroupSize: 64 },
];
const MATMUL_SIZES = [
  { tokens: 2, rows: 1, columns: 32 },
  { tokens: 3, rows: 3, columns: 64 },
  { tokens: 17, rows: 33, columns: 352 },
  { tokens: 65, rows: 257, columns: 96 },
  { tokens: 2, rows: 33, columns: 1280 },
];
const PIECE = { firstRow: 32, rows: 5 };

/** Subgroup matrices: exported for pages that run on real GPUs, since no software adapter has them. */
export const MATRIX_CASES: readonly KernelCase[] = MATRIX_TILES.flatMap((tile) =>
  (['q4g32', 'q8g32', 'f16'] as const).flatMap((format) => [
    ...MATMUL_SIZES.filter(({ columns }) => columns % tile.tileColumns === 0).map((sizes, i) =>
      matrixCase(format, { ...sizes, hasBias: i % 2 === 0 }, tile),
    ),
    matrixCase(format, { tokens: 300, rows: 140, columns: 64, hasBias: false }, tile),
    matrixCase(format, { tokens: 3, rows: 70, columns: 64, hasBias: true, piece: PIECE }, tile),
  ]),
);

export const LINEAR_CASES: readonly KernelCase[] = [
  // Every format meets every shape; the threads' arrangements and the reductions take turns.
  ...FORMAT_NAMES.flatMap((format, f) =>
    MATVEC_SHAPES.map((shape, s) =>
      matvecCase(
        format,
        { ...shape, hasBias: (f + s) % 2 === 0 },
        { ...MATVEC_THREADS[(f + s) % 3]!, reduction: REDUCTIONS[(f + s) % 2]! },
      ),
    ),
  ),
  ...MATVEC_THREADS.flatMap((threads) =>
    REDUCTIONS.map((reduction) =>
      matvecCase('q4g32', { rows: 33, columns: 352, hasBias: false }, { ...threads, reduction }),
    ),
  ),
  ...(['f16', 'f32'] as const).map((format) =>
    matvecCase(format, { rows: 5, columns: 44, hasBias: false }, { ...MATVEC_THREADS[0]!, reduction: 'workgroup' }),
  ),
  matvecCase(
    'q8g32',
    { rows: 70, columns: 64, hasBias: true, piece: PIECE },
    { ...MATVEC_THREADS[1]!, reduction: 'workgroup' },
  ),
  ...FORMAT_NAMES.flatMap((format) =>
    MATMUL_SIZES.map((sizes) => matmulCase(format, { ...sizes, hasBias: true }, 'software')),
  ),
  ...Object.keys(TILES).flatMap((name) =>
    [MATMUL_SIZES[2]!, MATMUL_SIZES[3]!].map((sizes) => matmulCase('q4g32', { ...sizes, hasBias: false }, name)),
  ),
  ...(['f16', 'f32'] as const).map((format) =>
    matmulCase(format, { tokens: 3, rows: 5, columns: 44, hasBias: false }, 'software'),
  ),
  matmulCase('q8g32', { tokens: 3, rows: 70, columns: 64, hasBias: true, piece: PIECE }, 'software'),
  ...(['q4g32', 'q8g32'] as const).flatMap((format) => [
    ...MATMUL_SIZES.map((sizes, i) => integerCase(format, { ...sizes, hasBias: i % 2 === 0 }, 'exact', 'small')),
    integerCase(format, { tokens: 17, rows: 33, columns: 352, hasBias: false }, 'rounded', 'small'),
  ]),
  integerCase('q4g32', { tokens: 65, rows: 257, columns: 96, hasBias: true }, 'exact', 'large'),
  ...MATRIX_CASES,
];
