// Tunes a program: measures what candidates.ts lists, on the program's own weights, in the pauses between its steps; takes
// what wins; and checks that whole steps have become no slower. What it measures leaves no trace in the program.

import { isAbortError, throwIfAborted, WpError } from '../../../errors.ts';
import type { TuneOptions, TuningOutcome } from '../../backend.ts';
import type { TuningChoice } from '../../../types.ts';
import { BufferLedger } from '../buffers.ts';
import type { DeviceProfile } from '../device-profile.ts';
import type { DeviceWatch } from '../device-watch.ts';
import { partialsBytes } from '../lower-attention.ts';
import { decodeSchedule, generalSchedule } from '../schedule.ts';
import { candidatesFor } from './candidates.ts';
import { contest, isSlower } from './decide.ts';
import { type Batch, GpuTimer } from './gpu-timer.ts';
import {
  Scratch,
  stepKinds,
  type Trial,
  type TunableProgram,
  wholeStep,
  type Workload,
  workloadsOf,
} from './workloads.ts';

/** A program is idle when it has run no step for so long. */
const IDLE_MS = 250;
/** Dispatches of one batch: more would make encoding them the longer part. */
const MOST_DISPATCHES = 1500;
/** Of the budget; the rest is for the check of whole steps. */
const MEASURING_SHARE = 0.85;
/** For so many times the budget compilers are waited for: a kernel of a few lines takes some of them 0.1 s. */
const COMPILING_SHARE = 4;

export async function tuneProgram(
  program: TunableProgram,
  watch: DeviceWatch,
  options: TuneOptions,
): Promise<TuningOutcome> {
  const tuning = new Tuning(program, watch, options);
  try {
    return await Promise.race([tuning.run(), watch.failure]);
  } catch (thrown) {
    // Some browsers fail what the loss of a device broke before they tell of the loss.
    if (!(thrown instanceof WpError) && !isAbortError(thrown)) await watch.settle();
    throw thrown;
  }
}

/** Not a failure: the rest is left for another time. */
class BudgetSpent extends Error {}

class Tuning {
  readonly #program: TunableProgram;
  readonly #profile: DeviceProfile;
  readonly #watch: DeviceWatch;
  readonly #options: TuneOptions;
  readonly #ledger: BufferLedger;
  readonly #timer: GpuTimer;
  readonly #scratch: Scratch;
  readonly #start = performance.now();
  #pausedMs = 0;
  #compilingMs = 0;
  #limitMs: number;

  constructor(program: TunableProgram, watch: DeviceWatch, options: TuneOptions) {
    this.#program = program;
    this.#profile = program.context.profile;
    this.#watch = watch;
    this.#options = options;
    this.#limitMs = options.budgetMs * MEASURING_SHARE;
    this.#ledger = new BufferLedger(program.device);
    this.#timer = new GpuTimer(program.device, this.#profile.timestamps);
    this.#scratch = new Scratch(program, this.#ledger);
  }

