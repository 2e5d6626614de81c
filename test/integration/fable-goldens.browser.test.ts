// fable-25m with f16 weights in this browser, through the built package: as transformers computes it.
// A GPU made of software takes seconds for what a GPU does at once, so two prompts speak for the ten there: a chat, whose
// answer ends by itself, and a continued text of 64 tokens.

import { expect } from '@esm-bundle/chai';
import type { Model } from '../../runtime/index.ts';
import { skip } from '../support/skip.ts';
import { missingGpu } from '../webgpu/missing-gpu.ts';
import { judge, runPrompt, type GoldenFile } from './golden-prompts.ts';

const MODEL = new URL('/__shared__/models/fable-25m/', location.href).href;
const FIXTURES = new URL('/test/fixtures/fable-25m/', location.href);
/** Indices of goldens.json. */
const CHOSEN: Record<'webgpu' | 'wasm', readonly number[]> = { webgpu: [3, 4], wasm: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9] };

for (const backend of ['wasm', 'webgpu'] as const) {
  describe(`fable-25m at f16 on ${backend}`, function () {
    this.timeout(300_000);
    let model: Model | undefined;
    let goldens: GoldenFile;
    let logits: Float32Array;

    before(async function () {
      if (!(await fetch(`${MODEL}config.json`)).ok) skip(this, '../shared/models/fable-25m is not on this machine');
      const missing = backend === 'webgpu' ? await missingGpu() : undefined;
      if (missing) skip(this, missing);
      goldens = (await (await fetch(new URL('goldens.json', FIXTURES))).json()) as GoldenFile;
      logits = new Float32Array(await (await fetch(new URL('logits.bin', FIXTURES))).arrayBuffer());
      const api = (await import(
        new URL('/dist/index.js', location.href).href
      )) as typeof import('../../runtime/index.ts');
      model = await api.loadModel(MODEL, { backend, precision: 'f16', contextLength: 128 });
      console.log(`${model.info.plan.backendDescription}`);
    });
    after(() => model?.dispose());

    it('takes the memory that was planned', async () => {
      const { planned, actual } = await model!.memory();
      const ratio = actual.total / planned.total;
      console.log(`memory: planned ${planned.total}, actual ${actual.total} (× ${ratio.toFixed(3)})`);
      expect(actual.weights).to.be.at.least(planned.weights);
      expect(ratio).to.be.at.most(1.15);
    });

    for (const index of CHOSEN[backend]) {
      it(`prompt ${index}: logits and greedy answer as transformers`, async () => {
        const prompt = goldens.prompts[index]!;
        const golden = logits.subarray(index * goldens.vocabulary, (index + 1) * goldens.vocabulary);
        const result = await runPrompt(model!, prompt, golden);
        console.log(
          `${index}: error ${result.error.toExponential(1)}, largest ${result.largestError.toExponential(1)}`,
        );
        expect(judge(prompt, result)).to.deep.equal([]);
      });
    }
  });
}
