// What tuning measures: the operations of a program that a key of the ladder decides, lowered with one configuration or
// another, and bound to the program's own weights. Every layer's matrix is read in turn, as in a real step, so that none is
// faster for lying in a cache. What kernels write beside activations, the KV cache, is a scratch buffer here.

import { abortError } from '../../../errors.ts';
import { valueBytes } from '../../../graph/shapes.ts';
import type { BufferLedger } from '../buffers.ts';
import type { DeviceProfile, TunedChoices } from '../device-profile.ts';
import type { BufferReference, KernelCall, LoweredOperation } from '../kernel-calls.ts';
import { STEP_BYTES, type StepSizes } from '../kernels/kernel.ts';
import { partialsBytes } from '../lower-attention.ts';
import type { PipelineCache } from '../pipelines.ts';
import type { ResolveBuffer, ScheduleRunner } from '../schedule-runner.ts';
import type { Dispatch } from './gpu-timer.ts';
import type { LoweringContext } from '../lowering-context.ts';
import { lowerFused } from '../lower-fused.ts';
import { lowerOperation } from '../lowering.ts';
import { decodeOperations, type Schedule } from '../schedule.ts';
import { candidatesFor, type Configuration } from './candidates.ts';

/** What a program shows of itself to be tuned. */
export interface TunableProgram {
  device: GPUDevice;
  pipelines: PipelineCache;
  context: Omit<LoweringContext, 'step'>;
  dims: Schedule['dims'];
  decode: ScheduleRunner;
  general: ScheduleRunner;
  resolve: ResolveBuffer;
  /** Room for the parts of split attention. */
  growPartials(bytes: number): Promise<void>;
}

/** A kind of step, and the kernels whose configurations it decides. */
export interface StepKind {
  runner: 'decode' | 'general';
  sizes: StepSizes;
  kernels: RegExp;
}

/** Operations that one key decides, as the standard has them and as the candidates would. */
export interface Workload {
  key: string;
  sizes: StepSizes;
  /** What the ladder has of its own. */
  ladder: Configuration;
  standard: Trial;
  candidates: readonly Trial[];
}

export interface Trial {
  /** Undefined: the standard. */
  configuration: Configuration | undefined;
  /** Of each operation. */
  calls: readonly (readonly KernelCall[])[];
  runner: ScheduleRunner;
}

/** Of a key's operations at most these are measured: enough layers that their weights do not all stay in a cache. */
const MOST_OPERATIONS = 16;
/** A context in which attention reads enough to be measured. */
const PAST = 1023;
const FEW_TOKENS = 128;
const MANY_TOKENS = 512;

/** All workloads whose kernels depend on a choice: decoding first, and first what a step spends most on. */
export function workloadsOf(program: TunableProgram, profile: DeviceProfile): Workload[] {
  const standard = record(program, { ...profile, tuned: undefined });
  const keys = [...new Set(standard.flatMap(({ keys: all }) => [...all.keys()]))];
  const candidates = new Map(keys.map((key) => [key, candidatesFor(profile, key)]));
  const most = Math.max(0, ...[...candidates.values()].map((all) => all.length));
  // Keys do not meet in a kernel, so the n-th candidates of all keys are lowered together.
  const lowered = Array.from({ length: most }, (_, n) =>
    record(program, { ...profile, tuned: { get: (key) => candidates.get(key)?.[n] } }),
  );
  const workloads: Workload[] = [];
  for (const { runner: name, sizes, kernels } of stepKinds(program)) {
    const runner = program[name];
    const found: (Workload & { weight: number })[] = [];
    for (const key of keys.filter((each) => kernels.test(each))) {
      const all = standard.filter((each) => each.runner === name && each.keys.has(key));
      const own = all.slice(0, MOST_OPERATIONS);
      const callsOf = (from: readonly Recorded[]): Trial['calls'] =>
        own.map(({ index }) =>
          served(
            from.find((each) => each.runner === name && each.index === index)!,
            sizes,
          ),
        );
      const calls = callsOf(standard);
      const seen = new Set([textOf(calls)]);
      const trials: Trial[] = [];
      candidates.get(key)!.forEach((configuration, n) => {
        const others = callsOf(lowered[n]!);
        const text = textOf(others);
        if (seen.has(text)) return;
        seen.add(text);
        trials.push({ configuration, calls: others, runner });
      });
      if (trials.length === 0) continue;
      const first = { configuration: undefined, calls, runner };
      const ladder = own[0]!.keys.get(key)!;
      const weight = all.length * elementsOf(key);
      found.push({ key, sizes, ladder, standard: first, candidates: trials, weight });
    }
    workloads.push(...found.sort((a, b) => b.weight - a.weight));
  }
  return workloads;
}

/** Of a matrix; more than any for attention, whose cost grows with the context. */
function elementsOf(key: string): number {
  const [, rows, columns] = /^mat.* (\d+)×(\d+)$/.exec(key) ?? [];
  return rows === undefined ? Infinity : Number(rows) * Number(columns);
}

export function stepKinds({ dims }: TunableProgram): StepKind[] {
  const past = Math.min(PAST, dims.context - 1);
  const prefill = (tokens: number): StepSizes => ({ tokens: Math.min(tokens, dims.tokens), past: 0, outputs: 1 });
  return [
    { runner: 'decode', sizes: { tokens: 1, past, outputs: 1 }, kernels: /^(matvec|attentionDecode)/ },
    { runner: 'general', sizes: prefill(MANY_TOKENS), kernels: /^(matmul|matmulMatrix|attentionPrefill) / },
    { runner: 'general', sizes: prefill(FEW_TOKENS), kernels: /^matmulMatrix-few / },
  ];
}

