/** Seeded random numbers for tests (mulberry32): a failure comes back with the same seed. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** Uniform in [0, 1). */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  /** An integer from `least` to `most`, both included. */
  integer(least: number, most: number): number {
    return least + Math.floor(this.next() * (most - least + 1));
  }

  boolean(): boolean {
    return this.next() < 0.5;
  }

  /** Uniform in [−amplitude, amplitude). */
  floats(count: number, amplitude: number): Float32Array {
    return Float32Array.from({ length: count }, () => (this.next() * 2 - 1) * amplitude);
  }
}
