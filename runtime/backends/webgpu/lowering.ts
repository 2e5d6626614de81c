// From operations to kernel calls. Every operation that has different kernels for one row and for many offers both as
// alternatives, and the step's sizes choose: a prefill of many tokens still has a matrix-vector product for its one output.

import { WpError } from '../../errors.ts';
import type { Operation } from '../../graph/types.ts';
import { type EncoderOperation, isAuthoredForm, isEncoderOperation } from '../../ops/index.ts';
import { always, type BufferReference, type KernelCall, type LoweredOperation } from './kernel-calls.ts';
import { addKernel, gatedActivationKernel, selectRowsKernel } from './kernels/elementwise.ts';
import { embedKernel } from './kernels/embed.ts';
import { reductionFor, requireMultiple } from './kernels/kernel.ts';
import { rmsNormKernel } from './kernels/rms-norm.ts';
import { rotaryCacheKernel } from './kernels/rotary-cache.ts';
import type { RotaryCacheVariant } from './kernels/rotary-cache.wgsl.ts';
import { lowerAttention } from './lower-attention.ts';
import { lowerLinear } from './lower-linear.ts';
import {
  call,
  type LoweringContext,
  pieceBuffers,
  stateBuffer,
  STEP_BUFFER,
  valueBuffer,
  vectorBuffer,
  vectorShape,
} from './lowering-context.ts';

/** Throws `unsupported-operation` for what has no kernel, before anything is loaded. */
export function lowerOperations(context: LoweringContext): LoweredOperation[] {
  return context.graph.operations.map((operation) => {
    if (isAuthoredForm(operation)) {
      throw new WpError('unsupported-operation', `The WebGPU backend runs lowered graphs; ${operation.op} is not.`);
    }
    return lowerOperation(operation, context);
  });
}

export function lowerOperation(operation: Operation, context: LoweringContext): LoweredOperation {
  if (isEncoderOperation(operation)) {
    if (context.lowerEncoder) return context.lowerEncoder(operation, context);
    throw new WpError('unsupported-operation', `A decoder's program has no kernels for ${operation.op}.`);
  }
  switch (operation.op) {
    case 'linear':
      return lowerLinear(operation, context);
    case 'attention':
      return lowerAttention(operation, context);
    default:
      return {
        operation: operation.op,
        layer: operation.layer,
        alternatives: [{ serves: always, calls: simpleCalls(operation, context) }],
      };
  }
}

type SimpleOperation = Exclude<Operation, { op: 'linear' | 'attention' } | EncoderOperation>;

