// Tuning of a model's kernels, from the host's side: what is known of this device is read before the model is compiled, what is
// not known is measured when the model is idle, or when it is asked for. A chunk of its own: pages on WASM never fetch it.

import type { Backend, Program } from '../backends/backend.ts';
import { isAbortError, WpError } from '../errors.ts';
import { readTuning, TUNING_VERSION, type TuningIdentity, writeTuning } from '../planning/tuning-store.ts';
import type { Capabilities, LoadOptions, TuningOptions, TuningRecord, TuningReport } from '../types.ts';

/** Milliseconds of measuring in the background, and by default when asked for. */
const BUDGET_MS = 1000;
/** For so long after a load the page has other things to do. */
const BACKGROUND_DELAY_MS = 2000;

type Mode = NonNullable<LoadOptions['tuning']>;

/** A `TuningOptions` as it crosses the port. */
export type TuningWish = Omit<TuningOptions, 'signal'>;

export class DeviceTuning {
  readonly #identity: TuningIdentity;
  #record: TuningRecord | undefined;

  private constructor(identity: TuningIdentity, record: TuningRecord | undefined) {
    this.#identity = identity;
    this.#record = record;
  }

  /** What is known of the backend's device; undefined where it is to be left as it is. */
  static of(backend: Backend, browser: Capabilities['browser'], mode: 'now'): Promise<DeviceTuning>;
  static of(backend: Backend, browser: Capabilities['browser'], mode: Mode): Promise<DeviceTuning | undefined>;
  static async of(
    { name: backend, tuning }: Backend,
    { name, version }: Capabilities['browser'],
    mode: Mode,
  ): Promise<DeviceTuning | undefined> {
    // A processor that plays GPU has nothing to tune, and all programs of the machine to disturb.
    if (mode === 'off' || (mode === 'auto' && tuning?.isSoftware)) return undefined;
    if (!tuning)
      throw new WpError('unsupported-operation', `Kernels are tuned on WebGPU; this model runs on ${backend}.`);
    const identity = { adapter: tuning.adapter, browser: `${name} ${version}` };
    return new DeviceTuning(identity, await readTuning(identity).catch(unstored));
  }

  /** Choices for `CompileOptions.tuned`. */
  get choices(): Record<string, unknown> {
    return Object.fromEntries((this.#record?.choices ?? []).map(({ key, chosen }) => [key, chosen]));
  }

  /** Measures what is not known, or all anew, and keeps what it finds. */
  async tune(
    program: Program,
    { budgetMs = BUDGET_MS, again = false }: TuningWish,
    signal: AbortSignal,
  ): Promise<TuningReport> {
    const before = this.#record;
    const known = again ? [] : [...(before?.choices ?? []).map(({ key }) => key), ...(before?.skipped ?? [])];
    const outcome = await program.tune!({ budgetMs, known: new Set(known), signal });
    const { choices, remaining, milliseconds, compilingMilliseconds, timer } = outcome;
    const measured = choices.map(({ key }) => key);
    // What does not fit a whole budget would spend the next one as well.
    const skipped = measured.length === 0 ? remaining.slice(0, 1) : [];
    // Another model may have written since.
    const latest = await readTuning(this.#identity).catch(unstored);
    const isOld = (key: string): boolean => !measured.includes(key) && !skipped.includes(key);
    const record: TuningRecord = {
      ...this.#identity,
      version: TUNING_VERSION,
      measuredAt: new Date().toISOString(),
      timer,
      choices: [...(latest?.choices ?? []).filter(({ key }) => isOld(key)), ...choices],
      skipped: [...(latest?.skipped ?? []).filter(isOld), ...skipped],
    };
    if (measured.length + skipped.length > 0) await writeTuning(record).catch(unstored);
    this.#record = record;
    return { record, measured, remaining, milliseconds, compilingMilliseconds };
  }

  /** Tunes once, a while after the load. What goes wrong with it is no failure of the model: it is said in the console. */
  tuneInBackground(session: { readonly program: Program }, signal: AbortSignal): void {
    const start = setTimeout(() => {
      this.tune(session.program, {}, signal).catch((thrown: unknown) => {
        if (isAbortError(thrown) || signal.aborted) return;
        // eslint-disable-next-line no-console -- nobody waits for this promise, and the model is sound.
        console.warn('wp-models: tuning stopped.', thrown);
      });
    }, BACKGROUND_DELAY_MS);
    signal.addEventListener('abort', () => clearTimeout(start), { once: true });
  }
}

/** A page may be denied its storage: models run there all the same, and tune anew each time. */
function unstored(reason: unknown): undefined {
  // eslint-disable-next-line no-console -- a report of the page's settings, not a failure of the call.
  console.warn('wp-models: the choices of tuning cannot be stored here.', reason);
}
