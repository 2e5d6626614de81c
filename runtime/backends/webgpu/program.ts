// A compiled graph. Its kernel calls are resolved once, to pipelines and bind groups; a step writes the inputs and one small
// uniform, then replays the calls that serve its sizes. What cannot change between steps is never made again.

import { unreachable, WpError } from '../../errors.ts';
import { valueBytes } from '../../graph/shapes.ts';
import { weightBytesRead } from '../../graph/sizes.ts';
import type { Graph, Value } from '../../graph/types.ts';
import { formatBytes, FORMATS, type PackedMatrix } from '../../quantization/formats.ts';
import type { KernelTiming } from '../../types.ts';
import type {
  CompileOptions,
  DeviceSampling,
  MemoryUse,
  Program,
  ProgramProfile,
  SampledStep,
  StepInputs,
  TuneOptions,
  TuningOutcome,
} from '../backend.ts';
import { BufferLedger } from './buffers.ts';
import { ConstantPool } from './constants.ts';
import type { DeviceProfile } from './device-profile.ts';
import { deviceLostError, type DeviceWatch } from './device-watch.ts';
import type { KernelCall } from './kernel-calls.ts';
import type { KernelInstance, StepSizes } from './kernels/kernel.ts';
import { partialsBytes } from './lower-attention.ts';
import type { LoweringContext } from './lowering-context.ts';
import { type PipelineCache } from './pipelines.ts';
import { ReadbackPool } from './readback.ts';
import { type CompiledPipelines, type ResolveBuffer, ScheduleRunner } from './schedule-runner.ts';
import { decodeSchedule, generalSchedule } from './schedule.ts';
import { checkInputs, copyInputs, expectRange } from './step-inputs.ts';
import { TokenSampler } from './token-sampler.ts';
import { WeightStore } from './weight-store.ts';

/**
 * Dispatches of one submit. Of many tokens: the browser's work on the next ones overlaps the GPU's on these, and no submit is
 * long enough for a slow device's watchdog. Of one token the next step is under way before this one is read, so that nothing
 * is gained by pieces, and each costs the GPU some 50 µs of waiting.
 */
const DISPATCHES_PER_SUBMIT = { manyTokens: 48, oneToken: 512 };

const NONE = new Int32Array(0);

/** What else the commands of a step do: in their last pass, and behind it. */
interface StepEnd {
  pass?(pass: GPUComputePassEncoder): void;
  encoder?(encoder: GPUCommandEncoder): void;
}

export class WebGpuProgram implements Program {
  readonly deviceSampling: DeviceSampling;
  readonly #device: GPUDevice;
  readonly #watch: DeviceWatch;
  readonly #graph: Graph;
  readonly #options: CompileOptions;
  readonly #profile: DeviceProfile;
  readonly #context: Omit<LoweringContext, 'step'>;
  readonly #pipelines: PipelineCache;
  readonly #ledger: BufferLedger;
  readonly #readback: ReadbackPool;
  readonly #tokenReadback: ReadbackPool;
  readonly #weights: WeightStore;
  readonly #sampler: TokenSampler;
  /** Of one token with one output, and of all other steps. */
  readonly #decode: ScheduleRunner;
  readonly #general: ScheduleRunner;
  readonly #states = new Map<string, GPUBuffer>();
  #step: GPUBuffer | undefined;
  readonly #constants: ConstantPool;
  #partials: GPUBuffer | undefined;
  #isReady = false;
  #isDisposed = false;

  get isDisposed(): boolean {
    return this.#isDisposed;
  }

