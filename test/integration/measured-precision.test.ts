// From a text to bits on a device: what `quantize` measures stands in the file, and `auto` goes by it where memory is short.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { distApi } from './dist-api.ts';

const folder = mkdtempSync(join(tmpdir(), 'measured-'));
after(() => rmSync(folder, { recursive: true }));
const source = fileURLToPath(new URL('../fixtures/stories260K/', import.meta.url));
const text = Array.from({ length: 12 }, (_, i) => `Once upon a time, ${i} little birds sat on a big tree. `).join('');

it('auto takes the budget from the device, and the bits from what was measured', async () => {
  const { loadModel, quantize } = await distApi();
  const options = { bits: 16, method: 'search', calibration: text, name: 'm', budgetBytes: 'device' } as const;
  const { files } = await quantize(source, { ...options, output: 'safetensors' });
  for (const { name, bytes } of files) writeFileSync(join(folder, name), bytes);
  const wishes = { backend: 'wasm', threads: 1, contextLength: 64 } as const;
  const open = async (memoryLimitBytes?: number) => {
    const model = await loadModel(folder, { ...wishes, memoryLimitBytes });
    const { plan } = model.info;
    await model.dispose();
    return plan;
  };
  const ample = await open();
  assert.match(ample.reasons.find(({ topic }) => topic === 'precision')!.reason, /^8 bits a weight/);
  // Room for four fifths of the weights; the chunks, which give way first, are as short as they get.
  const { weights, keyValueCache, activations } = ample.memory;
  const memoryLimitBytes = 0.8 * weights + keyValueCache + activations / 2;
  const short = await open(memoryLimitBytes);
  assert.ok(short.memory.total <= memoryLimitBytes);
  assert.ok(short.memory.weights > 0.7 * weights, `${short.memory.weights} of ${weights}`);
  const { reason } = short.reasons.find(({ topic }) => topic === 'precision')!;
  assert.match(reason, /bits a weight, each layer and role by the sensitivity that the file states/);
});
