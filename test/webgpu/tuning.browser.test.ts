// Tuning on this browser's device. Which kernels win is the clock's affair, so a clock that prefers one of them decides
// here; that the answers stay, that stored choices come back, and that it ends when it must, is what is looked at.

import { expect } from '@esm-bundle/chai';
import type { CompileOptions, Program, TuneOptions } from '../../runtime/backends/backend.ts';
import { createWebGpuBackend, type WebGpuBackend } from '../../runtime/backends/webgpu/index.ts';
import type { WebGpuProgram } from '../../runtime/backends/webgpu/program.ts';
import { type Batch, GpuTimer } from '../../runtime/backends/webgpu/tuning/gpu-timer.ts';
import { lower } from '../../runtime/graph/passes/index.ts';
import { candidatesFor } from '../../runtime/backends/webgpu/tuning/candidates.ts';
import { Random } from '../support/random.ts';
import { ReferenceBackend } from '../support/reference-backend.ts';
import { skip } from '../support/skip.ts';
import { TINY_DECODER, tinyDecoder } from '../support/tiny-decoder.ts';
import { missingGpu } from './missing-gpu.ts';
import { difference, randomWeights } from './program-cases.ts';

const graph = lower(tinyDecoder({ ...TINY_DECODER, layers: 1, headDim: 32 }));
const weights = randomWeights(graph, 'q4g32', new Random(3));
const compileOptions: CompileOptions = {
  formats: new Map([...weights].map(([name, { format }]) => [name, format])),
  contextLength: 400,
  maxTokens: 8,
  maxOutputs: 1,
};
const NOTHING = new Set<string>();
const tune = (options: Partial<TuneOptions> = {}): TuneOptions => ({ budgetMs: 60_000, known: NOTHING, ...options });

async function load(backend: WebGpuBackend, tuned?: Record<string, unknown>): Promise<WebGpuProgram> {
  const program = await backend.compile(graph, { ...compileOptions, tuned });
  for (const [name, matrix] of weights) await program.setWeight(name, matrix);
  await program.ready();
  return program;
}

/** The logits behind tokens past … past + tokens − 1. */
function step(program: Program, tokens: number, past: number): Promise<Float32Array> {
  const tokenIds = Int32Array.from({ length: tokens }, (_, i) => (past + i) % 50);
  const rotary = new Float32Array(tokens * 32).map((_, i) => (i % 32 < 16 ? Math.cos(i + past) : Math.sin(i + past)));
  return program.run({ tokenIds, rotary, outputRows: Int32Array.of(tokens - 1), past });
}

