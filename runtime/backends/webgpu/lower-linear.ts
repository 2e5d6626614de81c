// A linear layer: matvec for one row, matmul for more; a dispatch for each piece of the matrix.

import type { Operation } from '../../graph/types.ts';
import { always, type LoweredOperation } from './kernel-calls.ts';
import { matmulKernel } from './kernels/matmul.ts';
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
  const buffers = (piece: number) => [
    STEP_BUFFER,
    valueBuffer(operation.inputs[0]),
    ...pieceBuffers(weight, piece, isScaled(format)),
    ...(hasBias ? [vectorBuffer(bias)] : []),
    valueBuffer(operation.outputs[0]),
  ];
  const matvecs = pieces.map(({ index, firstRow, rows }) => {
    const configuration = matvecConfiguration(profile, { format, rows, columns });
    const variant = { kernel: 'matvec', format, rows, firstRow, columns, hasBias, ...configuration } as const;
    return call(matvecKernel, variant, buffers(index));
  });
  const matmuls = pieces.map(({ index, firstRow, rows }) => {
    const fields = { format, rows, totalRows, firstRow, columns, tokens, hasBias };
    const variant = { kernel: 'matmul', ...fields, ...matmulConfiguration(profile, fields) } as const;
    return call(matmulKernel, variant, buffers(index));
  });
  return {
    operation: 'linear',
    layer: operation.layer,
    alternatives: [
      { serves: hasOneRow(tokens), calls: matvecs },
      { serves: always, calls: matmuls },
    ],
  };
}
