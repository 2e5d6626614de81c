// Every kernel against the operations' references, in Node; kernels.browser.test.ts runs the same cases in browsers, which have
// the relaxed build where this Node has not.

import { describe, it } from 'node:test';
import { chooseBuild, type KernelBuild } from '../../runtime/backends/wasm/kernels.ts';
import { ATTENTION_CASES } from './attention-cases.ts';
import { KernelHarness } from './kernel-harness.ts';
import { LINEAR_CASES } from './linear-cases.ts';
import { ROW_CASES } from './row-cases.ts';

const best = chooseBuild('auto');

for (const build of ['plain', 'relaxed'] satisfies KernelBuild[]) {
  const skip = build === 'relaxed' && best === 'plain' ? 'this Node has no sound relaxed SIMD; browsers run it' : false;
  const harness = skip ? undefined : await KernelHarness.create(build);
  describe(`WASM kernels, ${build} SIMD`, () => {
    if (skip) it('all kernels', { skip });
    else {
      for (const { name, run } of [...LINEAR_CASES, ...ROW_CASES, ...ATTENTION_CASES]) {
        it(name, () => {
          harness!.reset();
          run(harness!);
        });
      }
    }
  });
}
