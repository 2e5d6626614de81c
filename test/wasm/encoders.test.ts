// Encoders on the WASM backend: the checkpoints of test/fixtures/encoders against transformers, and graphs of image operations
// with random weights against the references.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, describe, it } from 'node:test';
import type { Backend } from '../../runtime/backends/backend.ts';
import { createWasmBackend } from '../../runtime/backends/wasm/index.ts';
import { WpError } from '../../runtime/errors.ts';
import type { FormatName } from '../../runtime/quantization/formats.ts';
import { ENCODER_VARIANTS, openEncoderGoldens, packWeights, relativeError } from '../support/encoder-goldens.ts';
import { IMAGE_CASES, prepareImageCase } from '../support/image-cases.ts';
import { ReferenceEncoder } from '../support/reference-encoder.ts';
import { runEncoder } from '../support/run-encoder.ts';

const read = (path: string) => readFile(new URL(`../fixtures/encoders/${path}`, import.meta.url));
const failsWith = (code: string) => (error: unknown) => error instanceof WpError && error.code === code;

const backends = new Map<number, Backend>();
async function backendOf(threads: number): Promise<Backend> {
  const known = backends.get(threads);
  if (known) return known;
  const backend = await createWasmBackend({ threads });
  backends.set(threads, backend);
  return backend;
}
after(() => backends.forEach((backend) => backend.dispose()));

describe('WASM encoders', () => {
  for (const variant of ENCODER_VARIANTS) {
    it(`${variant}: as transformers, in f16; the same bits on two threads`, async () => {
      const { cases, tensors } = await openEncoderGoldens(read, variant);
      for (const { name, graph, inputs, expected } of cases) {
        const weights = packWeights(graph, tensors, 'f16');
        const outputs = await runEncoder(await backendOf(1), graph, weights, inputs);
        for (const [output, golden] of Object.entries(expected)) {
          const error = relativeError(outputs[output], golden);
          assert.ok(error <= 1e-5, `${name}, ${output}: ${error}`);
        }
        assert.deepEqual(await runEncoder(await backendOf(2), graph, weights, inputs), outputs);
      }
    });
  }

  for (const format of ['q8g32', 'q4g32'] satisfies FormatName[]) {
    it(`${format}: as the references with the same weights, but for activations of 8 bits`, async () => {
      for (const variant of ['bert', 'siglip']) {
        const { cases, tensors } = await openEncoderGoldens(read, variant);
        for (const { name, graph, inputs } of cases) {
          const weights = packWeights(graph, tensors, format);
          const outputs = await runEncoder(await backendOf(1), graph, weights, inputs);
          const reference = new ReferenceEncoder(graph);
          for (const [weight, matrix] of weights) await reference.setWeight(weight, matrix);
          for (const [output, expected] of Object.entries(await reference.run(inputs))) {
            const error = relativeError(outputs[output], expected);
            assert.ok(error <= 0.05, `${variant}, ${name}, ${output}: ${error}`);
          }
        }
      }
    });
  }

  for (const imageCase of IMAGE_CASES) {
    for (const format of ['f32', 'f16'] satisfies FormatName[]) {
      it(`${imageCase.name}, ${format}: as the references; the same bits on two threads`, async () => {
        const { graph, weights, inputs, expected } = await prepareImageCase(imageCase, format);
        const outputs = await runEncoder(await backendOf(1), graph, weights, inputs);
        const error = relativeError(outputs['image'], expected);
        assert.ok(error <= 3e-6, String(error));
        assert.deepEqual(await runEncoder(await backendOf(2), graph, weights, inputs), outputs);
      });
    }
  }

  it('refuses inputs that do not fit, weights that are missing, and to run when disposed', async () => {
    const { cases, tensors } = await openEncoderGoldens(read, 'bert');
    const { graph, inputs } = cases[1]!;
    const weights = packWeights(graph, tensors, 'f32');
    const formats = new Map([...weights].map(([name, { format }]) => [name, format]));
    const backend = await backendOf(1);
    const program = await backend.compileEncoder!(graph, { formats, maxTokens: 17, maxOutputs: 3 });
    await assert.rejects(program.ready(), failsWith('missing-tensor'));
    for (const [name, matrix] of weights) await program.setWeight(name, matrix);
    await program.ready();
    const { tokenIds, spans, ranges } = inputs as Record<string, Int32Array<ArrayBuffer>>;
    const changed = (numbers: Int32Array, index: number, value: number) => {
      const copy = numbers.slice();
      copy[index] = value;
      return copy;
    };
    const changes: Record<string, Int32Array | Float32Array>[] = [
      { tokenIds: tokenIds!.subarray(1) },
      { tokenIds: new Float32Array(17) },
      { tokenIds: undefined as never },
      { tokenIds: changed(tokenIds!, 3, 60) },
      { tokenIds: changed(tokenIds!, 3, -1) },
      { spans: changed(spans!, 5, 18) },
      { ranges: changed(ranges!, 0, -1) },
      { ranges: new Int32Array(8) },
    ];
    for (const change of changes) {
      await assert.rejects(
        program.run({ ...inputs, ...change }),
        failsWith('invalid-argument'),
        Object.keys(change)[0],
      );
    }
    program.dispose();
    await assert.rejects(program.run(inputs), failsWith('disposed'));
  });
});
