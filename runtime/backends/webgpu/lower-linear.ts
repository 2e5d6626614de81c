// A linear layer of a step that is not fused: a product by matrix units where the GPU has them, else matmul, or matvec where
// one output is wanted; a dispatch for each piece of the matrix.

import type { Operation } from '../../graph/types.ts';
import type { QuantFormatName } from '../../quantization/formats.ts';
import {
  type Alternative,
  always,
  type BufferReference,
  type KernelCall,
  type LoweredOperation,
} from './kernel-calls.ts';
import { integerKernels } from './integer-kernels.ts';
import { matmulKernel } from './kernels/matmul.ts';
import { matmulShapeWords } from './kernels/matmul.wgsl.ts';
import { rowCount, type Rows } from './kernels/rows.ts';
import { matmulConfiguration, matmulIntegerConfiguration, matmulMatrixConfiguration } from './ladder.ts';
import { lowerMatvec } from './lower-matvec.ts';
import {
  call,
  hasOneRow,
  type LoweringContext,
  matrixShape,
  pieceBuffers,
  STEP_BUFFER,
  valueBuffer,
  vectorBuffer,
} from './lowering-context.ts';
import { matrixKernels } from './matrix-kernels.ts';

export function lowerLinear(operation: Operation & { op: 'linear' }, context: LoweringContext): LoweredOperation {
  const { profile, weights } = context;
  const { weight, bias } = operation.attributes;
  const { format, rows: totalRows, columns, pieces } = weights.layout(weight);
  const tokens = matrixShape(context, operation.inputs[0]).rows;
  const hasBias = bias !== undefined;
  const operands = (piece: number): BufferReference[] => [
    valueBuffer(operation.inputs[0]),
    ...pieceBuffers(weight, piece, format),
    ...(hasBias ? [vectorBuffer(bias)] : []),
    valueBuffer(operation.outputs[0]),
  ];

  const matvecs = pieces.map(({ index, firstRow, rows }) =>
    lowerMatvec(context, { format, rows, firstRow, columns, hasBias }, [STEP_BUFFER, ...operands(index)]),
  );
  const matmulsFor = (mostTokens: number): KernelCall[] =>
    pieces.map(({ index, firstRow, rows }) => {
      const shape = { rows, totalRows, firstRow, columns, tokens };
      const buffers = [STEP_BUFFER, { kind: 'constants', words: matmulShapeWords(shape) } as const, ...operands(index)];
      const tile = matmulMatrixConfiguration(profile, { format, rows, columns, tokens: mostTokens });
      if (tile && format !== 'f32') {
        const variant = { kernel: 'matmulMatrix', format, hasBias, ...tile } as const;
        return call(matrixKernels.get().matmulMatrixKernel, variant, shape, buffers);
      }
      const integerTile = matmulIntegerConfiguration(profile, format);
      if (integerTile) {
        const variant = {
          kernel: 'matmulInteger',
          format: format as QuantFormatName,
          hasBias,
          ...integerTile,
        } as const;
        return call(integerKernels.get().matmulIntegerKernel, variant, shape, buffers);
      }
      const columnMultiple = columnMultipleOf(columns);
      const configuration = matmulConfiguration(profile, { format, rows, columns });
      const variant = { kernel: 'matmul', format, columnMultiple, hasBias, ...configuration } as const;
      return call(matmulKernel, variant, shape, buffers);
    });
  const [few, many] = [matmulsFor(FEW_TOKENS), matmulsFor(Infinity)];
  const isSame = many.every(({ kernel }, i) => kernel.key === few[i]!.kernel.key);
  const alternatives: Alternative[] = [
    ...(isSame ? [] : [{ serves: hasFewRows(tokens), calls: few }]),
    { serves: always, calls: many },
  ];
  return {
    operation: 'linear',
    layer: operation.layer,
    // Few steps of one token come here: only the outputs are worth a kernel of their own.
    alternatives: [...(tokens === 'tokens' ? [] : [{ serves: hasOneRow(tokens), calls: matvecs }]), ...alternatives],
  };
}

/** So few tokens that only small tiles fill a GPU. */
const FEW_TOKENS = 128;

function hasFewRows(rows: Rows): Alternative['serves'] {
  return (sizes) => rowCount(rows, sizes) <= FEW_TOKENS;
}

// Only loads of f16 depend on it, and widen up to 8.
function columnMultipleOf(columns: number): 4 | 8 | 32 {
  if (columns % 32 === 0) return 32;
  return columns % 8 === 0 ? 8 : 4;
}
