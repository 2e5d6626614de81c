// The figures that the bench derives from what it measured, the page that shows them, and the options that it refuses.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { OptionError, readOptions } from '../../bench/options.mjs';
import { reportPage } from '../../bench/report.mjs';
import { cellsOf, COLUMNS, ratios, shares, softwareWarning } from '../../bench/table.mjs';

const limits = {
  wasm: { bytesPerSecond: 8e9 },
  webgpu: { adapter: 'a GPU', bytesPerSecond: 1e12, microsecondsPerDispatch: 5 },
};
const ours = {
  engine: 'wp-models',
  title: 'wp-models',
  backend: 'wasm',
  precision: '4bit',
  threads: 1,
  promptTokens: 512,
  decodeTokens: 128,
  promptTokensPerSecond: 600,
  decodeTokensPerSecond: 100,
  weightBytesPerToken: 20e6,
  dispatchesPerToken: 100,
  loadMs: 1234.5,
};
const peer = {
  ...ours,
  engine: 'wllama',
  title: 'wllama',
  promptTokensPerSecond: 200,
  decodeTokensPerSecond: 40,
  weightBytesPerToken: undefined,
};
const failed = { engine: 'onnxruntime-web', title: 'onnxruntime-web q4', error: 'Error: out of <memory>' };

describe('shares of the limits', () => {
  it('are bytes a second of what a thread reads, times threads', () => {
    assert.equal(shares(ours, limits).byBytes, 0.25);
    assert.equal(shares({ ...ours, threads: 2 }, limits).byBytes, 0.125);
    assert.ok(Number.isNaN(shares(ours, limits).byDispatches));
  });

  it('are time in dispatches, on a GPU', () => {
    const { byBytes, byDispatches } = shares({ ...ours, backend: 'webgpu', threads: 4 }, limits);
    assert.equal(byBytes, 0.002);
    assert.equal(byDispatches, 0.05);
  });

  it('are not claimed where nothing is known', () => {
    assert.ok(Number.isNaN(shares(peer, limits).byBytes));
    assert.ok(Number.isNaN(shares(ours, {}).byBytes));
  });
});

describe('ratios', () => {
  it('are of wp-models to each peer of the same subject', () => {
    assert.deepEqual(ratios([ours, peer, failed]), [{ title: 'wllama', prompt: 3, decode: 2.5 }]);
    assert.deepEqual(
      ratios([
        { ...ours, what: 'a' },
        { ...peer, what: 'b' },
      ]),
      [],
    );
  });

  it('are none where wp-models failed, whoever comes first then', () => {
    assert.deepEqual(ratios([{ engine: 'wp-models', error: 'x' }, peer, { ...peer, title: 'another' }]), []);
  });
});

describe('the table', () => {
  it('has a cell for each column, a failure in words', () => {
    for (const result of [ours, peer, failed]) assert.equal(cellsOf(result, limits).length, COLUMNS.length);
    assert.ok(cellsOf(failed, limits).includes('failed: Error: out of <memory>'));
  });

  it('says when a GPU is none', () => {
    const software = { webgpu: { ...limits.webgpu, adapter: 'google swiftshader' } };
    assert.equal(softwareWarning({ limits: software, results: [ours] }), undefined);
    assert.match(softwareWarning({ limits: software, results: [{ ...ours, backend: 'webgpu' }] }) ?? '', /software/);
  });
});

describe('the page of results', () => {
  const page = reportPage(
    [{ what: 'S0 & co', command: 'npm run bench', userAgent: 'Firefox/140.0', limits, results: [ours, peer, failed] }],
    'main {}',
  );

  it('has bars and rows for what was measured, and the failure', () => {
    assert.equal(page.match(/<svg /g)?.length, 3);
    assert.equal(page.match(/<tr class="ours"/g)?.length, 1);
    assert.match(page, /out of &#60;memory&#62;/);
    assert.match(page, /S0 &#38; co/);
    assert.match(page, /Firefox 140/);
  });

  it('needs nothing from outside', () => {
    assert.doesNotMatch(page, /<script|<link|src=|url\(|@import/);
  });
});

describe('the options', () => {
  it('name the file after what is measured', () => {
    const options = readOptions(['--shape', '15m', '--peer', 'wllama,ort', '--threads', '2']);
    assert.deepEqual(options['peers'], ['wllama', 'ort']);
    assert.match(String(options['json']), /15m-auto-auto-2t/);
  });

  for (const args of [
    ['--shape', '2m'],
    ['--backend', 'cuda'],
    ['--rounds', '0'],
    ['--prompt', 'many'],
    ['--peer', 'llama'],
    ['--peer', 'ort', '--model', 'https://example.org/model/'],
    ['--peer', 'wllama', '--in', 'node'],
    ['--shape', 'tiny', '--precision', 'f16'],
    ['--unknown'],
  ]) {
    it(`refuse ${args.join(' ')}`, () => {
      assert.throws(() => readOptions(args), OptionError);
    });
  }
});
