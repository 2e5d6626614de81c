// Every kernel, both builds, in real browsers: engines lower relaxed SIMD in their own ways.

import { chooseBuild, type KernelBuild } from '../../runtime/backends/wasm/kernels.ts';
import { skip } from '../support/skip.ts';
import { ATTENTION_CASES } from './attention-cases.ts';
import { KernelHarness } from './kernel-harness.ts';
import { LINEAR_CASES } from './linear-cases.ts';
import { ROW_CASES } from './row-cases.ts';

for (const build of ['plain', 'relaxed'] satisfies KernelBuild[]) {
  describe(`WASM kernels, ${build} SIMD`, () => {
    let harness: KernelHarness;
    before(async function () {
      if (build === 'relaxed' && chooseBuild('auto') === 'plain') skip(this, 'this browser has no relaxed SIMD');
      harness = await KernelHarness.create(build);
    });
    for (const { name, run } of [...LINEAR_CASES, ...ROW_CASES, ...ATTENTION_CASES]) {
      it(name, () => {
        harness.reset();
        run(harness);
      });
    }
  });
}
