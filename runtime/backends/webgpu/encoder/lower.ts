// From an encoder's operations to kernel calls; those that decoders have, too, are lowered as theirs (../lowering.ts), but for
// rows that are no whole vectors.

import { WpError } from '../../../errors.ts';
import type { ConvGeometry, Operation, ValueId } from '../../../graph/types.ts';
import { convOutput, convTransposeOutput, type ImageSize } from '../../../ops/conv-geometry.ts';
import type { EncoderOperation } from '../../../ops/index.ts';
import { always, type BufferReference, type KernelCall, type LoweredOperation } from '../kernel-calls.ts';
import { type Kernel, reductionFor, requireMultiple, type Variant } from '../kernels/kernel.ts';
import { lowerOperation } from '../lowering.ts';
import {
  call,
  type LoweringContext,
  matrixShape,
  STEP_BUFFER,
  valueBuffer,
  vectorBuffer,
} from '../lowering-context.ts';
import { attendBlockKeys, attendKernel } from './attend.wgsl.ts';
import { convKernel } from './conv.wgsl.ts';
import {
  activationKernel,
  concatKernel,
  gatedGeluKernel,
  groupedConvKernel,
  type ImageFields,
  insertRowsKernel,
  meanRowsKernel,
  pickKernel,
  rotateKernel,
  scaleColumnsKernel,
  sumKernel,
  tableRowsKernel,
  transposedConvKernel,
  unfoldKernel,
  upsampleKernel,
} from './elements.wgsl.ts';
import { normKernel } from './norms.wgsl.ts';

/** Every operation of an encoder's graph. */
export function lowerAll(context: LoweringContext): LoweredOperation[] {
  return context.graph.operations.map((operation) => {
    const narrow = lowerNarrow(operation, context);
    return narrow ? lowered(operation, [narrow]) : lowerOperation(operation, { ...context, lowerEncoder });
  });
}

/** Sums and choices of rows that are no whole vec4s: a few classes. */
function lowerNarrow(operation: Operation, context: LoweringContext): KernelCall | undefined {
  if (operation.op !== 'add' && operation.op !== 'selectRows') return undefined;
  const shape = matrixShape(context, operation.outputs[0]);
  if (shape.columns % 4 === 0) return undefined;
  const buffers = [STEP_BUFFER, ...[...operation.inputs, ...operation.outputs].map(valueBuffer)];
  return operation.op === 'add'
    ? call(sumKernel, { kernel: 'sum', ...shape }, undefined, buffers)
    : call(pickKernel, { kernel: 'pick', ...shape }, undefined, buffers);
}

function lowered({ op, layer }: Operation, calls: readonly KernelCall[]): LoweredOperation {
  return { operation: op, layer, alternatives: [{ serves: always, calls }] };
}

function lowerEncoder(operation: EncoderOperation, context: LoweringContext): LoweredOperation {
  return lowered(operation, [encoderCall(operation, context)]);
}

