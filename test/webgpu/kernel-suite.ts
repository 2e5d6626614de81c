// Kernel cases as tests, on the device that this browser has.

import { expect } from '@esm-bundle/chai';
import { createWebGpuBackend, type WebGpuBackend } from '../../runtime/backends/webgpu/index.ts';
import { PipelineCache } from '../../runtime/backends/webgpu/pipelines.ts';
import { twoLevelScales } from '../../runtime/backends/webgpu/two-level-scales.ts';
import { Random } from '../support/random.ts';
import { skip } from '../support/skip.ts';
import type { KernelCase } from './kernel-case.ts';
import { missingGpu } from './missing-gpu.ts';
import { runKernel } from './run-kernel.ts';

export function describeKernels(title: string, cases: readonly KernelCase[]): void {
  describe(title, function () {
    this.timeout(120_000);
    let backend: WebGpuBackend;
    let pipelines: PipelineCache;

    before(async function () {
      const missing = await missingGpu();
      if (missing) skip(this, missing);
      await twoLevelScales.load();
      backend = await createWebGpuBackend();
      pipelines = new PipelineCache(backend.device);
    });

    after(() => backend?.dispose());

    for (const kernelCase of cases) {
      it(kernelCase.name, async function () {
        const unsupported = kernelCase.unsupported?.(backend.profile);
        if (unsupported) skip(this, unsupported);
        const problems = await runKernel(backend.device, pipelines, kernelCase.prepare(new Random(11)));
        expect(problems).to.deep.equal([]);
      });
    }
  });
}
