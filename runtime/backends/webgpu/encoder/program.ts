// An encoder's program on the GPU: a chunk of its own, with its kernels, that ../device.ts fetches for the first encoder. One
// list of calls serves all steps; a step writes its inputs, replays the list and maps the outputs.

import { WpError } from '../../../errors.ts';
import { encoderStep, rowsOfStep, type StepNumbers } from '../../../graph/encoder-step.ts';
import { planActivations } from '../../../graph/memory-plan.ts';
import type { Graph } from '../../../graph/types.ts';
import { formatBytes, FORMATS, type PackedMatrix } from '../../../quantization/formats.ts';
import type { EncoderCompileOptions, EncoderProgram, MemoryUse } from '../../backend.ts';
import { BufferLedger } from '../buffers.ts';
import { ConstantPool } from '../constants.ts';
import type { DeviceProfile } from '../device-profile.ts';
import { deviceLostError, type DeviceWatch } from '../device-watch.ts';
import type { StepSizes } from '../kernels/kernel.ts';
import { type PipelineCache } from '../pipelines.ts';
import { ReadbackPool } from '../readback.ts';
import { type CompiledPipelines, type ResolveBuffer, ScheduleRunner } from '../schedule-runner.ts';
import { WeightStore } from '../weight-store.ts';
import { convAreas, convWeights } from './conv-weights.ts';
import { lowerAll } from './lower.ts';

/** Dispatches of one submit: the browser's work on the next ones overlaps the GPU's on these. */
const DISPATCHES_PER_SUBMIT = 32;

export interface EncoderDevice {
  device: GPUDevice;
  profile: DeviceProfile;
  watch: DeviceWatch;
  pipelines: PipelineCache;
}

export class WebGpuEncoderProgram implements EncoderProgram {
  readonly #on: EncoderDevice;
  readonly #graph: Graph;
  readonly #options: EncoderCompileOptions;
  readonly #ledger: BufferLedger;
  readonly #readback: ReadbackPool;
  readonly #constants: ConstantPool;
  readonly #weights: WeightStore;
  readonly #convAreas: ReadonlyMap<string, number>;
  readonly #convWeights = new Map<string, GPUBuffer>();
  readonly #runner: ScheduleRunner;
  #step: GPUBuffer | undefined;
  #isReady = false;
  #isDisposed = false;

  get isDisposed(): boolean {
    return this.#isDisposed;
  }

