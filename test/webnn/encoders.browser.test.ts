// Encoders on a WebNN that really computes: the checkpoints of test/fixtures/encoders against transformers, and graphs of image
// operations with random weights against the references.

import { expect } from '@esm-bundle/chai';
import type { Backend } from '../../runtime/backends/backend.ts';
import { createWebNnBackend } from '../../runtime/backends/webnn/index.ts';
import type { WpError } from '../../runtime/errors.ts';
import type { FormatName } from '../../runtime/quantization/formats.ts';
import { ENCODER_VARIANTS, openEncoderGoldens, packWeights, relativeError } from '../support/encoder-goldens.ts';
import { IMAGE_CASES, prepareImageCase } from '../support/image-cases.ts';
import { ReferenceEncoder } from '../support/reference-encoder.ts';
import { runEncoder } from '../support/run-encoder.ts';

/** As WebGPU's in f32. */
const TOLERANCE = 1e-5;
/** With f16 everywhere: its numbers are 5e-4 apart, and a layer adds up dozens of roundings. */
const HALF_TOLERANCE = 2e-2;

/** Codes that `dequantizeLinear` does not know (minimums, 3 bits) are kept as f16: a product of code and scale is rounded. */
const ROUNDED = 1e-3;

const read = async (path: string): Promise<Uint8Array> => {
  const response = await fetch(new URL(`../fixtures/encoders/${path}`, import.meta.url));
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
};

describe('WebNN encoders', () => {
  let backend: Backend;
  before(async () => {
    backend = await createWebNnBackend({ device: 'cpu' });
  });
  after(() => backend.dispose());

  for (const variant of ENCODER_VARIANTS) {
    it(`${variant}: as transformers, in f16`, async () => {
      const { cases, tensors } = await openEncoderGoldens(read, variant);
      for (const { name, graph, inputs, expected } of cases) {
        const outputs = await runEncoder(backend, graph, packWeights(graph, tensors, 'f16'), inputs);
        for (const [output, golden] of Object.entries(expected)) {
          expect(relativeError(outputs[output], golden), `${name}, ${output}`).to.be.below(TOLERANCE);
        }
      }
    });
  }

  for (const imageCase of IMAGE_CASES) {
    it(`${imageCase.name}: as the references`, async () => {
      const { graph, weights, inputs, expected } = await prepareImageCase(imageCase, 'f16');
      const outputs = await runEncoder(backend, graph, weights, inputs);
      expect(relativeError(outputs['image'], expected)).to.be.below(TOLERANCE);
    });
  }

  describe('weights that stay small', () => {
    let compact: Backend;
    before(async () => {
      compact = await createWebNnBackend({ device: 'cpu', isCompact: true });
    });
    after(() => compact.dispose());

    const formats = { f16: TOLERANCE, q8g32: TOLERANCE, q4g32: TOLERANCE, q4g32m: ROUNDED, q3g32: ROUNDED };
    for (const [format, tolerance] of Object.entries(formats) as [FormatName, number][]) {
      it(`${format}: as the references with the same weights`, async () => {
        const { cases, tensors } = await openEncoderGoldens(read, 'bert');
        const { graph, inputs } = cases[0]!;
        const weights = packWeights(graph, tensors, format);
        const outputs = await runEncoder(compact, graph, weights, inputs);
        const reference = new ReferenceEncoder(graph);
        for (const [weight, matrix] of weights) await reference.setWeight(weight, matrix);
        for (const [output, expected] of Object.entries(await reference.run(inputs))) {
          expect(relativeError(outputs[output], expected), output).to.be.below(tolerance);
        }
      });
    }
  });

  it('computes in f16 where there is nothing longer', async () => {
    const half = await createWebNnBackend({ device: 'cpu', real: 'float16' });
    for (const variant of ['bert', 'nomic-bert', 'siglip']) {
      const { cases, tensors } = await openEncoderGoldens(read, variant);
      for (const { name, graph, inputs, expected } of cases.slice(0, 1)) {
        const outputs = await runEncoder(half, graph, packWeights(graph, tensors, 'f16'), inputs);
        for (const [output, golden] of Object.entries(expected)) {
          expect(relativeError(outputs[output], golden), `${variant}, ${name}, ${output}`).to.be.below(HALF_TOLERANCE);
        }
      }
    }
    half.dispose();
  });

  it('frees what it allocated, and refuses to run when disposed', async () => {
    const { cases, tensors } = await openEncoderGoldens(read, 'bert');
    const { graph, inputs } = cases[1]!;
    const weights = packWeights(graph, tensors, 'f16');
    const formats = new Map([...weights].map(([name, { format }]) => [name, format]));
    const program = await backend.compileEncoder!(graph, { formats, maxTokens: 20, maxOutputs: 4 });
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
