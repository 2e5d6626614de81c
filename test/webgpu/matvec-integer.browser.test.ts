// Products in integers: the kernel, on every row of the format table, and a decoder whose steps run on it.

import { expect } from '@esm-bundle/chai';
import { createWebGpuBackend, WebGpuBackend } from '../../runtime/backends/webgpu/device.ts';
import { integerKernels } from '../../runtime/backends/webgpu/integer-kernels.ts';
import { matvecIntegerKernels } from '../../runtime/backends/webgpu/matvec-integer-kernels.ts';
import { skip } from '../support/skip.ts';
import { MATVEC_INTEGER_CASES } from './cases/matvec-integer.ts';
import { describeKernels } from './kernel-suite.ts';
import { missingGpu } from './missing-gpu.ts';
import { runProgramCase } from './program-cases.ts';

/** Each of nine products rounds its activations, half a per cent a sum: 1.5 %, and several times that for the worst logit. */
const ROUNDED = 0.12;

describeKernels('WebGPU matrix-vector products in integers', MATVEC_INTEGER_CASES);

describe('WebGPU decoder in integers', function () {
  this.timeout(120_000);

  for (const format of ['q4g32', 'q3g64m'] as const) {
    it(`${format}: steps of one token are near the reference`, async function () {
      const missing = await missingGpu();
      if (missing) skip(this, missing);
      await Promise.all([matvecIntegerKernels.load(), integerKernels.load()]);
      const create = async (): Promise<WebGpuBackend> => {
        const { device, profile } = await createWebGpuBackend();
        if (!profile.integerDots) skip(this, 'this browser has no integer dot products');
        // As on a real GPU: programs on processors stay with floats.
        return new WebGpuBackend(device, { ...profile, isSoftware: false }, 'as on a real GPU');
      };
      const decoder = { columns: 128, width: 192, hasBias: true };
      const { differences, kernels } = await runProgramCase({ name: format, decoder, format, create });
      expect(kernels.filter((key) => key.startsWith('matvecInteger')).length).to.be.above(4);
      expect(kernels.filter((key) => key.startsWith('matvec '))).to.deep.equal([]);
      for (const { tokens, relative, isFinite } of differences) {
        expect(isFinite, `${tokens} tokens: all logits are finite`).to.equal(true);
        expect(relative, `${tokens} tokens`).to.be.below(ROUNDED);
      }
    });
  }
});
