// Encoders on this browser's GPU: the checkpoints of test/fixtures/encoders against transformers, and graphs of image operations
// with random weights against the references.

import { expect } from '@esm-bundle/chai';
import { createWebGpuBackend } from '../../runtime/backends/webgpu/index.ts';
import { type WpError } from '../../runtime/errors.ts';
import {
  ENCODER_VARIANTS,
  openEncoderGoldens,
  packWeights,
  readTensors,
  relativeError,
} from '../support/encoder-goldens.ts';
import { IMAGE_CASES, prepareImageCase } from '../support/image-cases.ts';
import { ReferenceEncoder } from '../support/reference-encoder.ts';
import { runEncoder } from '../support/run-encoder.ts';
import { skip } from '../support/skip.ts';
import { taesdDecoder, taesdEncoder } from '../support/taesd.ts';
import { missingGpu } from './missing-gpu.ts';

const TOLERANCE = 1e-5;
/** With the f16 tiles of hardware, what a product takes in is rounded too. */
const HALF_TOLERANCE = 2e-2;

const read = async (path: string): Promise<Uint8Array> => {
  const response = await fetch(new URL(`../fixtures/encoders/${path}`, import.meta.url));
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
};

describe('WebGPU encoders', function () {
  this.timeout(180_000);
  let backend: Awaited<ReturnType<typeof createWebGpuBackend>> | undefined;
  let tolerance = TOLERANCE;

  before(async function () {
    const missing = await missingGpu();
    if (missing) skip(this, missing);
    backend = await createWebGpuBackend();
    if (backend.profile.shaderF16 && !backend.profile.isSoftware) tolerance = HALF_TOLERANCE;
  });
  after(() => backend?.dispose());

  for (const variant of ENCODER_VARIANTS) {
    it(`${variant}: as transformers, in f16`, async () => {
      const { cases, tensors } = await openEncoderGoldens(read, variant);
      for (const { name, graph, inputs, expected } of cases) {
        const outputs = await runEncoder(backend!, graph, packWeights(graph, tensors, 'f16'), inputs);
        for (const [output, golden] of Object.entries(expected)) {
          expect(relativeError(outputs[output], golden), `${name}, ${output}`).to.be.below(tolerance);
        }
      }
    });
  }

  it('q4g32: as the references with the same weights', async () => {
    const { cases, tensors } = await openEncoderGoldens(read, 'bert');
    const { graph, inputs } = cases[0]!;
    const weights = packWeights(graph, tensors, 'q4g32');
    const outputs = await runEncoder(backend!, graph, weights, inputs);
    const reference = new ReferenceEncoder(graph);
    for (const [weight, matrix] of weights) await reference.setWeight(weight, matrix);
    for (const [output, expected] of Object.entries(await reference.run(inputs))) {
      // Where products take integers, activations have 8 bits.
      expect(relativeError(outputs[output], expected), output).to.be.below(0.05);
    }
  });

  for (const imageCase of IMAGE_CASES) {
    it(`${imageCase.name}: as the references`, async () => {
      const { graph, weights, inputs, expected } = await prepareImageCase(imageCase, 'f16');
      const outputs = await runEncoder(backend!, graph, weights, inputs);
      expect(relativeError(outputs['image'], expected)).to.be.below(tolerance);
    });
  }

  it('a trained auto-encoder gives the latents and the image that torch gives', async function () {
    const models = '/__shared__/models/taesd';
    if (!(await fetch(`${models}/taef2_encoder.safetensors`, { method: 'HEAD' })).ok)
      skip(this, `${models} is not there`);
    const size = 48;
    const bytes = (await read('taesd/goldens.bin')).slice();
    const numbers = new Float32Array(bytes.buffer.slice(size * size * 3));
    const pixels = Float32Array.from(bytes.subarray(0, size * size * 3), (byte) => byte / 255);
    const [latents, decoded] = [numbers.slice(0, 36 * 32), numbers.slice(36 * 32)];
    const run = async (graph: ReturnType<typeof taesdEncoder>, name: string, input: Float32Array<ArrayBuffer>) => {
      const response = await fetch(`${models}/${name}.safetensors`);
      const tensors = readTensors(new Uint8Array(await response.arrayBuffer()));
      return (await runEncoder(backend!, graph, packWeights(graph, tensors, 'f16'), { pixels: input }))['image'];
    };
    expect(relativeError(await run(taesdEncoder(size), 'taef2_encoder', pixels), latents)).to.be.below(TOLERANCE);
    expect(relativeError(await run(taesdDecoder(size / 8), 'taef2_decoder', latents), decoded)).to.be.below(TOLERANCE);
  });

  it('frees what it allocated, and refuses to run when disposed', async () => {
    const { cases, tensors } = await openEncoderGoldens(read, 'bert');
    const { graph, inputs } = cases[1]!;
    const weights = packWeights(graph, tensors, 'f16');
    const formats = new Map([...weights].map(([name, { format }]) => [name, format]));
    const program = await backend!.compileEncoder(graph, { formats, maxTokens: 20, maxOutputs: 4 });
    for (const [name, matrix] of weights) await program.setWeight(name, matrix);
    await program.ready();
    expect(program.memory().activations).to.be.above(0);
    const [one, other] = await Promise.all([program.run(inputs), program.run(inputs)]);
    expect(one).to.deep.equal(other);
    program.dispose();
    expect(program.memory()).to.deep.equal({ weights: 0, keyValueCache: 0, activations: 0, other: 0 });
    const error: unknown = await program.run(inputs).catch((thrown: unknown) => thrown);
    expect((error as WpError).code).to.equal('disposed');
  });
});
