// Where threads wait for each other: before each step, and between the calls of a tape. A waiting thread first looks again for
// a few microseconds, since most waits are that short, and then sleeps until it is woken, so that it does not burn a battery.

/** Words of the barrier, from BARRIER_ADDRESS on. */
const WORD = { arrived: 0, phase: 1, step: 2, state: 3 } as const;

export const BARRIER_WORDS = 4;

/** Values of the state word. */
const RUNNING = 0;
const STOPPED = 1;
const FAILED = 2;

/** Looks before it sleeps; one takes 10 to 20 ns. */
const SPINS = 1000;
/** A sleeper looks up this often whether another thread has failed. */
const CHECK_MS = 200;

export class Barrier {
  #phase = 0;

  constructor(
    /** BARRIER_WORDS words of shared memory. */
    private readonly words: Int32Array<SharedArrayBuffer>,
    private readonly threads: number,
  ) {}

  /** Returns when all threads have called it. Throws when one of them failed. */
  wait(): void {
    const next = (this.#phase + 1) | 0;
    if (Atomics.add(this.words, WORD.arrived, 1) + 1 === this.threads) {
      Atomics.store(this.words, WORD.arrived, 0);
      Atomics.store(this.words, WORD.phase, next);
      Atomics.notify(this.words, WORD.phase);
    } else {
      this.#sleepWhile(WORD.phase, this.#phase);
    }
    this.#phase = next;
  }

  /** Thread 0: lets the others begin a step. */
  startStep(): void {
    Atomics.add(this.words, WORD.step, 1);
    Atomics.notify(this.words, WORD.step);
  }

  /** The others: waits for a step after step number `seen`; returns its number, or undefined when there is no more. */
  nextStep(seen: number): number | undefined {
    this.#sleepWhile(WORD.step, seen);
    return Atomics.load(this.words, WORD.state) === RUNNING ? Atomics.load(this.words, WORD.step) : undefined;
  }

  /** Ends the threads that wait for a step. */
  stop(): void {
    Atomics.store(this.words, WORD.state, STOPPED);
    this.startStep();
  }

  /** Says that this thread cannot go on, so that no other waits for it for ever. */
  fail(): void {
    Atomics.store(this.words, WORD.state, FAILED);
    Atomics.notify(this.words, WORD.phase);
    Atomics.notify(this.words, WORD.step);
  }

  #sleepWhile(word: number, value: number): void {
    for (let i = 0; i < SPINS; i++) if (Atomics.load(this.words, word) !== value) return;
    while (Atomics.load(this.words, word) === value) {
      if (Atomics.load(this.words, WORD.state) === FAILED)
        throw new Error('Another thread of the WASM backend failed.');
      Atomics.wait(this.words, word, value, CHECK_MS);
    }
  }
}