describe('tuning a WebGPU program', function () {
  this.timeout(120_000);
  let backend: WebGpuBackend;
  let keys: readonly string[] = [];
  const realTime = GpuTimer.prototype.time;

  /** A clock on which dispatches of kernels that this matches take half the time. */
  function prefer(pattern: RegExp): void {
    GpuTimer.prototype.time = async function (batches: readonly Batch[], wait: () => Promise<void>) {
      await wait();
      return batches.map(({ dispatches, repeats }) =>
        dispatches.reduce((sum, { kernel }) => sum + (pattern.test(kernel.key) ? 0.5 : 1) * repeats, 0),
      );
    };
  }
  const knownBut = (pattern: RegExp): ReadonlySet<string> => new Set(keys.filter((key) => !pattern.test(key)));

  before(async function () {
    const missing = await missingGpu();
    if (missing) skip(this, missing);
    backend = await createWebGpuBackend();
    const program = await load(backend);
    ({ remaining: keys } = await program.tune(tune({ budgetMs: -1 })));
    program.dispose();
  });
  afterEach(() => {
    GpuTimer.prototype.time = realTime;
  });
  after(() => backend?.dispose());

  it('knows what there is to measure before it measures, decoding first', () => {
    expect(keys).to.include.members(['matvec q4g32 192×64', 'matvec q4g32 64×96', 'attentionDecode 4/2×32']);
    expect(keys.some((key) => key.startsWith('matmul q4g32 '))).to.equal(true);
    const firstOfPrefill = keys.findIndex((key) => key.startsWith('matmul'));
    expect(keys.slice(firstOfPrefill).every((key) => key.startsWith('matmul'))).to.equal(true);
  });

  it('measures with this device’s own clock, and says what it measured', async () => {
    const program = await load(backend);
    const own = /^matvec q4g32 64×96/;
    const { choices, remaining, timer } = await program.tune(tune({ known: knownBut(own) }));
    expect(timer).to.equal(backend.profile.timestamps ? 'timestamps' : 'clock');
    expect(remaining).to.deep.equal([]);
    expect(choices.map(({ key }) => key)).to.deep.equal(['matvec q4g32 64×96']);
    const [{ standard, candidates, standardMicroseconds, bestMicroseconds, chosen }] = choices as [(typeof choices)[0]];
    expect(standard).to.have.property('lanes');
    expect(candidates).to.be.above(3);
    expect(standardMicroseconds).to.be.above(0);
    if (chosen) expect(bestMicroseconds).to.be.below(standardMicroseconds);
    program.dispose();
  });

  it('runs the kernels that won, from the next step on, with the same answers and the same cache', async () => {
    prefer(/matvec .*lanes=8 .*workgroupSize=64|splitPositions=128|matmul .*threadsRows=4/);
    const [program, untuned] = [await load(backend), await load(backend)];
    const both = (tokens: number, past: number) =>
      Promise.all([step(program, tokens, past), step(untuned, tokens, past)]);
    for (let past = 0; past < 136; past += 8) await both(8, past);
    const { choices } = await program.tune(tune());
    const chosen = Object.fromEntries(choices.flatMap(({ key, chosen: own }) => (own ? [[key, own]] : [])));
    expect(chosen['matvec q4g32 64×96']).to.deep.equal({ lanes: 8, rowsPerThread: 2, workgroupSize: 64 });
    expect(chosen['attentionDecode 4/2×32']).to.deep.equal({ splitPositions: 128, mostSplits: 32 });
    expect(
      program.profile().kernels.some(({ variant }) => /^matvec .*lanes=8 .*workgroupSize=64/.test(variant)),
    ).to.equal(true);
    let past = 136;
    for (const tokens of [1, 1, 8, 5, 1]) {
      const [actual, expected] = await both(tokens, past);
      const { relative, isFinite } = difference(actual, expected);
      expect(isFinite).to.equal(true);
      expect(relative, `${tokens} tokens at ${past}`).to.be.below(1e-3);
      past += tokens;
    }
    // Stored, and read by another program: the same kernels from its first step on.
    const again = await load(backend, chosen);
    expect(again.profile().kernels).to.deep.equal(program.profile().kernels);
    for (const each of [program, untuned, again]) each.dispose();
  });

  it('gives the reference’s answers with each of the candidates', async () => {
    const reference = await new ReferenceBackend().compile(graph, compileOptions);
    for (const [name, matrix] of weights) await reference.setWeight(name, matrix);
    const steps = [8, 8, 1, ...Array.from({ length: 15 }, () => 8), 5, 1];
    const expected: Float32Array[] = [];
    const run = async (each: Program, told: (logits: Float32Array) => void): Promise<void> => {
      let past = 0;
      for (const tokens of steps) {
        told(await step(each, tokens, past));
        past += tokens;
      }
    };
    await run(reference, (logits) => expected.push(logits));
    const { profile } = backend;
    const most = Math.max(...keys.map((key) => candidatesFor(profile, key).length));
    for (let n = 0; n < most; n++) {
      const chosen = keys.map((key) => [key, candidatesFor(profile, key)[n % candidatesFor(profile, key).length]]);
      const program = await load(backend, Object.fromEntries(chosen) as Record<string, unknown>);
      let i = 0;
      await run(program, (logits) => {
        const { relative, isFinite } = difference(logits, expected[i]!);
        expect(isFinite && relative < 1e-3, `candidate ${n}, step ${i} of ${steps[i]!}: off by ${relative}`).to.equal(
          true,
        );
        i += 1;
      });
      program.dispose();
    }
  });

  it('keeps what is no faster', async () => {
    prefer(/nothing/);
    const program = await load(backend);
    const before = program.profile().kernels;
    const { choices } = await program.tune(tune({ known: knownBut(/^matvec|^attention/) }));
    expect(choices.length).to.be.above(2);
    expect(choices.filter(({ chosen }) => chosen)).to.deep.equal([]);
    expect(program.profile().kernels).to.deep.equal(before);
    program.dispose();
  });

  it('takes back choices with which a whole step is slower', async () => {
    // Alone the candidates are fast; a step, which has an embedding, is slow as soon as one of them is in it.
    GpuTimer.prototype.time = (batches: readonly Batch[]) =>
      Promise.resolve(
        batches.map(({ dispatches, repeats }) => {
          const isStep = dispatches.some(({ kernel }) => kernel.key.startsWith('embed'));
          const isTuned = dispatches.some(({ kernel }) => /^matvec .*lanes=8 /.test(kernel.key));
          return dispatches.length * repeats * (isTuned === isStep ? 1 : 0.5);
        }),
      );
    const program = await load(backend);
    const { choices } = await program.tune(tune({ known: knownBut(/^matvec/) }));
    expect(choices.length).to.be.above(2);
    expect(choices.filter(({ chosen }) => chosen)).to.deep.equal([]);
    program.dispose();
  });

  it('ignores stored choices that no kernel offers any more', async () => {
    const stored = { 'matvec q4g32 64×96': { lanes: 7 }, 'attentionDecode 4/2×32': 'x', other: { lanes: 8 } };
    const [program, plain] = [await load(backend, stored), await load(backend)];
    expect(program.profile().kernels).to.deep.equal(plain.profile().kernels);
    for (const each of [program, plain]) each.dispose();
  });

  it('waits while steps run, and does not hold them up', async () => {
    prefer(/nothing/);
    const program = await load(backend);
    let hasEnded = false;
    const tuning = program.tune(tune({ known: knownBut(/^matvec q4g32 64×96/) })).finally(() => (hasEnded = true));
    for (let past = 0; past < 30; past++) {
      await step(program, 1, past);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    expect(hasEnded).to.equal(false);
    expect((await tuning).choices).to.have.length(1);
    program.dispose();
  });

  it('ends with an AbortError, and the program goes on', async () => {
    const program = await load(backend);
    const controller = new AbortController();
    const tuning = program.tune(tune({ signal: controller.signal }));
    controller.abort();
    expect(await nameOf(tuning)).to.equal('AbortError');
    expect(await step(program, 1, 0)).to.have.length(50);
    program.dispose();
  });

  it('ends when the device is lost', async () => {
    const own = await createWebGpuBackend();
    const program = await load(own);
    const tuning = program.tune(tune());
    own.device.destroy();
    expect(await nameOf(tuning)).to.equal('device-lost');
    own.dispose();
  });
});

/** The code or name of the error with which a promise rejects. */
function nameOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'resolved',
    (thrown: { name: string; code?: unknown }) => (typeof thrown.code === 'string' ? thrown.code : thrown.name),
  );
}
