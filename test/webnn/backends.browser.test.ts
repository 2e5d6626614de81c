// One tiny encoder by four ways that share no kernels: our WASM and WebNN backends on the checkpoint, ONNX Runtime's WebAssembly and
// WebNN providers on the file that torch exported of it. Each is held to transformers elsewhere; here to one another.

import { expect } from '@esm-bundle/chai';
import { loadModel, type Model, type Tensor } from '../../runtime/index.ts';
import { loadDirectly } from '../support/load-directly.ts';

interface Page {
  MLGraphBuilder: { prototype: { build(outputs: unknown): Promise<unknown> } };
}

const fixtures = new URL('/test/fixtures/', location.href);
const TEXT = 'The cat sits on the mat.';
/** [CLS] and [SEP] of its vocabulary. */
const [BEGIN, END] = [2, 3];

const int64 = (numbers: readonly number[]): Tensor => ({
  type: 'int64',
  dims: [1, numbers.length],
  data: BigInt64Array.from(numbers, BigInt),
});

/** The mean of the tokens' rows, of length 1: what sentence-transformers' files beside the checkpoint ask for. */
async function embedByTensors(model: Model, ids: readonly number[]): Promise<number[]> {
  const { last_hidden_state: hidden } = await model.run({
    input_ids: int64(ids),
    attention_mask: int64(ids.map(() => 1)),
    token_type_ids: int64(ids.map(() => 0)),
  });
  const width = hidden!.dims[2]!;
  const sums = Array.from({ length: width }, (_, i) =>
    ids.reduce((sum, _id, token) => sum + (hidden!.data as Float32Array)[token * width + i]!, 0),
  );
  const length = Math.hypot(...sums);
  return sums.map((sum) => sum / length);
}

it('backends and ONNX Runtime agree', async function () {
  this.timeout(120_000);
  const vectors: Record<string, readonly number[]> = {};
  let ids: number[] = [];
  for (const backend of ['wasm', 'webnn'] as const) {
    const model = await loadModel(new URL('sentences/embedder/', fixtures).href, { backend, precision: 'f16' });
    expect(model.info.plan.backend).to.equal(backend);
    ids = [BEGIN, ...(await model.tokenize(TEXT)), END];
    vectors[backend] = [...(await model.embed(TEXT)).vectors[0]!];
    await model.dispose();
  }
  let graphs = 0;
  const { prototype } = (globalThis as unknown as Page).MLGraphBuilder;
  const { build } = prototype;
  prototype.build = function (this: unknown, outputs: unknown) {
    graphs += 1;
    return build.call(this, outputs);
  };
  for (const backend of ['wasm', 'webnn'] as const) {
    const model = await loadDirectly(new URL('onnx/embedder-fixed.onnx', fixtures).href, { backend });
    expect(model.info.onnx!.provider, JSON.stringify(model.info.plan.reasons)).to.equal(backend);
    // What ONNX Runtime does not give to WebNN it computes on the CPU, and does not say so.
    expect(graphs > 0).to.equal(backend === 'webnn');
    vectors[`ONNX ${backend}`] = await embedByTensors(model, ids);
    await model.dispose();
  }
  prototype.build = build;
  const [[, first], ...others] = Object.entries(vectors) as [[string, readonly number[]], ...[string, number[]][]];
  expect(Math.hypot(...first)).to.be.closeTo(1, 1e-5);
  for (const [name, vector] of others) {
    const furthest = Math.max(...vector.map((number, i) => Math.abs(number - first[i]!)));
    expect(furthest, name).to.be.below(2e-5);
  }
});
