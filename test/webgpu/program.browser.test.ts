// Whole decoders on this browser's device against the reference interpreter, and the ways in which a program can fail.

import { expect } from '@esm-bundle/chai';
import { createWebGpuBackend } from '../../runtime/backends/webgpu/index.ts';
import type { CompileOptions } from '../../runtime/backends/backend.ts';
import { WpError, type WpErrorCode } from '../../runtime/errors.ts';
import { planActivations } from '../../runtime/graph/memory-plan.ts';
import { lower } from '../../runtime/graph/passes/index.ts';
import { stateBytes, totalWeightBytes } from '../../runtime/graph/sizes.ts';
import { FORMATS, formatBytes } from '../../runtime/quantization/formats.ts';
import { Random } from '../support/random.ts';
import { skip } from '../support/skip.ts';
import { tinyDecoder } from '../support/tiny-decoder.ts';
import { missingGpu } from './missing-gpu.ts';
import { PROGRAM_CASES, randomWeights, runProgramCase } from './program-cases.ts';

/** Keys and values are rounded to f16 on both sides, sometimes to different neighbours. */
const TOLERANCE = 1e-3;
/** With f16 tiles in prefill, what comes in is rounded too. */
const HALF_TOLERANCE = 1e-2;

describe('WebGPU program', function () {
  this.timeout(180_000);
  let hasHalfTiles: boolean;

  before(async function () {
    const missing = await missingGpu();
    if (missing) skip(this, missing);
    const backend = await createWebGpuBackend();
    hasHalfTiles = backend.profile.shaderF16;
    backend.dispose();
  });

  for (const programCase of PROGRAM_CASES) {
    it(`${programCase.name}: as the reference`, async () => {
      const { differences } = await runProgramCase(programCase);
      for (const { tokens, relative, isFinite } of differences) {
        expect(isFinite, `${tokens} tokens: all logits are finite`).to.equal(true);
        expect(relative, `${tokens} tokens`).to.be.below(hasHalfTiles ? HALF_TOLERANCE : TOLERANCE);
      }
    });
  }

  const graph = lower(tinyDecoder());
  const weights = randomWeights(graph, 'q4g32', new Random(3));
  const options: CompileOptions = {
    formats: new Map([...weights].map(([name, { format }]) => [name, format])),
    contextLength: 32,
    maxTokens: 4,
    maxOutputs: 1,
  };
  const oneToken = {
    tokenIds: Int32Array.of(1),
    rotary: new Float32Array(16).fill(1),
    outputRows: Int32Array.of(0),
    past: 0,
  };
  const load = async (settings: Parameters<typeof createWebGpuBackend>[0] = {}) => {
    const backend = await createWebGpuBackend(settings);
    const program = await backend.compile(graph, options);
    for (const [name, matrix] of weights) await program.setWeight(name, matrix);
    await program.ready();
    return { backend, program };
  };

  it('counts the bytes that it allocated: weights, caches and activations as planned', async () => {
    const { backend, program } = await load();
    const memory = program.memory();
    const dims = { batch: 1, tokens: 4, outputs: 1, context: 32 };
    const planned = totalWeightBytes(graph, ({ name, shape }) => {
      const [rows, columns] = shape.length === 1 ? [1, shape[0]!] : (shape as [number, number]);
      return formatBytes(options.formats.get(name) ?? FORMATS.f32, rows, columns).total;
    });
    expect(memory.weights).to.equal(planned);
    expect(memory.keyValueCache).to.equal(stateBytes(graph, 32));
    expect(memory.activations).to.equal(planActivations(graph, dims).totalBytes);
    program.dispose();
    expect(program.memory()).to.deep.equal({ weights: 0, keyValueCache: 0, activations: 0, other: 0 });
    backend.dispose();
  });

  it('rejects a weight of other sizes, a missing weight, and inputs that do not fit', async () => {
    const backend = await createWebGpuBackend();
    const program = await backend.compile(graph, options);
    const [name, matrix] = [...weights].find(([, { rows }]) => rows > 1)!;
    await expectCode('invalid-argument', program.setWeight(name, { ...matrix, rows: matrix.rows - 1 }));
    await expectCode('invalid-argument', program.setWeight('nobody', matrix));
    await expectCode('missing-tensor', program.ready());
    for (const [each, packed] of weights) await program.setWeight(each, packed);
    await program.ready();
    await expectCode('invalid-argument', program.run({ ...oneToken, past: 32 }));
    await expectCode('invalid-argument', program.run({ ...oneToken, outputRows: Int32Array.of(1) }));
    await expectCode('invalid-argument', program.run({ ...oneToken, rotary: new Float32Array(3) }));
    expect(await program.run(oneToken)).to.have.length(50);
    backend.dispose();
  });

  it('needs no output rows', async () => {
    const { backend, program } = await load();
    expect(await program.run({ ...oneToken, outputRows: new Int32Array(0) })).to.have.length(0);
    backend.dispose();
  });

  it('says that the device was lost, to the step in flight, to later ones and to the backend', async () => {
    const { backend, program } = await load();
    const running = program.run(oneToken);
    backend.device.destroy();
    await expectCode('device-lost', running);
    await expectCode('device-lost', program.run(oneToken));
    await backend.lost;
    backend.dispose();
  });

  it('is silent about a loss that is its own disposal', async () => {
    const { backend, program } = await load();
    backend.dispose();
    await backend.device.lost;
    await expectCode('disposed', program.run(oneToken));
    const first = await Promise.race([backend.lost.then(() => 'lost'), Promise.resolve('silent')]);
    expect(first).to.equal('silent');
  });

  it('refuses a context whose cache no binding can show, before it allocates', async () => {
    // 64 bytes a position in each cache.
    const backend = await createWebGpuBackend({ maxStorageBindingBytes: 4096 });
    await expectCode('out-of-memory', backend.compile(graph, { ...options, contextLength: 128 }));
    backend.dispose();
  });
});

async function expectCode(code: WpErrorCode, promise: Promise<unknown>): Promise<void> {
  const error: unknown = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).to.be.instanceOf(WpError);
  expect((error as WpError).code).to.equal(code);
}
