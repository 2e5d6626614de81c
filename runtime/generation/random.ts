// A small seeded generator of random numbers: xoshiro128** (Blackman and Vigna, 2018, public domain,
// https://prng.di.unimi.it), its state filled by splitmix64 so that neighbouring seeds give unrelated streams.
// The same seed gives the same numbers on every engine, since only integer arithmetic is used.

export interface Random {
  /** Uniform in [0, 1), with 53 bits. */
  next(): number;
}

/** @param seed any integer, negative ones and those beyond 2^53 included (taken modulo 2^64). */
export function createRandom(seed: number): Random {
  return xoshiro128(seedState(seed));
}

/** A seed for those who gave none. */
export function randomSeed(): number {
  return crypto.getRandomValues(new Uint32Array(1))[0] ?? 0;
}

/** The generator over a state of four 32-bit words, not all zero. `nextWord` is exposed for its test vectors. */
export function xoshiro128(state: Uint32Array): Random & { nextWord(): number } {
  let [a = 0, b = 0, c = 0, d = 0] = state;
  const nextWord = (): number => {
    const result = Math.imul(rotateLeft(Math.imul(b, 5), 7), 9) >>> 0;
    const shifted = b << 9;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= shifted;
    d = rotateLeft(d, 11);
    return result;
  };
  return {
    nextWord,
    next() {
      const high = nextWord() >>> 5;
      const low = nextWord() >>> 6;
      return (high * 2 ** 26 + low) * 2 ** -53;
    },
  };
}

/** Four words from two outputs of splitmix64. */
export function seedState(seed: number): Uint32Array {
  const state = new Uint32Array(4);
  let counter = BigInt.asUintN(64, BigInt(seed));
  for (let i = 0; i < 2; i++) {
    counter = BigInt.asUintN(64, counter + 0x9e3779b97f4a7c15n);
    let word = counter;
    word = BigInt.asUintN(64, (word ^ (word >> 30n)) * 0xbf58476d1ce4e5b9n);
    word = BigInt.asUintN(64, (word ^ (word >> 27n)) * 0x94d049bb133111ebn);
    word ^= word >> 31n;
    state[2 * i] = Number(word & 0xffffffffn);
    state[2 * i + 1] = Number(word >> 32n);
  }
  return state;
}

function rotateLeft(word: number, bits: number): number {
  return (word << bits) | (word >>> (32 - bits));
}