  get #spentMs(): number {
    return performance.now() - this.#start - this.#pausedMs;
  }

  async run(): Promise<TuningOutcome> {
    const { known } = this.#options;
    const workloads = workloadsOf(this.#program, this.#profile).filter(({ key }) => !known.has(key));
    let choices: TuningChoice[] = [];
    try {
      await this.#allocate(workloads);
      // Compiles while the one before is measured.
      const compiling = (workload: Workload | undefined): void =>
        workload && [workload.standard, ...workload.candidates].forEach((trial) => this.#compile(trial));
      compiling(workloads[0]);
      for (const [i, workload] of workloads.entries()) {
        compiling(workloads[i + 1]);
        const choice = await this.#untilSpent(() => this.#choose(workload));
        if (!choice) break;
        choices.push(choice);
      }
      this.#limitMs = Infinity;
      choices = await this.#withoutSlowSteps(choices);
      if (choices.some(({ chosen }) => chosen)) await this.#adopt(this.#with(choices));
    } finally {
      this.#scratch.end();
      this.#ledger.destroyAll();
      this.#forgetLosers(workloads);
      this.#timer.destroy();
    }
    const measured = new Set(choices.map(({ key }) => key));
    return {
      choices,
      remaining: workloads.map(({ key }) => key).filter((key) => !measured.has(key)),
      milliseconds: Math.round(this.#spentMs),
      compilingMilliseconds: Math.round(this.#compilingMs),
      timer: this.#timer.kind,
    };
  }

  async #allocate(workloads: readonly Workload[]): Promise<void> {
    const kinds = stepKinds(this.#program).map(({ sizes }) => sizes);
    const profiles = workloads
      .filter(({ key }) => key.startsWith('attentionDecode'))
      .flatMap(({ key }) =>
        candidatesFor(this.#profile, key).map((own) => ({ ...this.#profile, tuned: new Map([[key, own]]) })),
      );
    await this.#scratch.allocate(kinds, [this.#profile, ...profiles]);
  }

  /** The profile with what is known and what was chosen now. */
  #with(choices: readonly TuningChoice[]): DeviceProfile {
    const chosen = new Map(choices.flatMap(({ key, chosen: own }) => (own ? [[key, own] as const] : [])));
    const { tuned } = this.#profile;
    return { ...this.#profile, tuned: { get: (key, standard) => chosen.get(key) ?? tuned?.get(key, standard) } };
  }

  /** Pipelines of kernels that no step runs are memory of the GPU process. */
  #forgetLosers(workloads: readonly Workload[]): void {
    const { decode, general, pipelines } = this.#program;
    const used = new Set([...decode.calls(), ...general.calls()].map(({ kernel }) => kernel.key));
    for (const { kernel } of workloads.flatMap(({ candidates }) => candidates.flatMap(({ calls }) => calls.flat()))) {
      if (!used.has(kernel.key)) pipelines.forget(kernel);
    }
  }

  #compile({ calls }: Trial): void {
    // Who needs it hears of its failure.
    for (const { kernel } of calls.flat()) this.#program.pipelines.get(kernel).catch(() => undefined);
  }

  async #choose({ key, sizes, ladder, standard, candidates }: Workload): Promise<TuningChoice> {
    const measure = await this.#stopwatch([standard, ...candidates], sizes);
    const { winner, standardMs, bestMs } = await contest(measure.times, standard, candidates);
    const microseconds = (ms: number): number => Math.round((ms * 1e5) / measure.operations) / 100;
    return {
      key,
      standard: ladder,
      chosen: winner?.configuration,
      standardMicroseconds: microseconds(standardMs),
      bestMicroseconds: microseconds(bestMs),
      candidates: candidates.length,
      tokens: sizes.tokens,
    };
  }

  /** Choices for kernels of a step that, as a whole, is slower with them, are taken back. */
  async #withoutSlowSteps(choices: TuningChoice[]): Promise<TuningChoice[]> {
    let kept = choices;
    for (const kind of stepKinds(this.#program)) {
      const own = kept.filter(({ key, chosen }) => chosen && kind.kernels.test(key));
      if (own.length === 0) continue;
      const others = kept.filter((choice) => !own.includes(choice));
      const [before, after] = [others, kept].map((all) => wholeStep(this.#program, kind, this.#with(all)));
      const { times } = await this.#stopwatch([before!, after!], kind.sizes);
      if (await isSlower(times, before!, after!)) {
        kept = kept.map((choice) => (own.includes(choice) ? { ...choice, chosen: undefined } : choice));
      }
    }
    return kept;
  }

  /** Measures any of the trials, all in batches of the same work. */
  async #stopwatch(
    trials: readonly Trial[],
    sizes: Batch['sizes'],
  ): Promise<{ operations: number; times: (chosen: readonly Trial[]) => Promise<number[]> }> {
    const preparing = trials.map(async (trial) => [trial, await this.#scratch.prepare(trial, sizes)] as const);
    const prepared = new Map(await this.#compiled(Promise.all(preparing)));
    const standard = prepared.get(trials[0]!)!;
    const each = standard.flat().length / standard.length;
    let operations = 1;
    let repeats = 1;
    const batch = (trial: Trial): Batch => ({
      dispatches: prepared.get(trial)!.slice(0, operations).flat(),
      sizes,
      repeats,
    });
    const most = Math.max(1, Math.floor(MOST_DISPATCHES / each));
    for (;;) {
      const [ms] = await this.#time([batch(trials[0]!)]);
      const { batchMs } = this.#timer;
      const factor = Math.min(16, (batchMs * 1.2) / Math.max(ms!, 0.02));
      const wanted = Math.min(most, Math.round(operations * repeats * factor));
      if (ms! >= batchMs / 2 || wanted <= operations * repeats) break;
      operations = Math.min(standard.length, Math.max(operations, wanted));
      repeats = Math.max(1, Math.round(wanted / operations));
      if (operations * repeats >= most) break;
    }
    return { operations: operations * repeats, times: (chosen) => this.#time(chosen.map(batch)) };
  }

  /** Milliseconds of each batch, of one sitting in which no step ran. */
  async #time(batches: readonly Batch[]): Promise<number[]> {
    for (;;) {
      await this.#idle();
      const { lastUse } = this.#watch;
      const times = await this.#timer.time(batches, () => this.#idle());
      if (this.#watch.lastUse === lastUse) return times;
    }
  }

  /** Resolves when no step has run for a while; throws when it is time to stop. */
  async #idle(): Promise<void> {
    const start = performance.now();
    for (;;) {
      throwIfAborted(this.#options.signal);
      const { idleMs } = this.#watch;
      if (idleMs >= IDLE_MS) break;
      await new Promise((resolve) => setTimeout(resolve, IDLE_MS - idleMs));
    }
    this.#pausedMs += performance.now() - start;
    if (this.#spentMs > this.#limitMs) throw new BudgetSpent();
  }

  /** What the compilers make. They work beside the GPU, so this is no part of what is measured; but they have a limit too. */
  async #compiled<T>(promise: Promise<T>): Promise<T> {
    const start = performance.now();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const spent = new Promise<never>((_, reject) => {
      if (this.#limitMs === Infinity) return;
      timer = setTimeout(() => reject(new BudgetSpent()), this.#options.budgetMs * COMPILING_SHARE - this.#compilingMs);
    });
    try {
      return await Promise.race([promise, spent]);
    } finally {
      clearTimeout(timer);
      const ms = performance.now() - start;
      this.#compilingMs += ms;
      this.#pausedMs += ms;
    }
  }

  async #untilSpent<T>(work: () => Promise<T>): Promise<T | undefined> {
    try {
      return await work();
    } catch (thrown) {
      if (thrown instanceof BudgetSpent) return undefined;
      throw thrown;
    }
  }

  /** The program's next step runs the kernels of this profile. */
  async #adopt(profile: DeviceProfile): Promise<void> {
    const { device, pipelines, context, dims, decode, general, resolve, growPartials } = this.#program;
    const schedules = [
      [decode, decodeSchedule({ ...context, profile }, dims)],
      [general, generalSchedule({ ...context, profile }, dims)],
    ] as const;
    const kernels = schedules.flatMap(([, { operations }]) =>
      operations.flatMap(({ alternatives }) => alternatives.flatMap(({ calls }) => calls.map(({ kernel }) => kernel))),
    );
    const compiled = new Map(
      await Promise.all(kernels.map(async (kernel) => [kernel.key, await pipelines.get(kernel)] as const)),
    );
    await growPartials(partialsBytes(context.graph, profile, context.contextLength));
    // Between two answers: one that has begun ends with the kernels that it began with.
    await this.#idle();
    for (const [runner, schedule] of schedules) {
      runner.schedule = schedule;
      runner.prepare(device, pipelines, compiled, resolve);
    }
  }
}
