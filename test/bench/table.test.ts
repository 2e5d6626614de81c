// The figures that the bench derives from what it measured, the page that shows them, and the options that it refuses.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { OptionError, readOptions } from '../../bench/options.mjs';
import { reportPage } from '../../bench/report.mjs';
import {
  cellsOf,
  COLUMNS,
  kernelLines,
  kernelRows,
  limitLines,
  ratios,
  shares,
  softwareWarning,
} from '../../bench/table.mjs';
import { gpuPhases } from '../../bench/watch-gpu.mjs';

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

describe('kernels of a decode step', () => {
  const profiled = {
    ...ours,
    backend: 'webgpu',
    kernelTimings: [
      { operation: 'embed', variant: 'embed rows=8', calls: 1, microseconds: 2, bytes: 1000, flops: 0 },
      { operation: 'linear', variant: 'matvec <rows=8>', calls: 3, microseconds: 10, bytes: 5e6, flops: 2e8 },
    ],
  };
  const onGpu = {
    webgpu: { ...limits.webgpu, flopsPerSecond: { f32: 2e13, f16: 4e13 } },
  };

  it('stand beside the bytes and the operations that the device does at most, the costliest first', () => {
    const [linear, embed] = kernelRows(profiled, onGpu);
    assert.equal(linear?.operation, 'linear');
    assert.equal(linear.ofStep, 30 / 32);
    for (const share of [linear.byBytes, linear.byFlops]) assert.ok(Math.abs(share - 0.5) < 1e-9, String(share));
    assert.ok(Number.isNaN(embed?.byFlops));
    assert.match(kernelLines(profiled, onGpu)[0] ?? '', /500 GB\/s \(50 % of the limit\), 20\.0 TFLOP\/s \(50 %\)/);
    assert.match(limitLines(onGpu)[0] ?? '', /20\.0 TFLOP\/s in f32, 40\.0 TFLOP\/s in f16/);
  });

  it('claim no share of operations where the limit was not measured', () => {
    assert.ok(Number.isNaN(kernelRows(profiled, limits)[0]?.byFlops));
  });

  it('are plots and rows of the page, and so is what tuning gained', () => {
    const tuning = {
      milliseconds: 900.4,
      compilingMilliseconds: 300,
      timer: 'timestamps',
      remaining: ['another'],
      choices: [
        { key: 'matvec <rows=8>', chosen: { lanes: 8 }, standardMicroseconds: 20, bestMicroseconds: 10 },
        { key: 'matmul rows=8', standardMicroseconds: 30, bestMicroseconds: 30 },
      ],
      untuned: { promptTokensPerSecond: 500, decodeTokensPerSecond: 80 },
    };
    const page = reportPage([{ what: 'S1', limits: onGpu, results: [{ ...profiled, tuning }] }], 'main {}');
    // Three of every section, three of tuning, three of kernels.
    assert.equal(page.match(/<svg /g)?.length, 9);
    assert.match(page, /matvec &#60;rows=8&#62;/);
    assert.match(page, /\{&#34;lanes&#34;:8\}/);
    assert.match(page, /1 kernels? left/);
    assert.match(page, /aria-label="Best variant, of the time as it was: matvec 50 %, matmul 100 %"/);
  });
});

describe('compiling beside the weights', () => {
  const weights = [
    { what: 'weights', start: 100, end: 110 },
    { what: 'weights', start: 600, end: 700 },
  ] as const;
  const compiling = (start: number, end: number, compiled: number) =>
    ({ what: 'compiling', start, end, compiled }) as const;

  it('is hidden while weights are written', () => {
    const phases = gpuPhases([...weights, compiling(50, 400, 12)], 800);
    assert.deepEqual(phases, {
      pipelines: 12,
      lateMs: 0,
      compiling: [50, 400],
      weights: [100, 700],
      afterWeightsMs: 0,
    });
  });

  it('is waited for after them, and after the model was ready', () => {
    const phases = gpuPhases(
      [...weights, compiling(50, 400, 10), compiling(500, 790, 12), compiling(900, 930, 14)],
      800,
    );
    assert.equal(phases?.afterWeightsMs, 90);
    assert.equal(phases.pipelines, 12);
    assert.equal(phases.lateMs, 30);
  });

  it('is unknown where there is no GPU', () => {
    assert.equal(gpuPhases([], 800), undefined);
  });
});

describe('the options', () => {
  it('name the file after what is measured', () => {
    const options = readOptions(['--shape', '15m', '--peer', 'wllama,ort,transformers.js', '--threads', '2']);
    assert.deepEqual(options['peers'], ['wllama', 'ort', 'transformers.js']);
    assert.match(String(options['json']), /15m-auto-auto-2t/);
  });

  for (const args of [
    ['--shape', '2m'],
    ['--backend', 'cuda'],
    ['--rounds', '0'],
    ['--prompt', 'many'],
    ['--peer', 'llama'],
    ['--peer', 'ort', '--model', 'https://example.org/model/'],
    ['--peer', 'transformers.js', '--model', 'https://example.org/model/'],
    ['--peer', 'wllama', '--in', 'node'],
    ['--shape', 'tiny', '--precision', 'f16'],
    ['--unknown'],
  ]) {
    it(`refuse ${args.join(' ')}`, () => {
      assert.throws(() => readOptions(args), OptionError);
    });
  }
});
