// Encoders on the CPU in a browser, which takes the kernels with relaxed SIMD where Node does not.

import { expect } from '@esm-bundle/chai';
import type { Backend } from '../../runtime/backends/backend.ts';
import { createWasmBackend } from '../../runtime/backends/wasm/index.ts';
import { chooseBuild } from '../../runtime/backends/wasm/kernels.ts';
import { EncoderGraphBuilder, lowerEncoder } from '../../runtime/graph/encoder-builder.ts';
import { unpackMatrix } from '../../runtime/quantization/pack.ts';
import { openEncoderGoldens, packWeights, relativeError } from '../support/encoder-goldens.ts';
import { IMAGE_CASES, prepareImageCase } from '../support/image-cases.ts';
import { Random } from '../support/random.ts';
import { ReferenceEncoder } from '../support/reference-encoder.ts';
import { runEncoder } from '../support/run-encoder.ts';

const read = async (path: string): Promise<Uint8Array> => {
  const response = await fetch(new URL(`../fixtures/encoders/${path}`, import.meta.url));
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
};

/** Numbers rounded to so many levels on either side of 0, in blocks of 32 with the largest of each at the end. */
function inBlocks(x: Float32Array, levels: number): Float32Array {
  return x.map((value, i) => {
    const block = x.subarray(i - (i % 32), i - (i % 32) + 32);
    const largest = block.reduce((most, other) => Math.max(most, Math.abs(other)), 0);
    return largest === 0 ? 0 : Math.round(Math.fround(value * Math.fround(levels / largest))) * (largest / levels);
  });
}

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

  it('multiplies weights of 8 bits with activations of 7 by relaxed SIMD, of 8 without, whatever the number of rows', async () => {
    const levels = chooseBuild('auto') === 'relaxed' ? 63 : 127;
    const [rows, columns] = [10, 64];
    const b = new EncoderGraphBuilder();
    const weight = b.weight('w.weight', { shape: [rows, columns], role: 'ffn-in' });
    const bias = b.weight('w.bias', { shape: [rows], role: 'bias' });
    b.output('y', b.linear(b.input('x', 'f32', ['tokens', columns]), weight, bias));
    const random = new Random(7);
    const tensors = { 'w.weight': random.floats(rows * columns, 0.1), 'w.bias': random.floats(rows, 1) };
    const graph = lowerEncoder(b.build());
    const weights = packWeights(graph, new Map(Object.entries(tensors)), 'q8g32');
    const numbers = unpackMatrix(weights.get('w.weight')!);
    for (const tokens of [1, 2, 3, 4, 7]) {
      const x = new Float32Array(random.floats(tokens * columns, 3));
      // A block of zeros has no scale.
      x.fill(0, 0, 32);
      const seen = inBlocks(x, levels);
      const { y } = await runEncoder(backend, graph, weights, { x });
      const expected = Float32Array.from({ length: tokens * rows }, (_, i) => {
        const [token, row] = [Math.floor(i / rows), i % rows];
        let sum = tensors['w.bias'][row]!;
        for (let column = 0; column < columns; column++) {
          sum += seen[token * columns + column]! * numbers[row * columns + column]!;
        }
        return sum;
      });
      expect(relativeError(y, expected), `${tokens} rows`).to.be.below(1e-5);
    }
  });

  it('q8g32: as the references with the same weights, but for activations of 7 bits', async () => {
    const { cases, tensors } = await openEncoderGoldens(read, 'bert');
    for (const { name, graph, inputs } of cases) {
      const weights = packWeights(graph, tensors, 'q8g32');
      const outputs = await runEncoder(backend, graph, weights, inputs);
      const reference = new ReferenceEncoder(graph);
      for (const [weight, matrix] of weights) await reference.setWeight(weight, matrix);
      for (const [output, expected] of Object.entries(await reference.run(inputs))) {
        expect(relativeError(outputs[output], expected), `${name}, ${output}`).to.be.below(0.05);
      }
    }
  });

  for (const imageCase of IMAGE_CASES) {
    it(`${imageCase.name}: as the references`, async () => {
      const { graph, weights, inputs, expected } = await prepareImageCase(imageCase, 'f16');
      const outputs = await runEncoder(backend, graph, weights, inputs);
      expect(relativeError(outputs['image'], expected)).to.be.below(3e-6);
    });
  }
});
