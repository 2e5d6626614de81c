// What the lowering of every operation needs: names of buffers, shapes that kernels can hold, a checked call.

import { WpError } from '../../errors.ts';
import type { Graph, ValueId } from '../../graph/types.ts';
import type { FormatName } from '../../quantization/formats.ts';
import type { DeviceProfile } from './device-profile.ts';
import type { EncoderOperation } from '../../ops/index.ts';
import type { BufferReference, KernelCall, LoweredOperation } from './kernel-calls.ts';
import { instantiate, type Kernel, requireMultiple, type Variant } from './kernels/kernel.ts';
import { rowCount, type Rows, rowsOf } from './kernels/rows.ts';
import { matrixBindings } from './device-matrix.ts';
import { type WeightStore } from './weight-store.ts';

export interface LoweringContext {
  graph: Graph;
  profile: DeviceProfile;
  weights: WeightStore;
  contextLength: number;
  /** Steps of one token and one output, or any other. */
  step: 'decode' | 'general';
  /** The kernels of encoders, in the programs that have fetched them (encoder/program.ts). */
  lowerEncoder?: ((operation: EncoderOperation, context: LoweringContext) => LoweredOperation) | undefined;
}

export const STEP_BUFFER: BufferReference = { kind: 'step' };
export const valueBuffer = (id: ValueId | undefined): BufferReference => ({ kind: 'value', id: id! });
export const vectorBuffer = (weight: string): BufferReference => ({ kind: 'vector', weight });
export const stateBuffer = (name: string): BufferReference => ({ kind: 'state', name });

/** A call, checked: as many buffers as the kernel has bindings. */
export function call<V extends Variant, Shape>(
  kernel: Kernel<V, Shape>,
  variant: V,
  shape: Shape,
  buffers: readonly BufferReference[],
): KernelCall {
  const instance = instantiate(kernel, variant, shape);
  if (instance.bindings.length !== buffers.length) {
    throw new WpError('internal', `${instance.key} has ${instance.bindings.length} bindings, not ${buffers.length}.`);
  }
  return { kernel: instance, buffers };
}

/** The buffers of a piece: its planes, and its scales if its format has any. */
export function pieceBuffers(weight: string, piece: number, format: FormatName): BufferReference[] {
  return Array.from({ length: matrixBindings(format) }, (_, part) => ({ kind: 'matrix', weight, piece, part }));
}

/** Rows and columns of a value of two dimensions. */
export function matrixShape({ graph }: LoweringContext, id: ValueId | undefined): { rows: Rows; columns: number } {
  const { name, shape } = graph.values[id!]!;
  const columns = shape[1];
  if (shape.length !== 2 || typeof columns !== 'number') {
    throw new WpError(
      'unsupported-operation',
      `The WebGPU backend cannot hold ${name} of shape [${shape.join(', ')}].`,
    );
  }
  return { rows: rowsOf(shape[0]), columns };
}

/** As above; the kernels read and write it as vec4s. */
export function vectorShape(context: LoweringContext, id: ValueId | undefined): { rows: Rows; columns: number } {
  const shape = matrixShape(context, id);
  requireMultiple(`the columns of ${context.graph.values[id!]!.name}`, shape.columns, 4);
  return shape;
}

/** True of steps in which a value has one row. */
export function hasOneRow(rows: Rows): (sizes: Parameters<typeof rowCount>[1]) => boolean {
  return (sizes) => rowCount(rows, sizes) === 1;
}
