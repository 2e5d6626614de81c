// A fused operation of a decode step: a matrix-vector product with what it takes along.

import type { FusedOperation, Fusion } from './fuse-decode.ts';
import { always, type BufferReference, type LoweredOperation } from './kernel-calls.ts';
import { ROTARY_ROWS_PER_THREAD, rotaryText } from './kernels/matvec-epilogue.wgsl.ts';
import { lowerMatvec, type MatvecTask } from './lower-matvec.ts';
import {
  type LoweringContext,
  pieceBuffers,
  stateBuffer,
  STEP_BUFFER,
  valueBuffer,
  vectorBuffer,
} from './lowering-context.ts';
import { lowerOperation } from './lowering.ts';

export function lowerFused(fusedOperation: FusedOperation, context: LoweringContext): LoweredOperation {
  const { operation, inputs, outputs, fused } = fusedOperation;
  if (operation.op !== 'linear' || !fused) return lowerOperation({ ...operation, inputs, outputs }, context);

  const { weights, contextLength } = context;
  const { weight, bias } = operation.attributes;
  const { format, columns, pieces } = weights.layout(weight);
  const { norm, residual, activation, rotaryCache } = fused;
  const rotaryInput = inputs[inputs.length - 1];
  const calls = pieces.map(({ index, firstRow, rows }) => {
    const task: MatvecTask = {
      format,
      rows,
      firstRow,
      columns,
      hasBias: bias !== undefined,
      normEpsilon: norm?.epsilon,
      hasResidual: residual === undefined ? undefined : true,
      activation,
      rotary: rotaryCache && rotaryText({ ...rotaryCache.attributes, context: contextLength }),
    };
    const buffers = [
      STEP_BUFFER,
      valueBuffer(inputs[0]),
      ...pieceBuffers(weight, index, format),
      ...(bias === undefined ? [] : [vectorBuffer(bias)]),
      ...(norm ? [vectorBuffer(norm.weight)] : []),
      ...(residual === undefined ? [] : [valueBuffer(residual)]),
      ...(rotaryCache ? [valueBuffer(rotaryInput), ...caches(rotaryCache)] : []),
      valueBuffer(outputs[0]),
    ];
    return lowerMatvec(context, task, buffers, (configured) => rowsPerThread(fused, configured));
  });
  return { operation: 'linear', layer: operation.layer, alternatives: [{ serves: always, calls }] };
}

/** Rows that must meet in a thread. */
function rowsPerThread({ activation, rotaryCache }: Fusion, configured: number): number {
  if (rotaryCache) return ROTARY_ROWS_PER_THREAD;
  return activation ? Math.max(2, configured) : configured;
}

function caches({ attributes }: NonNullable<Fusion['rotaryCache']>): BufferReference[] {
  return [stateBuffer(attributes.keyState), stateBuffer(attributes.valueState)];
}