interface Recorded {
  runner: StepKind['runner'];
  index: number;
  operation: LoweredOperation;
  /** The keys that were asked for while it was lowered, and what the ladder has for them. */
  keys: ReadonlyMap<string, Configuration>;
}

function record(program: TunableProgram, profile: DeviceProfile): Recorded[] {
  let keys = new Map<string, Configuration>();
  const tuned: TunedChoices = {
    get: (key, standard) => {
      keys.set(key, standard as Configuration);
      return profile.tuned?.get(key, standard);
    },
  };
  const recording = { ...profile, tuned };
  const result: Recorded[] = [];
  const add = (runner: StepKind['runner'], lowered: Iterable<LoweredOperation>): void => {
    let index = 0;
    for (const operation of lowered) {
      result.push({ runner, index, operation, keys });
      keys = new Map();
      index += 1;
    }
  };
  const context = { ...program.context, profile: recording };
  add(
    'decode',
    mapped(decodeOperations(context), (each) => lowerFused(each, { ...context, step: 'decode' })),
  );
  add(
    'general',
    mapped(context.graph.operations, (each) => lowerOperation(each, { ...context, step: 'general' })),
  );
  return result;
}

/** The whole of a step, as it is with these choices. */
export function wholeStep(program: TunableProgram, { runner, sizes }: StepKind, profile: DeviceProfile): Trial {
  const operations = record(program, profile).filter((each) => each.runner === runner);
  return { configuration: undefined, runner: program[runner], calls: operations.map((each) => served(each, sizes)) };
}

/** One after another, as they are asked for. */
function* mapped<T, R>(items: readonly T[], map: (item: T) => R): Generator<R> {
  for (const item of items) yield map(item);
}

function served({ operation }: Recorded, sizes: StepSizes): readonly KernelCall[] {
  return operation.alternatives.find(({ serves }) => serves(sizes))!.calls;
}

function textOf(calls: Trial['calls']): string {
  return calls
    .flat()
    .map(({ kernel }) => kernel.key)
    .join('\n');
}

/** Buffers that stand in for the program's own where measuring would leave traces. */
export class Scratch {
  readonly #program: TunableProgram;
  readonly #ledger: BufferLedger;
  readonly #steps = new Map<string, GPUBuffer>();
  #states: GPUBuffer[] = [];
  #partials: GPUBuffer | undefined;
  #isOver = false;

  constructor(program: TunableProgram, ledger: BufferLedger) {
    this.#program = program;
    this.#ledger = ledger;
  }

  async allocate(sizesOfAll: readonly StepSizes[], profiles: readonly DeviceProfile[]): Promise<void> {
    const { context, dims } = this.#program;
    const storage = GPUBufferUsage.STORAGE;
    const bytes = Math.max(4, ...context.graph.states.map((state) => valueBytes(state, dims)));
    // Keys and values: an operation has no more.
    for (const name of ['keys', 'values']) {
      this.#states.push(await this.#ledger.create('other', `scratch ${name}`, bytes, storage));
    }
    const partials = profiles.map((profile) => partialsBytes(context.graph, profile, context.contextLength));
    this.#partials = await this.#ledger.create('other', 'scratch partials', Math.max(4, ...partials), storage);
    for (const sizes of sizesOfAll) {
      const words = new Uint8Array(new Uint32Array([sizes.tokens, sizes.past, sizes.outputs, 0]).buffer, 0, STEP_BYTES);
      if (this.#steps.has(keyOf(sizes))) continue;
      this.#steps.set(keyOf(sizes), await this.#ledger.createWith('other', 'step', words, GPUBufferUsage.UNIFORM));
    }
  }

  /** From here on its buffers are gone: trials whose compilers took too long are not made ready any more. */
  end(): void {
    this.#isOver = true;
  }

  /** The trial's calls, ready to be timed. Rejects with an AbortError once all is over. */
  async prepare({ calls, runner }: Trial, sizes: StepSizes): Promise<Dispatch[][]> {
    return Promise.all(calls.map((own) => Promise.all(own.map((call) => this.#dispatch(call, runner, sizes)))));
  }

  async #dispatch({ kernel, buffers }: KernelCall, runner: ScheduleRunner, sizes: StepSizes): Promise<Dispatch> {
    const { device, pipelines } = this.#program;
    const pipeline = await pipelines.get(kernel);
    // Firefox reports an error of the device for a bind group of buffers that were destroyed.
    if (this.#isOver) throw abortError();
    let states = 0;
    const resourceOf = (reference: BufferReference): GPUBufferBinding => {
      if (reference.kind === 'value') return runner.binding(reference.id);
      if (reference.kind === 'step') return { buffer: this.#steps.get(keyOf(sizes))! };
      if (reference.kind === 'state') return { buffer: this.#states[states++]! };
      if (reference.kind === 'partials') return { buffer: this.#partials! };
      return this.#program.resolve(reference);
    };
    const entries = buffers.map((reference, binding) => ({ binding, resource: resourceOf(reference) }));
    const layout = pipelines.layout(kernel.bindings);
    return { kernel, pipeline, bindGroup: device.createBindGroup({ layout, entries }) };
  }
}

const keyOf = ({ tokens, past, outputs }: StepSizes): string => [tokens, past, outputs].join(' ');
