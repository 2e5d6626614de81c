// A schedule on the device: its activation buffers, and its calls resolved to pipelines and bind groups.

import { valueBytes } from '../../graph/shapes.ts';
import type { Graph, ValueId } from '../../graph/types.ts';
import { type BufferCategory, type BufferLedger } from './buffers.ts';
import type { Alternative, BufferReference, KernelCall } from './kernel-calls.ts';
import type { KernelInstance, StepSizes } from './kernels/kernel.ts';
import { type PipelineCache } from './pipelines.ts';
import type { Schedule } from './schedule.ts';

export interface PreparedCall {
  kernel: KernelInstance;
  pipeline: GPUComputePipeline;
  bindGroup: GPUBindGroup;
}

/** Everything but activations, which are the schedule's own. */
export type ResolveBuffer = (reference: Exclude<BufferReference, { kind: 'value' }>) => GPUBufferBinding;

export class ScheduleRunner {
  /** May be replaced by one with other kernels and the same plan; `prepare` must follow. */
  schedule: Schedule;
  readonly #graph: Graph;
  readonly #slots: GPUBuffer[] = [];
  readonly #placed = new Map<ValueId, GPUBuffer>();
  #prepared: readonly { serves: Alternative['serves']; calls: readonly PreparedCall[] }[][] | undefined;

  constructor(graph: Graph, schedule: Schedule) {
    this.#graph = graph;
    this.schedule = schedule;
  }

  async allocate(ledger: BufferLedger, category: BufferCategory, label: string): Promise<void> {
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC;
    for (const [index, { bytes }] of this.schedule.plan.slots.entries()) {
      this.#slots.push(await ledger.create(category, `${label} ${index}`, bytes, usage));
    }
  }

  /** Resolves all calls; `pipelineOf` knows those of every call. */
  prepare(device: GPUDevice, pipelines: PipelineCache, compiled: CompiledPipelines, resolve: ResolveBuffer): void {
    const prepareCall = (call: KernelCall): PreparedCall => ({
      kernel: call.kernel,
      pipeline: compiled.get(call.kernel.key)!,
      bindGroup: device.createBindGroup({
        label: call.kernel.key,
        layout: pipelines.layout(call.kernel.bindings),
        entries: call.buffers.map((reference, binding) => ({
          binding,
          resource: reference.kind === 'value' ? this.binding(reference.id) : resolve(reference),
        })),
      }),
    });
    this.#prepared = this.schedule.operations.map(({ alternatives }) =>
      alternatives.map(({ serves, calls }) => ({ serves, calls: calls.map(prepareCall) })),
    );
  }

  /** The calls of a step, in order. */
  callsFor(sizes: StepSizes): PreparedCall[] {
    return this.#prepared!.flatMap((alternatives) => alternatives.find(({ serves }) => serves(sizes))!.calls);
  }

  *calls(): Generator<KernelCall> {
    for (const { alternatives } of this.schedule.operations) for (const { calls } of alternatives) yield* calls;
  }

  /** Before `prepare`: a value lives in a buffer of its own, of as many bytes as `valueBytes` says. */
  place(id: ValueId, buffer: GPUBuffer): void {
    this.#placed.set(id, buffer);
  }

  /** The activation of a value: a slot that others share at other times. */
  buffer(id: ValueId): GPUBuffer {
    return this.#placed.get(id) ?? this.#slots[this.schedule.plan.slotOf.get(id)!]!;
  }

  /** Of the largest step, rounded up to whole vec4s, which the slots have room for. */
  valueBytes(id: ValueId): number {
    return Math.ceil(valueBytes(this.#graph.values[id]!, this.schedule.dims) / 16) * 16;
  }

  // A slot may be larger than the value, and than what one binding can show.
  binding(id: ValueId): GPUBufferBinding {
    return { buffer: this.buffer(id), size: this.valueBytes(id) };
  }
}

/** By the kernel's key. */
export type CompiledPipelines = ReadonlyMap<string, GPUComputePipeline>;
