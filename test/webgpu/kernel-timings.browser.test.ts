// The profiler's times of each kernel of a step.

import { expect } from '@esm-bundle/chai';
import { createWebGpuBackend } from '../../runtime/backends/webgpu/index.ts';
import { lower } from '../../runtime/graph/passes/index.ts';
import { formatBytes, FORMATS } from '../../runtime/quantization/formats.ts';
import { Random } from '../support/random.ts';
import { skip } from '../support/skip.ts';
import { TINY_DECODER, tinyDecoder } from '../support/tiny-decoder.ts';
import { missingGpu } from './missing-gpu.ts';
import { randomWeights } from './program-cases.ts';

describe('WebGPU kernel timings', function () {
  this.timeout(120_000);

  it('has every kernel of a step once, with its calls, its bytes and its products, and leaves the program whole', async function () {
    const missing = await missingGpu();
    if (missing) skip(this, missing);
    const backend = await createWebGpuBackend();
    const graph = lower(tinyDecoder());
    const weights = randomWeights(graph, 'q4g32', new Random(3));
    const program = await backend.compile(graph, {
      formats: new Map([...weights].map(([name, { format }]) => [name, format])),
      contextLength: 200,
      maxTokens: 4,
      maxOutputs: 1,
    });
    for (const [name, matrix] of weights) await program.setWeight(name, matrix);
    await program.ready();
    const inputs = {
      tokenIds: Int32Array.of(1),
      rotary: new Float32Array(16).fill(1),
      outputRows: Int32Array.of(0),
      past: 0,
    };
    const before = await program.run(inputs);

    const past = 150;
    const timings = await program.measureKernels(past);
    expect(new Set(timings.map(({ variant }) => variant)).size).to.equal(timings.length);
    for (const { variant, microseconds, bytes } of timings) {
      expect(microseconds, variant).to.be.above(0);
      expect(bytes, variant).to.be.above(0);
    }
    // All but those that choose the token, and one more where attention is split and merged.
    const calls = timings.reduce((sum, timing) => sum + timing.calls, 0);
    const step = program.profile().kernels.filter(({ operation }) => operation !== 'sample').length;
    expect(calls).to.equal(step + TINY_DECODER.layers);

    const { columns, width, layers, heads, headDim } = TINY_DECODER;
    const down = timings.find(
      ({ variant }) => variant.includes(`rows=${columns} `) && variant.includes(`columns=${width} `),
    )!;
    expect(down.calls).to.equal(layers);
    expect(down.flops).to.equal(2 * columns * width);
    // The matrix, what goes in, the residual and what comes out.
    const matrix = formatBytes(FORMATS.q4g32, columns, width).total;
    expect(down.bytes).to.equal(matrix + 4 * (width + 2 * columns));
    const attention = timings.find(({ variant }) => variant.startsWith('attentionDecode '))!;
    expect(attention.flops).to.equal(4 * heads * headDim * (past + 1));

    expect(await program.run(inputs)).to.deep.equal(before);
    backend.dispose();
  });
});
