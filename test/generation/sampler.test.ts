import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { kthLargest, likeliestUpTo } from '../../runtime/generation/partial-selection.ts';
import { createRandom, seedState, xoshiro128 } from '../../runtime/generation/random.ts';
import {
  candidates,
  likeliest,
  penalizeRepetition,
  Sampler,
  type SamplingOptions,
} from '../../runtime/generation/sampler.ts';

interface Goldens {
  seen: number[];
  logits: Record<string, (number | null)[]>;
  cases: { logits: string; options: SamplingOptions; tokens: number[]; probabilities: number[]; count?: number }[];
}

// Made by ../fixtures/generation/make_sampling.py with transformers.
const goldens = JSON.parse(
  readFileSync(new URL('../fixtures/generation/sampling.json', import.meta.url), 'utf8'),
) as Goldens;

function logitsOf(name: string): Float32Array {
  return Float32Array.from(goldens.logits[name]!, (value) => value ?? -Infinity);
}

const OPTIONS: SamplingOptions = { temperature: 1, topK: 0, topP: 1, minP: 0, repetitionPenalty: 1 };

describe('candidates', () => {
  for (const name of Object.keys(goldens.logits)) {
    it(`keeps the tokens and probabilities that transformers keeps: ${name}`, () => {
      const cases = goldens.cases.filter((golden) => golden.logits === name);
      assert.ok(cases.length > 0);
      for (const { options, tokens, probabilities, count } of cases) {
        const logits = logitsOf(name);
        penalizeRepetition(logits, new Set(goldens.seen), options.repetitionPenalty);
        const found = candidates(logits, options);
        const label = JSON.stringify(options);
        assert.equal(found.tokens.length, count ?? tokens.length, label);
        const probabilityOf = new Map(Array.from(found.tokens, (token, i) => [token, found.probabilities[i]!]));
        for (const [i, token] of tokens.entries()) {
          const actual = probabilityOf.get(token) ?? 0;
          const expected = probabilities[i]!;
          // The logits of the golden were penalised in float64, ours in float32.
          assert.ok(
            Math.abs(actual - expected) <= 2e-6 * expected + 1e-12,
            `${label}: token ${token}: ${actual}, not ${expected}`,
          );
        }
        const sum = found.probabilities.reduce((a, b) => a + b, 0);
        assert.ok(Math.abs(sum - 1) < 1e-12, `${label}: the probabilities sum to ${sum}`);
      }
    });
  }

  it('does not overflow at extreme logits and temperatures', () => {
    const logits = Float32Array.of(3e38, -3e38, 2.9e38, -Infinity);
    for (const temperature of [1e-30, 1, 100]) {
      const { tokens, probabilities } = candidates(logits, { ...OPTIONS, temperature });
      assert.deepEqual([...tokens], [0]);
      assert.deepEqual([...probabilities], [1]);
    }
  });
});

describe('Sampler', () => {
  it('takes the likeliest at temperature 0, after the penalty', () => {
    const sampler = new Sampler({ ...OPTIONS, temperature: 0, repetitionPenalty: 2 }, createRandom(0));
    sampler.observe([1]);
    const logits = (): Float32Array => Float32Array.of(3, 5, 2, -1);
    assert.equal(sampler.sample(logits()), 0, 'token 1 has appeared: 5 becomes 2.5');
    assert.equal(sampler.sample(logits()), 1, '3 becomes 1.5, 5 becomes 2.5');
    assert.equal(likeliest(Float32Array.of(1, 7, 7)), 1, 'the first of equals');
  });

  it('draws tokens as often as their probabilities say', () => {
    const weights = [0.5, 0.25, 0.15, 0.07, 0.03];
    for (const options of [OPTIONS, { ...OPTIONS, topK: 5 }, { ...OPTIONS, topP: 0.9999 }]) {
      const sampler = new Sampler(options, createRandom(42));
      const counts = weights.map(() => 0);
      const draws = 20_000;
      for (let i = 0; i < draws; i++) counts[sampler.sample(Float32Array.from(weights, Math.log))]!++;
      const chiSquare = weights.reduce((sum, p, i) => sum + (counts[i]! - draws * p) ** 2 / (draws * p), 0);
      // 18.47 is the 0.1 % point for 4 degrees of freedom; the seed is fixed, so this does not flicker.
      assert.ok(chiSquare < 18.47, `counts ${counts.join(', ')}: chi-square ${chiSquare}`);
    }
  });

  it('refuses logits that are not numbers, in every mode', () => {
    for (const options of [
      { ...OPTIONS, temperature: 0 },
      { ...OPTIONS, topK: 2 },
      { ...OPTIONS, topP: 0.5 },
      OPTIONS,
    ]) {
      for (const bad of [[1, NaN, 2], [1, Infinity], [-Infinity, -Infinity], [NaN]]) {
        const sampler = new Sampler(options, createRandom(0));
        assert.throws(() => sampler.sample(Float32Array.from(bad)), { code: 'internal' }, `${bad.join()}`);
      }
    }
  });
});

