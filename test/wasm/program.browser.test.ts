// Whole programs in a browser, both builds. Threads need a worker (a page's main thread may not block) and isolation.

import { chooseBuild } from '../../runtime/backends/wasm/kernels.ts';
import { skip } from '../support/skip.ts';
import { expectSameLogits, prepareCase, PROGRAM_CASES, runOnReference, runOnWasm } from './program-cases.ts';

describe('WASM programs in a browser', () => {
  for (const relaxedSimd of [false, true]) {
    for (const programCase of PROGRAM_CASES) {
      it(`${programCase.name}, ${relaxedSimd ? 'relaxed' : 'plain'} SIMD`, async function () {
        if (relaxedSimd && chooseBuild('auto') === 'plain') skip(this, 'this browser has no relaxed SIMD');
        const prepared = prepareCase(programCase);
        const logits = await runOnWasm(prepared, { threads: 1, relaxedSimd });
        expectSameLogits(logits, await runOnReference(prepared), programCase.format);
      });
    }
  }

  it('gives the same bits on two threads as on one, inside a worker', async function () {
    if (!crossOriginIsolated) skip(this, 'this page is not cross-origin isolated, so memory cannot be shared');
    const worker = new Worker(new URL('./threads.worker.ts', import.meta.url), { type: 'module' });
    try {
      const answer = await new Promise<string>((resolve, reject) => {
        worker.onmessage = (event: MessageEvent<string>) => resolve(event.data);
        worker.onerror = (event) => reject(new Error(event.message || 'the worker did not start'));
      });
      if (answer !== 'same') throw new Error(answer);
    } finally {
      worker.terminate();
    }
  });
});