/** Operations with one kernel for all steps. */
function simpleCalls(operation: SimpleOperation, context: LoweringContext): KernelCall[] {
  const { profile, contextLength, weights } = context;
  const reduction = reductionFor(profile);
  const [input, second] = operation.inputs;
  const [output, secondOutput] = operation.outputs;
  const workgroupSize = Math.min(256, profile.maxInvocationsPerWorkgroup);
  switch (operation.op) {
    case 'embed': {
      const { weight } = operation.attributes;
      const { format, columns, pieces } = weights.layout(weight);
      return pieces.map(({ index, firstRow, rows }) => {
        const variant = { kernel: 'embed', format, rows, firstRow, columns, workgroupSize: 64 } as const;
        const matrix = pieceBuffers(weight, index, format);
        return call(embedKernel, variant, undefined, [STEP_BUFFER, valueBuffer(input), ...matrix, valueBuffer(output)]);
      });
    }
    case 'rmsNorm': {
      const { weight, epsilon } = operation.attributes;
      const variant = { kernel: 'rmsNorm', ...vectorShape(context, input), epsilon, workgroupSize, reduction } as const;
      return [
        call(rmsNormKernel, variant, undefined, [
          STEP_BUFFER,
          valueBuffer(input),
          vectorBuffer(weight),
          valueBuffer(output),
        ]),
      ];
    }
    case 'addRmsNorm': {
      const { weight, epsilon } = operation.attributes;
      const variant = {
        kernel: 'addRmsNorm',
        ...vectorShape(context, input),
        epsilon,
        workgroupSize,
        reduction,
      } as const;
      const inputs = [valueBuffer(input), valueBuffer(second), vectorBuffer(weight)];
      return [
        call(rmsNormKernel, variant, undefined, [
          STEP_BUFFER,
          ...inputs,
          valueBuffer(output),
          valueBuffer(secondOutput),
        ]),
      ];
    }
    case 'add': {
      const variant = { kernel: 'add', ...vectorShape(context, output), workgroupSize } as const;
      return [
        call(addKernel, variant, undefined, [
          STEP_BUFFER,
          valueBuffer(input),
          valueBuffer(second),
          valueBuffer(output),
        ]),
      ];
    }
    case 'gatedActivation': {
      const { activation } = operation.attributes;
      const variant = {
        kernel: 'gatedActivation',
        ...vectorShape(context, output),
        activation,
        workgroupSize,
      } as const;
      return [call(gatedActivationKernel, variant, undefined, [STEP_BUFFER, valueBuffer(input), valueBuffer(output)])];
    }
    case 'selectRows': {
      const variant = { kernel: 'selectRows', ...vectorShape(context, output), workgroupSize } as const;
      return [
        call(selectRowsKernel, variant, undefined, [
          STEP_BUFFER,
          valueBuffer(input),
          valueBuffer(second),
          valueBuffer(output),
        ]),
      ];
    }
    case 'rotaryCache': {
      const { heads, keyValueHeads, headDim, epsilon, queryNorm, keyNorm, keyState, valueState } = operation.attributes;
      requireMultiple('headDim', headDim, 4);
      const hasNorm = queryNorm !== undefined || keyNorm !== undefined;
      const variant = {
        kernel: 'rotaryCache',
        heads,
        keyValueHeads,
        headDim,
        context: contextLength,
        hasQueryNorm: queryNorm !== undefined,
        hasKeyNorm: keyNorm !== undefined,
        epsilon: hasNorm ? epsilon : 0,
        workgroupSize: 64,
        reduction,
      } as const;
      const norms = [queryNorm, keyNorm].filter((name) => name !== undefined).map(vectorBuffer);
      const caches = [stateBuffer(keyState), stateBuffer(valueState)];
      if (operation.inputs.length === 4) return rotaryParts(operation, variant);
      return [
        call(rotaryCacheKernel, variant, undefined, [
          STEP_BUFFER,
          valueBuffer(input),
          valueBuffer(second),
          ...norms,
          ...caches,
          valueBuffer(output),
        ]),
      ];
    }
  }
}

/** Queries, keys and values that three linears made: a call for each. */
function rotaryParts(
  { inputs, outputs, attributes }: Operation & { op: 'rotaryCache' },
  variant: RotaryCacheVariant,
): KernelCall[] {
  const { queryNorm, keyNorm, keyState, valueState } = attributes;
  const [queries, keys, values, rotary] = inputs.map(valueBuffer) as [
    BufferReference,
    BufferReference,
    BufferReference,
    BufferReference,
  ];
  const norm = (name: string | undefined): BufferReference[] => (name === undefined ? [] : [vectorBuffer(name)]);
  const plain = { ...variant, hasQueryNorm: false, hasKeyNorm: false, epsilon: 0 };
  const epsilonFor = (name: string | undefined): number => (name === undefined ? 0 : attributes.epsilon);
  return [
    call(
      rotaryCacheKernel,
      { ...plain, part: 'queries', hasQueryNorm: queryNorm !== undefined, epsilon: epsilonFor(queryNorm) },
      undefined,
      [STEP_BUFFER, queries, rotary, ...norm(queryNorm), valueBuffer(outputs[0]!)],
    ),
    call(
      rotaryCacheKernel,
      { ...plain, part: 'keys', hasKeyNorm: keyNorm !== undefined, epsilon: epsilonFor(keyNorm) },
      undefined,
      [STEP_BUFFER, keys, rotary, ...norm(keyNorm), stateBuffer(keyState)],
    ),
    call(rotaryCacheKernel, { ...plain, part: 'values' }, undefined, [STEP_BUFFER, values, stateBuffer(valueState)]),
  ];
}
