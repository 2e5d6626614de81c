// Encoders on the CPU in a browser, which takes the kernels with relaxed SIMD where Node does not.

import { expect } from '@esm-bundle/chai';
import { createWasmBackend } from '../../runtime/backends/wasm/index.ts';
import type { Backend } from '../../runtime/backends/backend.ts';
import { openEncoderGoldens, packWeights, relativeError } from '../support/encoder-goldens.ts';
import { IMAGE_CASES, prepareImageCase } from '../support/image-cases.ts';
import { runEncoder } from '../support/run-encoder.ts';

const read = async (path: string): Promise<Uint8Array> => {
  const response = await fetch(new URL(`../fixtures/encoders/${path}`, import.meta.url));
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
};

describe('WASM encoders in a browser', () => {
  let backend: Backend;
  before(async () => {
    backend = await createWasmBackend({ threads: 1 });
  });
  after(() => backend.dispose());

  for (const variant of ['bert', 'mpnet', 'modernbert-classes', 'dinov2-classes', 'clip']) {
    it(`${variant}: as transformers, in f16`, async () => {
      const { cases, tensors } = await openEncoderGoldens(read, variant);
      for (const { name, graph, inputs, expected } of cases) {
        const outputs = await runEncoder(backend, graph, packWeights(graph, tensors, 'f16'), inputs);
        for (const [output, golden] of Object.entries(expected)) {
          expect(relativeError(outputs[output], golden), `${name}, ${output}`).to.be.below(1e-5);
        }
      }
    });
  }

  for (const imageCase of IMAGE_CASES) {
    it(`${imageCase.name}: as the references`, async () => {
      const { graph, weights, inputs, expected } = await prepareImageCase(imageCase, 'f16');
      const outputs = await runEncoder(backend, graph, weights, inputs);
      expect(relativeError(outputs['image'], expected)).to.be.below(3e-6);
    });
  }
});
