// Where threads wait for each other: before each step, and between the calls of a tape.
//
// The policy of waiting, so that speed does not burn a battery: a thread looks again and again for a bounded time, and then
// sleeps until it is woken. Between calls that time is 100 µs, since the others are at work and to wake a thread takes half as
// long; between steps it is 50 µs, enough for the next token to be chosen, so that a pause of the model (the page paints, a
// person reads) finds all threads asleep. Whoever arrives last wakes the others only if one does sleep.

/** Words of the barrier, from BARRIER_ADDRESS on. */
const WORD = { arrived: 0, phase: 1, step: 2, state: 3, sleepers: 4 } as const;

export const BARRIER_WORDS = 5;

/** Values of the state word. */
const RUNNING = 0;
const STOPPED = 1;
const FAILED = 2;

const LOOK_MS = { phase: 0.1, step: 0.05 } as const;
/** Looks between two at the clock. */
const LOOKS = 64;
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
      this.#wake(WORD.phase);
    } else {
      this.#sleepWhile(WORD.phase, this.#phase, LOOK_MS.phase);
    }
    this.#phase = next;
  }

  /** Thread 0: lets the others begin a step. */
  startStep(): void {
    Atomics.add(this.words, WORD.step, 1);
    this.#wake(WORD.step);
  }

  /** The others: waits for a step after step number `seen`; returns its number, or undefined when there is no more. */
  nextStep(seen: number): number | undefined {
    this.#sleepWhile(WORD.step, seen, LOOK_MS.step);
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

  /** A sleeper counts itself before it looks for the last time, so none is missed. */
  #wake(word: number): void {
    if (Atomics.load(this.words, WORD.sleepers) > 0) Atomics.notify(this.words, word);
  }

  #sleepWhile(word: number, value: number, lookMs: number): void {
    const until = performance.now() + lookMs;
    do {
      for (let i = 0; i < LOOKS; i++) if (Atomics.load(this.words, word) !== value) return;
    } while (performance.now() < until);
    Atomics.add(this.words, WORD.sleepers, 1);
    try {
      while (Atomics.load(this.words, word) === value) {
        if (Atomics.load(this.words, WORD.state) === FAILED) {
          throw new Error('Another thread of the WASM backend failed.');
        }
        Atomics.wait(this.words, word, value, CHECK_MS);
      }
    } finally {
      Atomics.sub(this.words, WORD.sleepers, 1);
    }
  }
}
