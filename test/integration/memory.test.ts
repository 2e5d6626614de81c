// What a model really takes beside what was planned: once it is loaded, at the peak of loading, and after it was disposed of.
// The peak counts the program (its memory of WebAssembly holds all of it from the start) and every live buffer of the
// heap (what was read ahead, what is being converted), at each weight; garbage is collected before it is counted.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { createWasmBackend } from '../../runtime/backends/wasm/index.ts';
import { openDecoder, type OpenDecoderOptions } from './golden-decoder.ts';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;
/** Live bytes of buffers outside of WebAssembly. */
function liveBytes(): number {
  // The second waits for what the first left to be freed beside it.
  collectGarbage();
  collectGarbage();
  return process.memoryUsage().arrayBuffers;
}

const LOADED_LIMIT = 1.15;
const PEAK_LIMIT = 1.2;

const embedded = new URL('../../models/fable-25m/', import.meta.url);
const shared = new URL('../../../shared/models/fable-25m/', import.meta.url);
const missing = existsSync(shared) ? false : '../shared/models/fable-25m is not on this machine';

const CASES: readonly { what: string; folder: URL; options: OpenDecoderOptions; skip: string | false }[] = [
  { what: 'the embedded model, at 4 bits as stored', folder: embedded, options: { precision: 'auto' }, skip: false },
  { what: 'f16 weights, quantised to 2 bits', folder: shared, options: { precision: '2bit' }, skip: missing },
  { what: 'f16 weights, quantised to 3 bits', folder: shared, options: { precision: '3bit' }, skip: missing },
  { what: 'f16 weights, quantised to 4 bits', folder: shared, options: { precision: '4bit' }, skip: missing },
  { what: 'f16 weights, quantised to 8 bits', folder: shared, options: { precision: '8bit' }, skip: missing },
  { what: 'f16 weights, as stored', folder: shared, options: { precision: 'f16' }, skip: missing },
];

describe('memory beside the plan', () => {
  for (const { what, folder, options, skip } of CASES) {
    it(what, { skip }, async (t) => {
      const backend = await createWasmBackend({ threads: 1 });
      const before = liveBytes();
      let peak = 0;
      const { program, plannedBytes } = await openDecoder(folder.href, backend, {
        ...options,
        contextLength: 1024,
        maxTokens: 'planned',
        onWeight: (loading) => (peak = Math.max(peak, liveBytes() - before + totalBytes(loading.memory()))),
      });
      const loaded = totalBytes(program.memory()) + Math.max(0, liveBytes() - before);
      const ratio = (bytes: number): number => bytes / plannedBytes;
      t.diagnostic(
        `planned ${megabytes(plannedBytes)}; loaded ${megabytes(loaded)} (× ${ratio(loaded).toFixed(3)}), ` +
          `peak ${megabytes(peak)} (× ${ratio(peak).toFixed(3)})`,
      );
      assert.ok(peak > 0);
      assert.ok(ratio(loaded) <= LOADED_LIMIT, `loaded: × ${ratio(loaded)}`);
      assert.ok(ratio(peak) <= PEAK_LIMIT, `peak: × ${ratio(peak)}`);
      backend.dispose();
    });
  }

  it('thirty models, one after another, leave nothing behind', async (t) => {
    const script = fileURLToPath(new URL('./thirty-models.mjs', import.meta.url));
    const { stdout } = await promisify(execFile)(process.execPath, ['--gc-global', script]);
    const resident = JSON.parse(stdout) as number[];
    t.diagnostic(`resident after each: ${resident.map(megabytes).join(', ')}`);
    assert.equal(resident.length, 30);
    // Each model takes about 25 MB. The heap settles in the first ten; had even half of a model stayed, the last ten would
    // lie 120 MB above the ten before them.
    const grown = Math.min(...resident.slice(20)) - Math.min(...resident.slice(10, 20));
    assert.ok(grown < 60e6, `${megabytes(grown)} more are held by the last ten`);
  });
});

function totalBytes({
  weights,
  keyValueCache,
  activations,
  other,
}: {
  weights: number;
  keyValueCache: number;
  activations: number;
  other: number;
}): number {
  return weights + keyValueCache + activations + other;
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
