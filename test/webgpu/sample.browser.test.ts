// The device's choice of a token against the host's sampler, on the same logits, options and uniform numbers.

import { expect } from '@esm-bundle/chai';
import type { SamplingChoice } from '../../runtime/backends/backend.ts';
import { BufferLedger } from '../../runtime/backends/webgpu/buffers.ts';
import { createWebGpuBackend, type WebGpuBackend } from '../../runtime/backends/webgpu/index.ts';
import { sampleGroups } from '../../runtime/backends/webgpu/kernels/sample.ts';
import { PipelineCache } from '../../runtime/backends/webgpu/pipelines.ts';
import { ReadbackPool } from '../../runtime/backends/webgpu/readback.ts';
import { TokenSampler } from '../../runtime/backends/webgpu/token-sampler.ts';
import { WpError } from '../../runtime/errors.ts';
import { candidates, likeliest, penalizeRepetition } from '../../runtime/generation/sampler.ts';
import { Random } from '../support/random.ts';
import { skip } from '../support/skip.ts';
import { missingGpu } from './missing-gpu.ts';

const PLAIN: SamplingChoice = { temperature: 0.8, topK: 40, topP: 1, minP: 0, repetitionPenalty: 1 };
const GREEDY: SamplingChoice = { ...PLAIN, temperature: 0 };
const UNIFORMS = [0, 0.07, 0.31, 0.5, 0.77, 0.99, 0.99999994];
/** Of cumulative probabilities: sums of up to 512 weights in f32, and exp of the device. */
const ROUNDING = 1e-5;

/** The device's side: logits that a test writes, and the two kernels. */
class Device {
  readonly #device: GPUDevice;
  readonly #sampler: TokenSampler;
  readonly #ledger: BufferLedger;
  readonly #readback: ReadbackPool;
  readonly #logits: GPUBuffer;

  private constructor(device: GPUDevice, sampler: TokenSampler, ledger: BufferLedger, logits: GPUBuffer) {
    this.#device = device;
    this.#sampler = sampler;
    this.#ledger = ledger;
    this.#readback = new ReadbackPool(ledger, 8);
    this.#logits = logits;
  }

  static async open(device: GPUDevice, pipelines: PipelineCache, vocabulary: number): Promise<Device> {
    const ledger = new BufferLedger(device);
    const sampler = new TokenSampler(device, ledger, vocabulary);
    await sampler.allocate();
    const compiled = new Map<string, GPUComputePipeline>();
    for (const kernel of sampler.kernels) compiled.set(kernel.key, await pipelines.get(kernel));
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST;
    // Behind the logits lies what would win: what reads past the end is seen.
    const logits = await ledger.create('other', 'logits', 4 * vocabulary + 256, usage);
    device.queue.writeBuffer(logits, 4 * vocabulary, new Float32Array(64).fill(1e30));
    sampler.prepare(pipelines, compiled, { buffer: logits });
    return new Device(device, sampler, ledger, logits);
  }

  setLogits(logits: Float32Array): void {
    this.#device.queue.writeBuffer(this.#logits, 0, logits as Float32Array<ArrayBuffer>);
  }

  begin(choice: SamplingChoice, seen: Iterable<number> = []): void {
    this.#sampler.begin(choice, seen);
  }