describe('partial selection', () => {
  const random = createRandom(5);

  it('finds the k-th largest, with ties', () => {
    for (let round = 0; round < 200; round++) {
      const length = 1 + Math.floor(random.next() * 40);
      const values = Float32Array.from({ length }, () => Math.floor(random.next() * 10) - 5);
      const sorted = [...values].sort((a, b) => b - a);
      for (let k = 1; k <= length; k++) assert.equal(kthLargest(values, k), sorted[k - 1]);
    }
  });

  it('finds the likeliest up to a mass, like sorting everything', () => {
    for (let round = 0; round < 300; round++) {
      const length = 1 + Math.floor(random.next() * 300);
      const spread = 10 ** (random.next() * 3 - 1);
      const exponents = Array.from({ length }, () => -random.next() * spread);
      const highest = Math.max(...exponents);
      const weights = Float64Array.from(exponents, (e) => Math.exp(e - highest));
      const smallest = random.next() < 0.5 ? 0 : random.next();
      const mass = random.next() * weights.reduce((a, b) => a + b, 0);
      const order = [...weights.keys()].sort((a, b) => weights[b]! - weights[a]!);
      const expected: number[] = [];
      for (let sum = 0; expected.length < length && sum < mass;) {
        expected.push(order[expected.length]!);
        sum += weights[expected.at(-1)!]!;
      }
      const kept = expected.filter((index, i) => i === 0 || weights[index]! >= smallest);
      assert.deepEqual([...likeliestUpTo(weights, mass, smallest)], kept);
    }
  });
});

describe('random numbers', () => {
  it('are those of the reference implementation of xoshiro128**', () => {
    // Verification data of github.com/edorfaus/xoshiro-6502, made with the C reference.
    const { nextWord } = xoshiro128(Uint32Array.of(0x964d4a0c, 0xd40ab895, 0xad7fdecb, 0x3006f0f0));
    assert.deepEqual(
      [nextWord(), nextWord(), nextWord(), nextWord()],
      [0xf1391922, 0x6fe53806, 0xa5be2840, 0xf510ee70],
    );
  });

  it('are seeded by splitmix64', () => {
    // Its first two outputs for this seed, as published with the algorithm on Rosetta Code.
    const words = seedState(1234567);
    const outputs = [0, 2].map((i) => (BigInt(words[i + 1]!) << 32n) | BigInt(words[i]!));
    assert.deepEqual(outputs, [6457827717110365317n, 3203168211198807973n]);
  });

  it('are uniform in [0, 1), and differ between neighbouring, negative and huge seeds', () => {
    const first = new Set<number>();
    for (const seed of [0, 1, 2, -1, 2 ** 31, 2 ** 53, -(2 ** 60), 2 ** 32]) first.add(createRandom(seed).next());
    assert.equal(first.size, 8);
    const random = createRandom(9);
    let sum = 0;
    for (let i = 0; i < 10_000; i++) {
      const x = random.next();
      assert.ok(x >= 0 && x < 1);
      sum += x;
    }
    assert.ok(Math.abs(sum / 10_000 - 0.5) < 0.01);
  });
});