  /** Starts to compile all pipelines. Throws for what this device cannot run; call `allocate` next. */
  constructor(
    device: GPUDevice,
    profile: DeviceProfile,
    watch: DeviceWatch,
    pipelines: PipelineCache,
    graph: Graph,
    options: CompileOptions,
  ) {
    this.#device = device;
    this.#watch = watch;
    this.#graph = graph;
    this.#options = options;
    this.#profile = profile;
    this.#pipelines = pipelines;
    this.#ledger = new BufferLedger(device);
    this.#readback = new ReadbackPool(this.#ledger, 2);
    // As many as steps may well be under way together.
    this.#tokenReadback = new ReadbackPool(this.#ledger, 8);
    this.#constants = new ConstantPool(this.#ledger);
    this.#weights = new WeightStore(this.#ledger, graph.weights, options.formats, profile);
    const { maxTokens, maxOutputs, contextLength } = options;
    const dims = { tokens: maxTokens, outputs: maxOutputs, batch: 1, context: contextLength, past: contextLength };
    const context = { graph, profile, weights: this.#weights, contextLength };
    this.#context = context;
    this.#decode = new ScheduleRunner(graph, decodeSchedule(context, dims));
    this.#general = new ScheduleRunner(graph, generalSchedule(context, dims));
    this.#checkBindingSizes();
    const sampler = new TokenSampler(device, this.#ledger, this.#logits.shape[1] as number);
    this.#sampler = sampler;
    this.deviceSampling = {
      supports: (choice) => sampler.supports(choice),
      begin: (choice, seen) => {
        this.#checkUsable();
        sampler.begin(choice, seen);
      },
      step: (step) => this.#runSampled(step),
    };
    // `ready` awaits them; until then their failures wait there.
    for (const kernel of this.#kernels()) pipelines.get(kernel).catch(() => undefined);
  }

  /** Allocates caches and activations: what is known to be needed before any weight arrives. */
  async allocate(): Promise<void> {
    const { contextLength } = this.#options;
    const storage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC;
    this.#step = await this.#ledger.create('other', 'step', 16, GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST);
    await this.#constants.allocate([...this.#calls()].flatMap(({ buffers }) => buffers));
    await this.#general.allocate(this.#ledger, 'activations', 'activations');
    await this.#decode.allocate(this.#ledger, 'other', 'decode activations');
    await this.#sampler.allocate();
    const tokenIds = this.#graph.inputs['tokenIds'];
    if (tokenIds !== undefined) this.#decode.place(tokenIds, this.#sampler.tokenBuffer);
    for (const state of this.#graph.states) {
      const bytes = valueBytes(state, { context: contextLength });
      this.#states.set(state.name, await this.#ledger.create('keyValueCache', state.name, bytes, storage));
    }
    // For one row of logits, so that generation never waits for one.
    const logits = this.#graph.outputs['logits']!;
    this.#readback.release(await this.#readback.create(this.#decode.valueBytes(logits)));
    this.#partials = await this.#createPartials(partialsBytes(this.#graph, this.#profile, contextLength));
  }

  #createPartials(bytes: number): Promise<GPUBuffer> {
    return this.#ledger.create('other', 'attention partials', bytes, GPUBufferUsage.STORAGE);
  }

  async setWeight(name: string, matrix: PackedMatrix): Promise<void> {
    this.#checkUsable();
    this.#isReady = false;
    await this.#weights.set(name, matrix);
  }

  async ready(): Promise<void> {
    this.#checkUsable();
    this.#weights.checkComplete();
    const kernels = new Map([...this.#kernels()].map((kernel) => [kernel.key, kernel]));
    const compiling = [...kernels].map(async ([key, kernel]) => [key, await this.#pipelines.get(kernel)] as const);
    const compiled: CompiledPipelines = new Map(await Promise.race([Promise.all(compiling), this.#watch.failure]));
    this.#checkUsable();
    for (const runner of [this.#decode, this.#general]) {
      runner.prepare(this.#device, this.#pipelines, compiled, (reference) => this.#resource(reference));
    }
    this.#sampler.prepare(this.#pipelines, compiled, this.#decode.binding(this.#logits.id));
    this.#isReady = true;
  }

  /** Everything is written and submitted before the promise is returned; only the result is waited for. */
  async run(inputs: StepInputs): Promise<Float32Array> {
    this.#checkUsable();
    const sizes = this.#checkInputs(inputs);
    const bytes = valueBytes(this.#logits, { ...this.#general.schedule.dims, ...sizes });
    // With no room to copy into, waiting for it must come first: the inputs are then copied before.
    const staging = bytes === 0 ? undefined : this.#readback.take(bytes);
    if (bytes > 0 && !staging) {
      const copies = copyInputs(inputs);
      const created = await this.#readback.create(bytes);
      return this.#submitAndRead(copies, sizes, created, bytes);
    }
    return this.#submitAndRead(inputs, sizes, staging, bytes);
  }

  memory(): MemoryUse {
    return this.#ledger.memory;
  }

  profile(): ProgramProfile {
    const sizes: StepSizes = { tokens: 1, past: 0, outputs: 1 };
    const chosen = this.#decode.schedule.operations.map(({ operation, alternatives }) => ({
      operation,
      calls: alternatives.find(({ serves }) => serves(sizes))!.calls,
    }));
    const { formats } = this.#options;
    const kernels: { operation: string; variant: string }[] = chosen.flatMap(({ operation, calls }) =>
      calls.map(({ kernel }) => ({ operation, variant: kernel.key })),
    );
    // As generation runs it where the device chooses the token.
    for (const { key } of this.#sampler.kernels) kernels.push({ operation: 'sample', variant: key });
    return {
      dispatchesPerToken: kernels.length,
      weightBytesPerToken: weightBytesRead(this.#graph, sizes, ({ name, shape }) => {
        const [rows, columns] = shape.length === 1 ? [1, shape[0]!] : (shape as [number, number]);
        return formatBytes(shape.length === 1 ? FORMATS.f32 : formats.get(name)!, rows, columns).total;
      }),
      kernels,
    };
  }

  async measureKernels(past: number): Promise<KernelTiming[]> {
    this.#checkUsable();
    const { contextLength } = this.#options;
    expectRange('past', past, 0, contextLength - 1);
    const { kernelTimings } = await import('./kernel-timings.ts');
    this.#device.queue.writeBuffer(this.#step!, 0, new Uint32Array([1, past, 1, 0]));
    const timing = kernelTimings(
      {
        device: this.#device,
        hasTimestamps: this.#profile.timestamps,
        contextLength,
        decode: this.#decode,
        resolve: (reference) => this.#resource(reference),
      },
      past,
    );
    return this.#watch.guard(timing);
  }

  async tune(options: TuneOptions): Promise<TuningOutcome> {
    this.#checkUsable();
    const { tuneProgram } = await import('./tuning/tune-program.ts');
    return tuneProgram(
      {
        device: this.#device,
        pipelines: this.#pipelines,
        context: this.#context,
        dims: this.#general.schedule.dims,
        decode: this.#decode,
        general: this.#general,
        resolve: (reference) => this.#resource(reference),
        // The smaller one stays until the program goes: a step may be reading it.
        growPartials: async (bytes) => {
          if (bytes > this.#partials!.size) this.#partials = await this.#createPartials(bytes);
        },
      },
      this.#watch,
      options,
    );
  }

  dispose(): void {
    this.#isDisposed = true;
    this.#isReady = false;
    this.#ledger.destroyAll();
  }

  async #submitAndRead(
    inputs: StepInputs,
    sizes: StepSizes,
    staging: GPUBuffer | undefined,
    bytes: number,
  ): Promise<Float32Array> {
    this.#checkUsable();
    const runner = sizes.tokens === 1 && sizes.outputs === 1 ? this.#decode : this.#general;
    this.#writeInputs(runner, inputs, sizes);
    this.#submit(runner, sizes, {
      encoder: (encoder) => {
        if (staging) encoder.copyBufferToBuffer(runner.buffer(this.#logits.id), 0, staging, 0, bytes);
      },
    });
    if (!staging) return new Float32Array(0);
    return this.#read(this.#readback, staging, bytes);
  }

  /** As `run`: all is submitted before the promise is returned, however many steps are under way. */
  async #runSampled({ tokenId, rotary, past, uniform }: SampledStep): Promise<number> {
    this.#checkUsable();
    const inputs = { tokenIds: Int32Array.of(tokenId ?? 0), rotary, outputRows: Int32Array.of(0), past };
    const sizes = this.#checkInputs(inputs);
    this.#writeInputs(this.#decode, tokenId === undefined ? { ...inputs, tokenIds: NONE } : inputs, sizes);
    this.#sampler.write(uniform);
    const staging = this.#tokenReadback.takeNow(4);
    this.#submit(this.#decode, sizes, {
      pass: (pass) => this.#sampler.encode(pass),
      encoder: (encoder) => encoder.copyBufferToBuffer(this.#sampler.tokenBuffer, 0, staging, 0, 4),
    });
    return this.#sampler.checked(await this.#read(this.#tokenReadback, staging, 4));
  }

  /** What a staging buffer brings, once it is there; or why it never comes. */
  async #read(pool: ReadbackPool, staging: GPUBuffer, bytes: number): Promise<Float32Array<ArrayBuffer>> {
    try {
      const numbers = await this.#watch.guard(pool.read(staging, bytes));
      this.#watch.check();
      pool.release(staging);
      return numbers;
    } catch (error) {
      this.#ledger.destroy(staging);
      if (!this.#isDisposed) await this.#watch.settle();
      this.#checkUsable();
      throw error instanceof WpError ? error : deviceLostError(String(error));
    }
  }

  #writeInputs(runner: ScheduleRunner, { tokenIds, rotary, outputRows }: StepInputs, sizes: StepSizes): void {
    const { queue } = this.#device;
    queue.writeBuffer(this.#step!, 0, new Uint32Array([sizes.tokens, sizes.past, sizes.outputs, 0]));
    for (const [name, numbers] of Object.entries({ tokenIds, rotary, outputRows })) {
      const id = this.#graph.inputs[name];
      if (id === undefined || numbers.length === 0) continue;
      queue.writeBuffer(runner.buffer(id), 0, numbers.buffer as ArrayBuffer, numbers.byteOffset, numbers.byteLength);
    }
  }

  #submit(runner: ScheduleRunner, sizes: StepSizes, end: StepEnd): void {
    const calls = runner.callsFor(sizes);
    const most = sizes.tokens > 1 ? DISPATCHES_PER_SUBMIT.manyTokens : DISPATCHES_PER_SUBMIT.oneToken;
    for (let start = 0; start < calls.length; start += most) {
      const encoder = this.#device.createCommandEncoder();
      const pass = encoder.beginComputePass();
      for (const { kernel, pipeline, bindGroup } of calls.slice(start, start + most)) {
        const workgroups = kernel.workgroups(sizes);
        if (workgroups.includes(0)) continue;
        pass.setPipeline(pipeline);
        pass.setBindGroup(0, bindGroup);
        pass.dispatchWorkgroups(...workgroups);
      }
      const isLast = start + most >= calls.length;
      if (isLast) end.pass?.(pass);
      pass.end();
      if (isLast) end.encoder?.(encoder);
      this.#device.queue.submit([encoder.finish()]);
    }
  }

  #resource(reference: Parameters<ResolveBuffer>[0]): GPUBufferBinding {
    switch (reference.kind) {
      case 'step':
        return { buffer: this.#step! };
      case 'partials':
        return { buffer: this.#partials! };
      case 'constants':
        return this.#constants.get(reference.words);
      case 'state':
        return { buffer: this.#states.get(reference.name)! };
      case 'vector':
        return { buffer: this.#weights.vector(reference.weight) };
      case 'matrix':
        return { buffer: this.#weights.matrix(reference.weight, reference.piece)[reference.part]! };
      default:
        return unreachable(reference);
    }
  }

  get #logits(): Value {
    return this.#graph.values[this.#graph.outputs['logits']!]!;
  }

  *#kernels(): Generator<KernelInstance> {
    for (const { kernel } of this.#calls()) yield kernel;
    yield* this.#sampler.kernels;
  }

  *#calls(): Generator<KernelCall> {
    yield* this.#decode.calls();
    yield* this.#general.calls();
  }

  #checkUsable(): void {
    if (this.#isDisposed) throw new WpError('disposed', 'The program was disposed and used again.');
    this.#watch.check();
  }

  #checkBindingSizes(): void {
    const { maxStorageBindingBytes } = this.#profile;
    const states = this.#graph.states.map((state) => ({
      name: state.name,
      bytes: valueBytes(state, this.#general.schedule.dims),
      hint: 'Use a shorter context.',
    }));
    const values = this.#graph.values.map(({ id, name }) => ({
      name,
      bytes: this.#general.valueBytes(id),
      hint: 'Use shorter prefill chunks or fewer outputs a step.',
    }));
    const tooLarge = [...states, ...values].find(({ bytes }) => bytes > maxStorageBindingBytes);
    if (!tooLarge) return;
    throw new WpError(
      'out-of-memory',
      `${tooLarge.name} takes ${tooLarge.bytes} bytes; this GPU's kernels see at most ${maxStorageBindingBytes} at once.`,
      tooLarge.hint,
      { actual: tooLarge.bytes, allowed: maxStorageBindingBytes, name: tooLarge.name },
    );
  }

  #checkInputs(inputs: StepInputs): StepSizes {
    if (!this.#isReady) throw new WpError('internal', 'A program was run before it was ready.');
    return checkInputs(inputs, this.#options, this.#graph);
  }
}
