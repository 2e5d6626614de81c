// Every architecture at f16 on this browser's GPU, and by this browser's kernels on the CPU: prefill and 20 cached decode
// steps as transformers computes them.

import { expect } from '@esm-bundle/chai';
import type { Backend } from '../../runtime/backends/backend.ts';
import { createWasmBackend } from '../../runtime/backends/wasm/index.ts';
import { createWebGpuBackend } from '../../runtime/backends/webgpu/index.ts';
import { skip } from '../support/skip.ts';
import { missingGpu } from '../webgpu/missing-gpu.ts';
import { compareWithGoldens, openDecoder, parseGoldens, tolerance, VARIANTS } from './golden-decoder.ts';

const BACKENDS = {
  WebGPU: { create: () => createWebGpuBackend(), missing: missingGpu },
  WASM: { create: () => createWasmBackend({ threads: 1 }), missing: () => undefined },
} as const;

for (const [name, { create, missing }] of Object.entries(BACKENDS)) {
  describe(`decoders at f16 on ${name}`, function () {
    this.timeout(120_000);
    let backend: Backend;

    before(async function () {
      const reason = await missing();
      if (reason) skip(this, reason);
      backend = await create();
    });
    after(() => backend?.dispose());

    for (const variant of VARIANTS) {
      it(`${variant}: logits as transformers`, async () => {
        const folder = new URL(`/test/fixtures/decoders/${variant}/`, location.href);
        const get = (file: string): Promise<Response> => fetch(new URL(file, folder));
        const goldens = parseGoldens(
          await (await get('goldens.json')).text(),
          new Uint8Array(await (await get('goldens.bin')).arrayBuffer()),
        );
        const decoder = await openDecoder(folder.href, backend);
        const { prefill, decode, firstOtherToken } = await compareWithGoldens(decoder, goldens);
        console.log(`${variant}: prefill ${prefill.toExponential(1)}, decode ${decode.toExponential(1)}`);
        expect(prefill, 'prefill').to.be.at.most(tolerance(variant));
        expect(decode, 'decode').to.be.at.most(tolerance(variant));
        expect(firstOtherToken).to.equal(undefined);
        decoder.program.dispose();
      });
    }
  });
}
