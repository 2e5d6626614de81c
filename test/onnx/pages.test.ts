// The built package with an ONNX file in pages as they are in the world: the runtime's own files are found beside the worker, with
// threads where the page is isolated, from another origin, and under a strict policy.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { Browser } from 'puppeteer-core';
import { launch, missingBrowser, openPage, type PageWish } from '../integration/page-driver.ts';
import type { Model, PlanReport } from '../../runtime/index.ts';
import { assertClose, x, y } from './fixtures.ts';

const POLICY =
  "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self' blob:; connect-src 'self'; img-src data:";

const PAGES: readonly { what: string; wish: Omit<PageWish, 'body'>; threads: number }[] = [
  { what: 'an isolated page, on two threads', wish: {}, threads: 2 },
  { what: 'the package on another origin, on one thread', wish: { otherOrigin: true }, threads: 1 },
  {
    what: 'a page that is not isolated, with a strict policy',
    wish: { isolated: false, headers: { 'Content-Security-Policy': POLICY } },
    threads: 1,
  },
];

interface Result {
  plan: PlanReport;
  numbers: number[];
}

describe('ONNX files in pages', { skip: missingBrowser('chromium') }, () => {
  let browser: Browser;
  before(async () => (browser = await launch('chromium')));
  after(() => browser?.close());

  for (const { what, wish, threads } of PAGES) {
    it(what, async () => {
      const { page, dist, errors, close } = await openPage(browser, { body: '', ...wish });
      try {
        const result = await page.evaluate(
          async (script, dims, data): Promise<Result> => {
            const api = (await import(script)) as { loadModel(source: string, options: object): Promise<Model> };
            const source = new URL('/test/fixtures/onnx/products.onnx', location.href).href;
            const model = await api.loadModel(source, { backend: 'wasm', threads: 2 });
            const { y: output } = await model.run({ x: { type: 'float32', dims, data: Float32Array.from(data) } });
            await model.dispose();
            return { plan: model.info.plan, numbers: [...(output!.data as Float32Array)] };
          },
          `${dist}index.js`,
          [...x.dims],
          [...x.data],
        );
        assertClose(result.numbers, y.data, 1e-5);
        assert.equal(result.plan.threads, threads, JSON.stringify(result.plan.reasons));
        assert.deepEqual(errors, []);
      } finally {
        await close();
      }
    });
  }
});
