// Every kernel in every variant against its operation's reference, on the device that this browser has.

import { expect } from '@esm-bundle/chai';
import { createWebGpuBackend, type WebGpuBackend } from '../../runtime/backends/webgpu/index.ts';
import { PipelineCache } from '../../runtime/backends/webgpu/pipelines.ts';
import { Random } from '../support/random.ts';
import { skip } from '../support/skip.ts';
import { ATTENTION_CASES } from './cases/attention.ts';
import { FUSED_CASES } from './cases/fused.ts';
import { LINEAR_CASES } from './cases/linear.ts';
import { ROW_CASES } from './cases/rows.ts';
import { missingGpu } from './missing-gpu.ts';
import { runKernel } from './run-kernel.ts';

describe('WebGPU kernels', function () {
  this.timeout(120_000);
  let backend: WebGpuBackend;
  let pipelines: PipelineCache;

  before(async function () {
    const missing = await missingGpu();
    if (missing) skip(this, missing);
    backend = await createWebGpuBackend();
    pipelines = new PipelineCache(backend.device);
  });

  after(() => backend?.dispose());

  for (const kernelCase of [...ROW_CASES, ...LINEAR_CASES, ...FUSED_CASES, ...ATTENTION_CASES]) {
    it(kernelCase.name, async function () {
      const unsupported = kernelCase.unsupported?.(backend.profile);
      if (unsupported) skip(this, unsupported);
      const problems = await runKernel(backend.device, pipelines, kernelCase.prepare(new Random(11)));
      expect(problems).to.deep.equal([]);
    });
  }
});
