// Every architecture at f16 on the WASM backend: prefill and 20 cached decode steps as transformers computes them, with both
// builds of the kernels, on one thread and on two.

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { createWasmBackend } from '../../runtime/backends/wasm/index.ts';
import { chooseBuild } from '../../runtime/backends/wasm/kernels.ts';
import { compareWithGoldens, openDecoder, parseGoldens, tolerance, VARIANTS } from './golden-decoder.ts';

const root = new URL('../fixtures/decoders/', import.meta.url);
const hasRelaxed = chooseBuild('auto') === 'relaxed';

const BUILDS = [
  { name: 'relaxed SIMD', options: { relaxedSimd: true, threads: 1 }, isHere: hasRelaxed },
  { name: 'SIMD', options: { relaxedSimd: false, threads: 1 }, isHere: true },
  { name: 'two threads', options: { threads: 2 }, isHere: true },
] as const;

it('every checkpoint of the fixtures is here', () => {
  const folders = readdirSync(root, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  assert.deepEqual(folders.map(({ name }) => name).sort(), [...VARIANTS]);
});

const missing = 'this Node has no sound relaxed SIMD; decoders.browser.test.ts runs that build';
for (const { name, options, isHere } of BUILDS) {
  describe(`decoders at f16 on WASM, ${name}`, { skip: isHere ? false : missing }, () => {
    for (const variant of VARIANTS) {
      it(`${variant}: logits as transformers`, async (t) => {
        const backend = await createWasmBackend(options);
        try {
          const folder = new URL(`${variant}/`, root);
          const goldens = parseGoldens(
            readFileSync(new URL('goldens.json', folder), 'utf8'),
            readFileSync(new URL('goldens.bin', folder)),
          );
          const decoder = await openDecoder(folder.href, backend);
          const { prefill, decode, firstOtherToken } = await compareWithGoldens(decoder, goldens);
          t.diagnostic(`prefill ${prefill.toExponential(1)}, decode ${decode.toExponential(1)}`);
          assert.ok(prefill <= tolerance(variant), `prefill: ${prefill}`);
          assert.ok(decode <= tolerance(variant), `decode: ${decode}`);
          assert.equal(firstOtherToken, undefined);
        } finally {
          backend.dispose();
        }
      });
    }
  });
}