  /** Starts to compile all pipelines. Throws for what this device cannot run; call `allocate` next. */
  constructor(on: EncoderDevice, graph: Graph, options: EncoderCompileOptions) {
    this.#on = on;
    this.#graph = graph;
    this.#options = options;
    this.#ledger = new BufferLedger(on.device);
    this.#readback = new ReadbackPool(this.#ledger, 2);
    this.#constants = new ConstantPool(this.#ledger);
    this.#convAreas = convAreas(graph);
    const stored = graph.weights.filter(({ name }) => !this.#convAreas.has(name));
    this.#weights = new WeightStore(this.#ledger, stored, options.formats, on.profile);
    const { maxTokens, maxOutputs } = options;
    const dims = { batch: 1, tokens: maxTokens, outputs: maxOutputs, past: 0, context: 0 };
    const operations = lowerAll({
      graph,
      profile: on.profile,
      weights: this.#weights,
      contextLength: 0,
      step: 'general',
    });
    this.#runner = new ScheduleRunner(graph, { operations, plan: planActivations(graph, dims), dims });
    this.#checkBindingSizes();
    for (const { kernel } of this.#runner.calls()) on.pipelines.get(kernel).catch(() => undefined);
  }

  /** Allocates what is known to be needed before any weight arrives. */
  async allocate(): Promise<void> {
    this.#step = await this.#ledger.create('other', 'step', 16, GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST);
    await this.#constants.allocate([...this.#runner.calls()].flatMap(({ buffers }) => buffers));
    await this.#runner.allocate(this.#ledger, 'activations', 'activations');
  }

  async setWeight(name: string, matrix: PackedMatrix): Promise<void> {
    this.#checkUsable();
    this.#isReady = false;
    const area = this.#convAreas.get(name);
    if (area === undefined) return this.#weights.set(name, matrix);
    this.#checkConvWeight(name, matrix);
    const known = this.#convWeights.get(name);
    if (known) this.#ledger.destroy(known);
    const bytes = new Uint8Array(convWeights(matrix, area).buffer);
    this.#convWeights.set(name, await this.#ledger.createWith('weights', name, bytes, GPUBufferUsage.STORAGE));
  }

  async ready(): Promise<void> {
    this.#checkUsable();
    this.#weights.checkComplete();
    const missing = [...this.#convAreas.keys()].filter((name) => !this.#convWeights.has(name));
    if (missing.length > 0) {
      throw new WpError('missing-tensor', `${missing.length} weights were not set, ${missing[0]!} among them.`, '', {
        missing,
      });
    }
    const { device, pipelines, watch } = this.#on;
    const kernels = new Map([...this.#runner.calls()].map(({ kernel }) => [kernel.key, kernel]));
    const compiling = [...kernels].map(async ([key, kernel]) => [key, await pipelines.get(kernel)] as const);
    const compiled: CompiledPipelines = new Map(await Promise.race([Promise.all(compiling), watch.failure]));
    this.#checkUsable();
    this.#runner.prepare(device, pipelines, compiled, (reference) => this.#resource(reference));
    this.#isReady = true;
  }

  /** Everything is written and submitted before the promise is returned, where a staging buffer is free. */
  async run(inputs: StepNumbers): Promise<Record<string, Float32Array<ArrayBuffer>>> {
    this.#checkUsable();
    if (!this.#isReady) throw new WpError('internal', 'A program was run before it was ready.');
    const sizes = encoderStep(this.#graph, inputs, this.#options);
    const parts = Object.entries(this.#graph.outputs).map(([name, id]) => {
      const numbers = rowsOfStep(this.#graph, id, sizes) * (this.#graph.values[id]!.shape[1] as number);
      return { name, id, numbers };
    });
    const bytes = parts.reduce((sum, { numbers }) => sum + numbers * 4, 0);
    const copies = Object.fromEntries(Object.entries(inputs).map(([name, numbers]) => [name, numbers.slice()]));
    const staging = this.#readback.take(bytes) ?? (await this.#readback.create(bytes));
    this.#checkUsable();
    this.#submit(copies, { ...sizes, past: 0 }, (encoder) => {
      let at = 0;
      for (const { id, numbers } of parts) {
        encoder.copyBufferToBuffer(this.#runner.buffer(id), 0, staging, at, numbers * 4);
        at += numbers * 4;
      }
    });
    const all = await this.#read(staging, bytes);
    let at = 0;
    return Object.fromEntries(parts.map(({ name, numbers }) => [name, all.slice(at, (at += numbers))]));
  }

  memory(): MemoryUse {
    return this.#ledger.memory;
  }

  dispose(): void {
    this.#isDisposed = true;
    this.#isReady = false;
    this.#ledger.destroyAll();
  }

  #submit(inputs: StepNumbers, sizes: StepSizes, copy: (encoder: GPUCommandEncoder) => void): void {
    const { queue } = this.#on.device;
    queue.writeBuffer(this.#step!, 0, new Uint32Array([sizes.tokens, sizes.past, sizes.outputs, 0]));
    for (const [name, id] of Object.entries(this.#graph.inputs)) {
      const numbers = inputs[name]!;
      const buffer = this.#runner.buffer(id);
      queue.writeBuffer(buffer, 0, numbers.buffer as ArrayBuffer, numbers.byteOffset, numbers.byteLength);
    }
    const calls = this.#runner.callsFor(sizes);
    for (let start = 0; start < calls.length; start += DISPATCHES_PER_SUBMIT) {
      const encoder = this.#on.device.createCommandEncoder();
      const pass = encoder.beginComputePass();
      for (const { kernel, pipeline, bindGroup } of calls.slice(start, start + DISPATCHES_PER_SUBMIT)) {
        const workgroups = kernel.workgroups(sizes);
        if (workgroups.includes(0)) continue;
        pass.setPipeline(pipeline);
        pass.setBindGroup(0, bindGroup);
        pass.dispatchWorkgroups(...workgroups);
      }
      pass.end();
      if (start + DISPATCHES_PER_SUBMIT >= calls.length) copy(encoder);
      queue.submit([encoder.finish()]);
    }
  }

  /** What the staging buffer brings, once it is there; or why it never comes. */
  async #read(staging: GPUBuffer, bytes: number): Promise<Float32Array<ArrayBuffer>> {
    const { watch } = this.#on;
    try {
      const numbers = await watch.guard(this.#readback.read(staging, bytes));
      watch.check();
      this.#readback.release(staging);
      return numbers;
    } catch (error) {
      this.#ledger.destroy(staging);
      if (!this.#isDisposed) await watch.settle();
      this.#checkUsable();
      throw error instanceof WpError ? error : deviceLostError(String(error));
    }
  }

  #resource(reference: Parameters<ResolveBuffer>[0]): GPUBufferBinding {
    switch (reference.kind) {
      case 'step':
        return { buffer: this.#step! };
      case 'constants':
        return this.#constants.get(reference.words);
      case 'vector':
        return { buffer: this.#convWeights.get(reference.weight) ?? this.#weights.vector(reference.weight) };
      case 'matrix':
        return { buffer: this.#weights.matrix(reference.weight, reference.piece)[reference.part]! };
      default:
        throw new WpError('internal', `Programs of encoders have no buffer of the kind ${reference.kind}.`);
    }
  }

  #checkConvWeight(name: string, matrix: PackedMatrix): void {
    const [rows, columns] = this.#graph.weights.find((weight) => weight.name === name)!.shape;
    const expected = formatBytes(FORMATS[matrix.format.name as keyof typeof FORMATS], rows!, columns!);
    const hasBytes = matrix.planes.every((plane, i) => plane.byteLength === expected.planes[i]);
    if (matrix.rows === rows && matrix.columns === columns && hasBytes) return;
    throw new WpError(
      'invalid-argument',
      `The weight ${name} arrived as ${matrix.rows} × ${matrix.columns}; planned is ${rows!} × ${columns!}.`,
      '',
      { name, actual: [matrix.rows, matrix.columns], allowed: [rows, columns] },
    );
  }

  #checkBindingSizes(): void {
    const { maxStorageBindingBytes } = this.#on.profile;
    const tooLarge = this.#graph.values.find(({ id }) => this.#runner.valueBytes(id) > maxStorageBindingBytes);
    if (!tooLarge) return;
    const bytes = this.#runner.valueBytes(tooLarge.id);
    throw new WpError(
      'out-of-memory',
      `${tooLarge.name} takes ${bytes} bytes; this GPU's kernels see at most ${maxStorageBindingBytes} at once.`,
      'Run fewer texts or smaller images a step.',
      { actual: bytes, allowed: maxStorageBindingBytes, name: tooLarge.name },
    );
  }

  #checkUsable(): void {
    if (this.#isDisposed) throw new WpError('disposed', 'The program was disposed and used again.');
    this.#on.watch.check();
  }
}
