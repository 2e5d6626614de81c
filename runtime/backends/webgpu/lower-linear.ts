// A linear layer of a step that is not fused: matmul, or matvec where one output is wanted; a dispatch for each piece of the matrix.

import type { Operation } from '../../graph/types.ts';
import { always, type BufferReference, type LoweredOperation } from './kernel-calls.ts';
import { matmulKernel } from './kernels/matmul.ts';
import { matmulShapeWords } from './kernels/matmul.wgsl.ts';
import { matvecKernel } from './kernels/matvec.ts';
import { matmulConfiguration, matvecConfiguration } from './ladder.ts';
import {
  call,
  hasOneRow,
  isScaled,
  type LoweringContext,
  matrixShape,
  pieceBuffers,
  STEP_BUFFER,
  valueBuffer,
  vectorBuffer,
} from './lowering-context.ts';

export function lowerLinear(operation: Operation & { op: 'linear' }, context: LoweringContext): LoweredOperation {
  const { profile, weights } = context;
  const { weight, bias } = operation.attributes;
  const { format, rows: totalRows, columns, pieces } = weights.layout(weight);
  const tokens = matrixShape(context, operation.inputs[0]).rows;
  const hasBias = bias !== undefined;
  const operands = (piece: number): BufferReference[] => [
    valueBuffer(operation.inputs[0]),
    ...pieceBuffers(weight, piece, isScaled(format)),
    ...(hasBias ? [vectorBuffer(bias)] : []),
    valueBuffer(operation.outputs[0]),
  ];

  const matvecs = pieces.map(({ index, firstRow, rows }) => {
    const configuration = matvecConfiguration(profile, { format, rows, columns });
    const variant = { kernel: 'matvec', format, rows, firstRow, columns, hasBias, ...configuration } as const;
    return call(matvecKernel, variant, undefined, [STEP_BUFFER, ...operands(index)]);
  });
  const columnMultiple = columnMultipleOf(columns);
  const configuration = matmulConfiguration(profile);
  const matmuls = pieces.map(({ index, firstRow, rows }) => {
    const shape = { rows, totalRows, firstRow, columns, tokens };
    const variant = { kernel: 'matmul', format, columnMultiple, hasBias, ...configuration } as const;
    const constants: BufferReference = { kind: 'constants', words: matmulShapeWords(shape) };
    return call(matmulKernel, variant, shape, [STEP_BUFFER, constants, ...operands(index)]);
  });
  return {
    operation: 'linear',
    layer: operation.layer,
    // Few steps of one token come here: only the outputs are worth a kernel of their own.
    alternatives: [
      ...(tokens === 'tokens' ? [] : [{ serves: hasOneRow(tokens), calls: matvecs }]),
      { serves: always, calls: matmuls },
    ],
  };
}

// Only loads of f16 depend on it, and widen up to 8.
function columnMultipleOf(columns: number): 4 | 8 | 32 {
  if (columns % 32 === 0) return 32;
  return columns % 8 === 0 ? 8 : 4;
}