  /** Submits at once. */
  async sample(uniform: number): Promise<number> {
    this.#sampler.write(uniform);
    const encoder = this.#device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    this.#sampler.encode(pass);
    pass.end();
    const staging = this.#readback.takeNow(4);
    encoder.copyBufferToBuffer(this.#sampler.tokenBuffer, 0, staging, 0, 4);
    this.#device.queue.submit([encoder.finish()]);
    const token = await this.#readback.read(staging, 4);
    this.#readback.release(staging);
    return this.#sampler.checked(token);
  }

  close(): void {
    this.#ledger.destroyAll();
  }
}

/** What is wrong with a token: it must be the host's, or its neighbour where `uniform` stands at the edge between the two. */
function problem(token: number, logits: Float32Array, choice: SamplingChoice, uniform: number): string | undefined {
  if (choice.temperature === 0) {
    return token === likeliest(logits) ? undefined : `${token} is not the likeliest, ${likeliest(logits)}`;
  }
  const { tokens, probabilities } = candidates(logits, choice);
  const at = tokens.indexOf(token);
  if (at < 0) return `${token} is none of the ${tokens.length} that may be drawn`;
  const before = probabilities.slice(0, at).reduce((sum, p) => sum + p, 0);
  const isThere = uniform >= before - ROUNDING && uniform <= before + probabilities[at]! + ROUNDING;
  return isThere ? undefined : `${token} lies at ${before}, not ${uniform}, with ${JSON.stringify(choice)}`;
}

/** As a language model's: most around zero, a few far above. */
function randomLogits(random: Random, count: number): Float32Array {
  return Float32Array.from({ length: count }, () => {
    const normal = random.next() + random.next() + random.next() + random.next() - 2;
    return 3 * normal + (random.next() < 0.002 ? 9 * random.next() : 0);
  });
}

const CHOICES: Record<string, SamplingChoice> = {
  greedy: GREEDY,
  'top-k 1': { ...PLAIN, topK: 1 },
  'top-k 40': PLAIN,
  'top-k 256': { ...PLAIN, topK: 256, temperature: 1.7 },
  'top-p 0.9': { ...PLAIN, topK: 50, topP: 0.9 },
  'top-p 0.95 of 256, hot': { ...PLAIN, topK: 256, topP: 0.95, temperature: 3 },
  'min-p 0.1': { ...PLAIN, minP: 0.1 },
  'min-p 0.02 and top-p 0.8': { ...PLAIN, topK: 100, topP: 0.8, minP: 0.02, temperature: 2 },
  'nearly greedy': { ...PLAIN, temperature: 0.01 },
};

describe('WebGPU sampling', function () {
  this.timeout(120_000);
  let backend: WebGpuBackend;
  let pipelines: PipelineCache;

  before(async function () {
    const missing = await missingGpu();
    if (missing) skip(this, missing);
    backend = await createWebGpuBackend();
    pipelines = new PipelineCache(backend.device);
  });
  after(() => backend?.dispose());

  for (const vocabulary of [50, 257, 8192, 151_936]) {
    describe(`of ${vocabulary} tokens`, () => {
      let device: Device;
      before(async () => (device = await Device.open(backend.device, pipelines, vocabulary)));
      after(() => device?.close());

      /** The problems of all uniform numbers, on logits that the device has. */
      async function problems(logits: Float32Array, choice: SamplingChoice): Promise<string[]> {
        device.setLogits(logits);
        device.begin(choice);
        const tokens = await Promise.all(UNIFORMS.map((uniform) => device.sample(uniform)));
        return tokens.flatMap((token, i) => problem(token, logits, choice, UNIFORMS[i]!) ?? []);
      }

      for (const [name, choice] of Object.entries(CHOICES)) {
        it(`${name}: as the host`, async () => {
          for (const seed of [1, 2, 3]) {
            expect(await problems(randomLogits(new Random(seed), vocabulary), choice)).to.deep.equal([]);
          }
        });
      }

      it('ties: the first of the largest, and all that tie with the k-th', async () => {
        const random = new Random(4);
        const rounded = Float32Array.from({ length: vocabulary }, () => random.integer(-40, 4) / 4);
        // −0 is not below 0, and at most 300 tokens tie.
        const few = rounded.map((x, i) =>
          i % Math.ceil(vocabulary / 300) === 0 ? (i % 2 === 0 ? 0 : -0) : -9 + x / 40,
        );
        for (const choice of [GREEDY, PLAIN, { ...PLAIN, topK: 1 }, { ...PLAIN, topK: 7, topP: 0.99 }]) {
          expect(await problems(few, choice)).to.deep.equal([]);
        }
        expect(await problems(rounded, GREEDY)).to.deep.equal([]);
      });

      it('large logits side by side, and in one group', async () => {
        const ramp = Float32Array.from({ length: vocabulary }, (_, i) => -i / 50);
        const groups = sampleGroups(vocabulary);
        const inGroups = Float32Array.from({ length: vocabulary }, (_, i) => -((i % groups) * 75 + i / groups) / 1000);
        for (const logits of [ramp, ramp.slice().reverse(), inGroups]) {
          for (const choice of [GREEDY, PLAIN, CHOICES['top-p 0.95 of 256, hot']!]) {
            expect(await problems(logits, choice)).to.deep.equal([]);
          }
        }
      });

      it('−∞ is never drawn, in whatever number', async () => {
        for (const finite of [1, 3, 60]) {
          const random = new Random(finite);
          const logits = new Float32Array(vocabulary).fill(-Infinity);
          for (let i = 0; i < finite; i++) logits[random.integer(0, vocabulary - 1)] = random.next();
          logits[vocabulary - 1] = 0.5;
          for (const choice of [GREEDY, PLAIN, { ...PLAIN, topP: 0.9 }]) {
            expect(await problems(logits, choice)).to.deep.equal([]);
          }
        }
      });

      it('all equal: tokens from the first on, as many as are weighed', async () => {
        const logits = new Float32Array(vocabulary).fill(-2);
        device.setLogits(logits);
        device.begin(GREEDY);
        expect(await device.sample(0.7)).to.equal(0);
        device.begin(PLAIN);
        expect(await device.sample(0)).to.equal(0);
        expect(await device.sample(0.5)).to.be.oneOf([
          Math.min(vocabulary, 512) >> 1,
          (Math.min(vocabulary, 512) >> 1) - 1,
        ]);
        expect(await device.sample(0.99999994)).to.equal(Math.min(vocabulary, 512) - 1);
      });

      it('repetition penalty: of the tokens that were seen, and of those that were chosen since', async () => {
        const random = new Random(8);
        const logits = randomLogits(random, vocabulary);
        const seen = new Set(Array.from({ length: 100 }, () => random.integer(0, vocabulary - 1)));
        seen.add(likeliest(logits));
        for (const choice of [
          { ...GREEDY, repetitionPenalty: 1.7 },
          { ...PLAIN, repetitionPenalty: 1.3, topP: 0.9 },
          { ...PLAIN, repetitionPenalty: 0.8 },
        ]) {
          const seenNow = new Set(seen);
          device.setLogits(logits);
          device.begin(choice, seen);
          const tokens = await Promise.all(UNIFORMS.map((uniform) => device.sample(uniform)));
          tokens.forEach((token, i) => {
            const penalized = logits.slice();
            penalizeRepetition(penalized, seenNow, choice.repetitionPenalty);
            expect(problem(token, penalized, choice, UNIFORMS[i]!)).to.equal(undefined);
            seenNow.add(token);
          });
        }
      });

      it('logits that are none: an error, and the next is served', async () => {
        const negativeNaN = new Float32Array(Uint32Array.of(0xffc00001).buffer)[0]!;
        const good = randomLogits(new Random(9), vocabulary);
        for (const bad of [NaN, negativeNaN, Infinity]) {
          const logits = good.slice();
          new Uint32Array(logits.buffer)[vocabulary >> 1] = new Uint32Array(Float32Array.of(bad).buffer)[0]!;
          for (const choice of [GREEDY, PLAIN]) {
            device.setLogits(logits);
            device.begin(choice);
            await expectInternal(device.sample(0.5));
          }
        }
        device.setLogits(new Float32Array(vocabulary).fill(-Infinity));
        await expectInternal(device.sample(0.5));
        expect(await problems(good, PLAIN)).to.deep.equal([]);
      });
    });
  }

  it('leaves to the host what it cannot weigh', async () => {
    const sampler = new TokenSampler(backend.device, new BufferLedger(backend.device), 1000);
    expect(sampler.supports(GREEDY)).to.equal(true);
    expect(sampler.supports({ ...GREEDY, topK: 0 })).to.equal(true);
    expect(sampler.supports({ ...PLAIN, topK: 256 })).to.equal(true);
    expect(sampler.supports({ ...PLAIN, topK: 0 })).to.equal(false);
    expect(sampler.supports({ ...PLAIN, topK: 257 })).to.equal(false);
  });
});

async function expectInternal(promise: Promise<unknown>): Promise<void> {
  const error: unknown = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).to.be.instanceOf(WpError);
  expect((error as WpError).code).to.equal('internal');
}