function encoderCall(operation: EncoderOperation, context: LoweringContext): KernelCall {
  const { profile } = context;
  const [input, second] = operation.inputs;
  const output = operation.outputs[0];
  const shape = matrixShape(context, output);
  const columnsOf = (id: ValueId | undefined) => matrixShape(context, id).columns;
  const lengthOf = (weight: string) => context.graph.weights.find(({ name }) => name === weight)!.shape[0]!;
  /** Inputs, weights where there are any, the output. */
  const make = <V extends Variant>(kernel: Kernel<V>, variant: V, ...weights: readonly (string | undefined)[]) =>
    call(kernel, variant, undefined, [
      STEP_BUFFER,
      ...operation.inputs.map(valueBuffer),
      ...weights.filter((name) => name !== undefined).map(vectorBuffer),
      valueBuffer(output),
    ]);
  const norm = {
    channels: 0,
    groupChannels: 0,
    workgroupSize: workgroupSizeFor(shape.columns, profile.maxInvocationsPerWorkgroup),
    reduction: reductionFor(profile),
  };
  switch (operation.op) {
    case 'layerNorm': {
      const { weight, bias, epsilon } = operation.attributes;
      const hasBias = bias !== undefined;
      return make(normKernel, { kernel: 'layerNorm', ...shape, ...norm, epsilon, hasBias }, weight, bias);
    }
    case 'normalizeRows': {
      const { epsilon } = operation.attributes;
      return make(normKernel, { kernel: 'normalizeRows', ...shape, ...norm, epsilon, hasBias: false });
    }
    case 'groupNorm': {
      const { weight, bias, groups, epsilon, area } = operation.attributes;
      const groupChannels = shape.columns / groups;
      const rows = ((shape.rows as number) / area) * groups;
      const columns = groupChannels * area;
      const workgroupSize = workgroupSizeFor(columns, profile.maxInvocationsPerWorkgroup);
      const fields = { ...norm, rows, columns, channels: shape.columns, groupChannels, workgroupSize };
      return make(normKernel, { kernel: 'groupNorm', ...fields, epsilon, hasBias: true }, weight, bias);
    }
    case 'activation':
      return make(activationKernel, { kernel: 'activation', ...shape, ...operation.attributes });
    case 'gatedGelu':
      return make(gatedGeluKernel, { kernel: 'gatedGelu', ...shape });
    case 'rotate':
      return make(rotateKernel, { kernel: 'rotate', ...shape, ...operation.attributes });
    case 'meanRows':
      return make(meanRowsKernel, { kernel: 'meanRows', ...shape });
    case 'scaleColumns': {
      const { weight, factor } = operation.attributes;
      const hasWeight = weight !== undefined;
      return make(scaleColumnsKernel, { kernel: 'scaleColumns', ...shape, factor, hasWeight }, weight);
    }
    case 'tableRows':
    case 'addTable': {
      const { weight } = operation.attributes;
      const tableRows = lengthOf(weight) / shape.columns;
      const isAdded = operation.op === 'addTable';
      return make(tableRowsKernel, { kernel: 'tableRows', ...shape, tableRows, isAdded }, weight);
    }
    case 'insertRows': {
      const { weight, every, at } = operation.attributes;
      const tableRows = lengthOf(weight) / shape.columns;
      return make(insertRowsKernel, { kernel: 'insertRows', ...shape, tableRows, every, at }, weight);
    }
    case 'concatColumns':
      return make(concatKernel, { kernel: 'concatColumns', ...shape, first: columnsOf(input) });
    case 'attend':
      return attendCall(operation, context);
    case 'unfold': {
      const fields = imageFields(operation.attributes, columnsOf(input), convOutput(operation.attributes));
      return make(unfoldKernel, { kernel: 'unfold', ...shape, ...fields });
    }
    case 'conv2d': {
      const { weight, bias, groups } = operation.attributes;
      const fields = imageFields(operation.attributes, columnsOf(input), convOutput(operation.attributes));
      const hasBias = bias !== undefined;
      if (groups > 1) {
        return make(groupedConvKernel, { kernel: 'groupedConv', ...shape, ...fields, groups, hasBias }, weight, bias);
      }
      const rows = shape.rows as number;
      return make(convKernel, { kernel: 'conv2d', rows, features: shape.columns, ...fields, hasBias }, weight, bias);
    }
    case 'convTranspose2d': {
      const { weight, bias, groups } = operation.attributes;
      const fields = imageFields(operation.attributes, columnsOf(input), convTransposeOutput(operation.attributes));
      const variant = { kernel: 'transposedConv', ...shape, ...fields, groups, hasBias: bias !== undefined } as const;
      return make(transposedConvKernel, variant, weight, bias);
    }
    case 'upsample':
      return make(upsampleKernel, { kernel: 'upsample', ...shape, ...operation.attributes });
    default:
      throw new WpError('unsupported-operation', `The WebGPU backend has no kernel for it.`, '', { operation, second });
  }
}

function attendCall(
  { attributes, inputs, outputs }: Operation & { op: 'attend' },
  context: LoweringContext,
): KernelCall {
  const { heads, keyValueHeads, headDim, scale, offsets, segments, isCausal, window, relativeBias } = attributes;
  const [queries, keys, values] = inputs;
  requireMultiple('headDim', headDim, 4);
  for (const [name, offset] of Object.entries(offsets)) requireMultiple(`the offset of ${name}`, offset, 4);
  const columns = (id: ValueId | undefined) => {
    const count = matrixShape(context, id).columns;
    requireMultiple('the columns of what attends', count, 4);
    return count;
  };
  const variant = {
    kernel: 'attend',
    rows: matrixShape(context, queries).rows,
    keyRows: matrixShape(context, keys).rows,
    heads,
    keyValueHeads,
    headDim,
    scale,
    queryColumns: columns(queries),
    keyColumns: columns(keys),
    valueColumns: columns(values),
    queryOffset: offsets.queries,
    keyOffset: offsets.keys,
    valueOffset: offsets.values,
    isCausal,
    window: window ?? -1,
    queryRun: segments?.queries ?? 0,
    keyRun: segments?.keys ?? 0,
    reach: relativeBias?.reach ?? -1,
    // What every device has.
    blockKeys: attendBlockKeys(headDim, 16384),
  } as const;
  const bias: BufferReference[] = relativeBias ? [valueBuffer(inputs.at(-1)), vectorBuffer(relativeBias.weight)] : [];
  return call(attendKernel, variant, undefined, [
    STEP_BUFFER,
    ...[queries, keys, values].map(valueBuffer),
    ...(segments ? [] : [valueBuffer(inputs[3])]),
    ...bias,
    valueBuffer(outputs[0]),
  ]);
}

function imageFields(geometry: ConvGeometry, channels: number, out: ImageSize): ImageFields {
  const { height, width, kernelHeight, kernelWidth, stride, padding, dilation } = geometry;
  const sizes = { channels, outHeight: out.height, outWidth: out.width };
  return { height, width, kernelHeight, kernelWidth, stride, padding, dilation, ...sizes };
}

/** As many threads as a row has work for, between 32 and 256. */
function workgroupSizeFor(columns: number, most: number): number {
  const wanted = columns >= 1024 ? 256 : columns >= 256 ? 128 : 32;
  return Math.min(wanted, most);
}
