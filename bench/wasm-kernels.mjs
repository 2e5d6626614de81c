// How fast the WASM kernels multiply, one thread, beside what memory gives: G multiply-adds a second for one token (decoding)
// and for 16 (prefill), by format and build. In Chromium by default; `--node` runs in this Node.
//
//   node bench/wasm-kernels.mjs [--node] [--rows 2560 --columns 512]

import { build } from 'esbuild';
import { createServer } from 'node:http';
import { fileURLToPath } from 'node:url';
import puppeteer from 'puppeteer-core';
import { chromium } from '../scripts/browsers.mjs';
import { isolationHeaders } from '../scripts/isolation.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const option = (name, fallback) => {
  const at = process.argv.indexOf(`--${name}`);
  return at < 0 ? fallback : Number(process.argv[at + 1]);
};
const shapes = process.argv.includes('--rows')
  ? [[option('rows', 0), option('columns', 0)]]
  : [
      [1024, 512], // fable-25m: queries, keys and values
      [2560, 512], // gate and up
      [512, 1280], // down
      [9728, 896], // gate and up of a model of half a billion parameters
    ];

/** Runs in the browser, or here. */
const entry = `
  import { KernelHarness } from './test/wasm/kernel-harness.ts';
  import { chooseBuild } from './runtime/backends/wasm/kernels.ts';
  import { STEP_FIELDS } from './runtime/backends/wasm/layouts.ts';

  const TOKENS = 16;
  const FORMATS = {
    q4g32: { bits: 4.5, prepare: 'quantizeActivations4', linear: 'linearQ4' },
    q8g32: { bits: 8.5, prepare: 'quantizeActivations8', linear: 'linearQ8' },
    f16: { bits: 16, prepare: 'foldActivations', linear: 'linearF16' },
    f32: { bits: 32, linear: 'linearF32' },
  };

  /**
   * Seconds of one call of \`work\`, which does \`operations\` multiply-adds: the fastest of many runs of a few milliseconds,
   * since another program on the machine can only slow a run down.
   */
  function time(work, operations) {
    const calls = Math.max(1, Math.round(2e7 / operations));
    let fastest = Infinity;
    const end = performance.now() + 300;
    while (performance.now() < end) {
      const start = performance.now();
      for (let i = 0; i < calls; i++) work();
      fastest = Math.min(fastest, (performance.now() - start) / (calls * 1000));
    }
    return fastest;
  }

  export async function measure(shapes) {
    const results = [];
    const builds = chooseBuild('auto') === 'relaxed' ? ['relaxed', 'plain'] : ['plain'];
    for (const build of builds) {
      const harness = await KernelHarness.create(build, 160 << 20);
      for (const [rows, columns] of shapes) {
        for (const [format, { bits, prepare, linear }] of Object.entries(FORMATS)) {
          harness.reset();
          const numbers = format === 'f32' ? columns * 4 : format === 'f16' ? columns * 2 : (columns * Math.floor(bits)) / 8;
          const weights = harness.reserve(rows * numbers, 0);
          const view = new DataView(harness.memory.buffer);
          const random = () => Math.random() + Math.random() - 1;
          if (format === 'f32') for (let i = 0; i < rows * columns; i++) view.setFloat32(weights + 4 * i, random() / 20, true);
          else if (format === 'f16') {
            // Halves with exponents of 2^-10 … 2^-3, as weights have them; no subnormals.
            for (let i = 0; i < rows * columns; i++) {
              view.setUint16(weights + 2 * i, ((Math.random() * 2) << 15) | ((5 + Math.random() * 8) << 10) | (Math.random() * 1024), true);
            }
          } else for (let i = 0; i < rows * numbers; i++) view.setUint8(weights + i, Math.random() * 256);
          const scales = harness.place(new Uint16Array((rows * columns) / 32).fill(0x1c00));
          const input = harness.place(Float32Array.from({ length: TOKENS * columns }, random));
          const prepared = harness.output(harness.preparedBytes(format, TOKENS, columns));
          const output = harness.output(TOKENS * rows * 4);
          const record = harness.record([weights, scales, 0, input, prepared, output, rows, columns, STEP_FIELDS.tokens, { f32: 1 }]);
          if (prepare) harness.call(prepare, record, 0, TOKENS);
          const blocks = rows / 4;
          const run = (tokens) => {
            harness.step({ tokens });
            const seconds = time(() => harness.call(linear, record, 0, blocks), tokens * rows * columns);
            return (tokens * rows * columns) / seconds / 1e9;
          };
          const [one, many] = [run(1), run(TOKENS)];
          results.push({
            build, format, rows, columns,
            'matrix × vector, G/s': one,
            'matrix × matrix, G/s': many,
            'GB/s of weights': (one * bits) / 8,
          });
        }
      }
    }
    // What memory gives one core: a norm reads 64 MiB twice and writes it once, which is read to be written.
    const harness = await KernelHarness.create('plain', 160 << 20);
    const columns = 1 << 24;
    const numbers = harness.reserve(columns * 4, 0);
    const norm = harness.record([numbers, 0, 0, numbers, numbers, columns, { f32: 1 }]);
    const seconds = time(() => harness.call('rmsNorm', norm, 0, 1), columns);
    return { results, memory: (columns * 4 * 3) / seconds / 1e9 };
  }
`;

async function bundle(format) {
  const result = await build({
    stdin: { contents: entry, resolveDir: root, loader: 'ts' },
    bundle: true,
    write: false,
    format,
    globalName: 'bench',
    target: 'es2022',
  });
  return result.outputFiles[0].text;
}

async function inChromium() {
  const script = await bundle('iife');
  const server = createServer((_, response) =>
    // Isolated pages have the finer clock.
    response
      .writeHead(200, { 'content-type': 'text/html', ...isolationHeaders })
      .end('<!doctype html><title>bench</title>'),
  );
  await new Promise((resolve) => server.listen(0, resolve));
  const browser = await puppeteer.launch(await chromium());
  try {
    const page = await browser.newPage();
    await page.goto(`http://localhost:${server.address().port}/`);
    await page.addScriptTag({ content: script });
    return await page.evaluate((list) => globalThis.bench.measure(list), shapes);
  } finally {
    await browser.close();
    server.close();
  }
}

async function inNode() {
  const url = `data:text/javascript;base64,${Buffer.from(await bundle('esm')).toString('base64')}`;
  return (await import(url)).measure(shapes);
}

const { results, memory } = await (process.argv.includes('--node') ? inNode() : inChromium());
console.table(
  results.map((row) =>
    Object.fromEntries(
      Object.entries(row).map(([key, value]) => [
        key,
        typeof value === 'number' && key.includes('/') ? Number(value.toFixed(1)) : value,
      ]),
    ),
  ),
);
console.log(`Reading and writing memory (a norm of 64 MiB): ${memory.toFixed(1)} GB/s.`);
