// `embed` with `backend: 'webnn'` where WebNN computes: through the worker, on the tiny folder of sentence-transformers; and what
// happens when a context cannot run it, or is lost.

import { expect } from '@esm-bundle/chai';
import { loadModel, type Model } from '../../runtime/index.ts';
import type { MLContext } from '../../runtime/backends/webnn/ml-api.ts';
import { loadDirectly } from '../support/load-directly.ts';

const folder = new URL('/test/fixtures/sentences/', location.href);
const embedder = new URL('embedder/', folder).href;

interface Page {
  navigator: { ml: { createContext(options: unknown): Promise<MLContext> } };
  MLContext: { prototype: MLContext };
  MLGraphBuilder: { prototype: { build(outputs: unknown): Promise<unknown> } };
}
const page = globalThis as unknown as Page;

describe('embed on WebNN', function () {
  this.timeout(60_000);
  let texts: string[];
  let vectors: number[][];
  const undo: (() => void)[] = [];
  let contexts: MLContext[] = [];

  before(async () => {
    const goldens = (await (await fetch(new URL('goldens.json', folder))).json()) as {
      embedder: { texts: string[]; vectors: number[][] };
    };
    ({ texts, vectors } = goldens.embedder);
  });
  beforeEach(() => {
    const { ml } = page.navigator;
    const create = ml.createContext.bind(ml);
    contexts = [];
    replace(ml as never, 'createContext' as never, async (options: unknown) => {
      const context = await create(options);
      contexts.push(context);
      return context;
    });
  });
  afterEach(async () => {
    for (const restore of undo.splice(0)) restore();
    // The next test gets a context of its own: backends outlive models.
    for (const context of contexts) context.destroy();
    await Promise.all(contexts.map(({ lost }) => lost));
  });

  function replace<Name extends string>(object: Record<Name, unknown>, name: Name, value: unknown): void {
    const original = object[name];
    object[name] = value;
    undo.push(() => (object[name] = original));
  }

  async function expectVectors(model: Model): Promise<void> {
    const result = await model.embed(texts);
    result.vectors.forEach((vector, i) =>
      vector.forEach((number, j) => expect(Math.abs(number - vectors[i]![j]!), `vector ${i}, ${j}`).to.be.below(1e-5)),
    );
  }

  const reasonOf = ({ info }: Model) => info.plan.reasons.find(({ topic }) => topic === 'backend')!.reason;

  it('gives the vectors of transformers, in the worker', async () => {
    const model = await loadModel(embedder, { backend: 'webnn', precision: 'f16' });
    expect(model.info.plan.backend).to.equal('webnn');
    expect(model.info.plan.backendDescription).to.equal('WebNN on the CPU');
    expect(reasonOf(model)).to.equal('WebNN was asked for.');
    await expectVectors(model);
    const { planned, actual } = await model.memory();
    expect(actual.weights).to.be.within(1, planned.weights);
    await model.dispose();
  });

  it('falls back when the context lacks an operation, before any weight is loaded', async () => {
    const limits = page.MLContext.prototype.opSupportLimits;
    replace(page.MLContext.prototype as never, 'opSupportLimits' as never, function (this: MLContext) {
      return { ...limits.call(this), softmax: undefined };
    });
    const model = await loadDirectly(embedder, { backend: 'webnn', precision: 'f16', threads: 1 });
    expect(model.info.plan.backend).to.equal('wasm');
    expect(reasonOf(model)).to.match(/WebNN cannot run the model: it has no operation softmax/);
    await expectVectors(model);
    await model.dispose();
  });

  it('falls back when a graph does not compile although every operation is there', async () => {
    replace(page.MLGraphBuilder.prototype as never, 'build' as never, () => Promise.reject(new TypeError('not today')));
    const model = await loadDirectly(embedder, { backend: 'webnn', precision: 'f16', threads: 1 });
    expect(model.info.plan.backend).to.equal('wasm');
    expect(reasonOf(model)).to.match(/no graph of this kind \(not today\)/);
    await expectVectors(model);
    await model.dispose();
  });

  it('goes on with a new context when one is lost', async () => {
    const model = await loadDirectly(embedder, { backend: 'webnn', precision: 'f16' });
    await expectVectors(model);
    contexts.at(-1)!.destroy();
    await expectVectors(model);
    expect(contexts).to.have.length(2);
    expect(model.info.plan.backend).to.equal('webnn');
    await model.dispose();
  });
});
