// How fast the WASM kernels multiply, one thread, beside what memory gives: G multiply-adds a second for one token (decoding)
// and for 16 (prefill), by format and build. In Chromium by default; `--node` runs in this Node.
//
//   node bench/wasm-kernels.mjs [--node] [--rows 2560 --columns 512] [--formats q2g32,q4g32] [--builds relaxed,plain]
//
// The machine's other work comes and goes: the formats of a shape are timed in turns, and the fastest of each counts.

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
const list = (name, fallback) => {
  const at = process.argv.indexOf(`--${name}`);
  return at < 0 ? fallback : process.argv[at + 1].split(',');
};
const formats = list('formats', ['q2g32', 'q3g32', 'q4g32', 'q8g32', 'q2k', 'q3k', 'q4k', 'q5k', 'q6k', 'f16', 'f32']);
const builds = list('builds', ['relaxed', 'plain']);
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
  import { FORMATS, formatBytes, formatLimit, isQuantized } from './runtime/quantization/formats.ts';

  const TOKENS = 16;

  /**
   * Seconds of one call of \`work\`, which does \`operations\` multiply-adds: the fastest of many runs of a few milliseconds,
   * since another program on the machine can only slow a run down.
   */
  function time(work, operations) {
    const calls = Math.max(1, Math.round(2e7 / operations));
    let fastest = Infinity;
    const end = performance.now() + 50;
    while (performance.now() < end) {
      const start = performance.now();
      for (let i = 0; i < calls; i++) work();
      fastest = Math.min(fastest, (performance.now() - start) / (calls * 1000));
    }
    return fastest;
  }

  /** A matrix of random bytes; plain numbers are of the size of weights, and none is subnormal. */
  function randomMatrix(format, rows, columns) {
    const bytes = formatBytes(format, rows, columns);
    const random = (length) => Uint8Array.from({ length }, () => Math.random() * 256);
    const halves = (length) => Uint16Array.from({ length: length / 2 }, () => 0x1c00 + Math.random() * 1024);
    const plain = {
      f16: () => new Uint8Array(halves(bytes.planes[0]).buffer),
      f32: () => new Uint8Array(Float32Array.from({ length: rows * columns }, () => Math.random() / 20).buffer),
    };
    return {
      format, rows, columns,
      planes: isQuantized(format) ? bytes.planes.map(random) : [plain[format.name]()],
      scales: halves(bytes.scales),
      minimums: halves(bytes.minimums),
      scaleCodes: bytes.scaleCodes ? random(bytes.scaleCodes) : undefined,
    };
  }

  export async function measure({ shapes, formats, builds }) {
    const results = [];
    if (chooseBuild('auto') === 'plain') builds = ['plain'];
    for (const build of builds) {
      const harness = await KernelHarness.create(build, 192 << 20);
      for (const [rows, columns] of shapes) {
        harness.reset();
        const input = harness.place(Float32Array.from({ length: TOKENS * columns }, () => Math.random() + Math.random() - 1));
        const measured = formats.filter((name) => formatLimit(FORMATS[name], columns) === undefined).map((name) => {
          const placed = harness.placeMatrix(randomMatrix(FORMATS[name], rows, columns));
          const { record, prepare, linear } = harness.linear(placed, input, TOKENS);
          const bits = (formatBytes(FORMATS[name], rows, columns).total * 8) / (rows * columns);
          return { name, bits, record, prepare, linear, one: Infinity, many: Infinity };
        });
        for (let round = 0; round < 8; round++) {
          for (const row of measured) {
            const run = (tokens) => {
              harness.step({ tokens });
              return time(() => {
                if (row.prepare) harness.call(row.prepare, row.record, 0, tokens);
                harness.call(row.linear, row.record, 0, rows / 4);
              }, tokens * rows * columns);
            };
            row.one = Math.min(row.one, run(1));
            row.many = Math.min(row.many, run(TOKENS));
          }
        }
        for (const { name, bits, one, many } of measured) {
          results.push({
            build, format: name, rows, columns,
            'matrix × vector, G/s': (rows * columns) / one / 1e9,
            'matrix × matrix, G/s': (TOKENS * rows * columns) / many / 1e9,
            'GB/s of weights': (rows * columns * bits) / 8 / one / 1e9,
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
    return await page.evaluate((given) => globalThis.bench.measure(given), { shapes, formats, builds });
  } finally {
    await browser.close();
    server.close();
  }
}

async function inNode() {
  const url = `data:text/javascript;base64,${Buffer.from(await bundle('esm')).toString('base64')}`;
  return (await import(url)).measure({ shapes, formats, builds });
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
