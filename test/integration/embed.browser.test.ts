// The tiny folder of sentence-transformers in a browser, over HTTP, on both backends: the vectors that transformers computes.

import { expect } from '@esm-bundle/chai';
import type { BackendName } from '../../runtime/index.ts';
import { missingGpu } from '../webgpu/missing-gpu.ts';
import { loadDirectly } from '../support/load-directly.ts';
import { skip } from '../support/skip.ts';

const folder = new URL('/test/fixtures/sentences/', location.href);

describe('embed in a browser', () => {
  for (const backend of ['wasm', 'webgpu'] satisfies BackendName[]) {
    it(`${backend}: as transformers`, async function () {
      if (backend === 'webgpu' && (await missingGpu())) this.skip();
      const goldens = (await (await fetch(new URL('goldens.json', folder))).json()) as {
        embedder: { texts: string[]; vectors: number[][] };
      };
      const { texts, vectors } = goldens.embedder;
      const model = await loadDirectly(new URL('embedder/', folder).href, { backend, precision: 'f16', threads: 1 });
      const result = await model.embed(texts);
      await model.dispose();
      expect(model.info.plan.backend).to.equal(backend);
      const largest = Math.max(
        ...result.vectors.map((vector, i) =>
          Math.max(...vectors[i]!.map((number, j) => Math.abs(number - vector[j]!))),
        ),
      );
      // A GPU keeps activations in f16 or f32, and adds in another order.
      expect(largest).to.be.lessThan(backend === 'wasm' ? 1e-5 : 1e-3);
    });
  }

  // Where there is one, test/webnn has the tests.
  it('webnn: what auto takes where there is none, and why', async function () {
    if ('ml' in navigator) skip(this, 'this browser has WebNN');
    const model = await loadDirectly(new URL('embedder/', folder).href, { backend: 'webnn', precision: 'f16' });
    await model.dispose();
    const { backend, reasons } = model.info.plan;
    expect(backend).to.be.oneOf(['wasm', 'webgpu']);
    expect(reasons.find(({ topic }) => topic === 'backend')!.reason).to.match(/^WebNN was asked for\. .*navigator\.ml/);
  });
});
