// `npm run bench`: throughput of prefill and decode, in a browser or in Node, beside the machine's limits and, on the same
// page in the same run, beside a peer. See bench/README.md for the options and how to read the table.

import { mkdir, writeFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { createServer } from 'node:http';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { measure } from './measure.mjs';
import { wasmReadLimit } from './limits.mjs';
import { readModule } from './read-module.mjs';
import { SHAPES } from './shapes.mjs';
import { ggufFile, safetensorsFolder } from './synthetic-model.mjs';
import { printTable } from './table.mjs';
import { chromium, firefox } from '../scripts/browsers.mjs';
import { startServer } from '../scripts/server.mjs';

const root = new URL('..', import.meta.url).pathname;

const HELP = `npm run bench -- [options]

  --model SRC        what to load (default wp:fable-25m)
  --shape NAME       random weights of a published shape instead: ${Object.keys(SHAPES).join(', ')}
  --backend NAME     webgpu | wasm | auto (default auto)
  --precision P      4bit | 8bit | f16 | auto (default auto; shapes: 4bit or 8bit)
  --threads N        threads of the WASM backend (default 1)
  --in WHERE         chromium | firefox | node (default chromium)
  --peer wllama      measure wllama too, in the same page (WASM; needs --shape or --gguf)
  --gguf PATH        the peer's file for --model
  --prompt N         prompt tokens (default 512)
  --decode N         decoded tokens (default 128)
  --rounds N         rounds, of which the median counts (default 5)
  --json PATH        where the JSON goes (default bench/results/last.json)
  --headed           show the browser
`;

const { values } = parseArgs({
  options: {
    model: { type: 'string' },
    shape: { type: 'string' },
    backend: { type: 'string', default: 'auto' },
    precision: { type: 'string' },
    threads: { type: 'string', default: '1' },
    in: { type: 'string', default: 'chromium' },
    peer: { type: 'string' },
    gguf: { type: 'string' },
    prompt: { type: 'string', default: '512' },
    decode: { type: 'string', default: '128' },
    rounds: { type: 'string', default: '5' },
    json: { type: 'string', default: 'bench/results/last.json' },
    headed: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

if (values.help) {
  console.log(HELP);
  process.exit(0);
}
const fail = (message) => {
  console.error(`bench: ${message}\n\n${HELP}`);
  process.exit(2);
};
const shape = values.shape === undefined ? undefined : SHAPES[values.shape];
if (values.shape && !shape) fail(`unknown shape ${values.shape}`);
const bits = values.precision === '8bit' ? 8 : 4;
const sizes = {
  promptTokens: Number(values.prompt),
  decodeTokens: Number(values.decode),
  rounds: Number(values.rounds),
};

/** Serves the synthetic files by range, on a port of its own with CORS. */
async function serveShape() {
  const folder = safetensorsFolder(shape, bits);
  const files = { ...folder, 'model.gguf': ggufFile(shape) };
  const server = createServer((request, response) => {
    const name = new URL(request.url, 'http://localhost').pathname.slice(1);
    const file = files[name];
    const headers = {
      'access-control-allow-origin': '*',
      'access-control-allow-headers': '*',
      'access-control-expose-headers': '*',
      'cross-origin-resource-policy': 'cross-origin',
      'accept-ranges': 'bytes',
      'content-type': 'application/octet-stream',
    };
    if (request.method === 'OPTIONS') return response.writeHead(204, headers).end();
    if (!file) return response.writeHead(404, headers).end();
    const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '');
    const from = range ? Number(range[1]) : 0;
    const to = range?.[2] ? Math.min(Number(range[2]) + 1, file.size) : file.size;
    if (range) headers['content-range'] = `bytes ${from}-${to - 1}/${file.size}`;
    response.writeHead(range ? 206 : 200, { ...headers, 'content-length': to - from });
    if (request.method === 'HEAD') return response.end();
    let at = from;
    const push = () => {
      while (at < to) {
        const end = Math.min(at + (4 << 20), to);
        const more = response.write(file.read(at, end));
        at = end;
        if (!more) return response.once('drain', push);
      }
      response.end();
    };
    push();
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { url: `http://127.0.0.1:${server.address().port}/`, close: () => server.close() };
}

const threads = Number(values.threads);
const synthetic = shape ? await serveShape() : undefined;
const source = synthetic?.url ?? values.model ?? 'wp:fable-25m';
const context = sizes.promptTokens + sizes.decodeTokens + 64;
const ours = {
  engine: 'wp-models',
  source,
  options: {
    backend: values.backend,
    precision: shape ? 'auto' : (values.precision ?? 'auto'),
    threads,
    contextLength: context,
  },
  ...sizes,
};

async function inNode() {
  if (values.peer) fail('peers are measured in a browser: leave out --in node');
  const api = await import('../dist/index.js');
  const wasm = await wasmReadLimit(await readModule());
  const result = await measure(api, ours, console.log);
  return {
    limits: { wasm },
    results: [{ ...result, title: 'wp-models' }],
    userAgent: `Node.js ${process.version}`,
    isolated: true,
  };
}

async function inBrowser() {
  const launch = values.in === 'firefox' ? firefox() : await chromium();
  if (!launch) fail('no Firefox was found; set FIREFOX_PATH');
  const { default: puppeteer } = await import('puppeteer-core');
  const server = await startServer({ root, port: 0, isolated: true });
  const browser = await puppeteer.launch({ ...launch, headless: !values.headed });
  try {
    const page = await browser.newPage();
    page.on('console', (message) => console.log(`  ${message.text()}`));
    page.on('pageerror', (error) => console.error(`  page error: ${error.message}`));
    await page.goto(new URL('/bench/page.html', server.url).href);
    await page.waitForFunction('typeof runBench === "function"');
    const gguf = synthetic ? `${synthetic.url}model.gguf` : values.gguf && (await fileRoute(values.gguf));
    if (values.peer === 'wllama' && !gguf) fail('--peer wllama needs --shape, or --gguf for --model');
    const peer = {
      engine: 'wllama',
      gguf,
      threads,
      gpuLayers: values.backend === 'webgpu' ? 999 : 0,
      ...sizes,
      charactersPerToken: shape ? 1 : 2,
    };
    const runs = values.peer === 'wllama' ? [ours, peer] : [ours];
    const job = {
      runs,
      readModule: Buffer.from(await readModule()).toString('base64'),
      webgpuLimits: values.backend !== 'wasm',
    };
    return await page.evaluate((given) => globalThis.runBench(given), job);
  } finally {
    await browser.close();
    await server.close();
  }
}

/** A file outside the project, served for the peer alone. */
async function fileRoute(path) {
  if (!existsSync(path)) fail(`${path} does not exist`);
  const { readFile } = await import('node:fs/promises');
  const bytes = await readFile(path);
  const server = createServer((_, response) => {
    response.writeHead(200, {
      'access-control-allow-origin': '*',
      'cross-origin-resource-policy': 'cross-origin',
      'content-length': bytes.length,
    });
    response.end(bytes);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  server.unref();
  return `http://127.0.0.1:${server.address().port}/model.gguf`;
}

const report = {
  what: shape ? `${values.shape} (${shape.title})` : source,
  command: `npm run bench -- ${process.argv.slice(2).join(' ')}`.trim(),
  date: new Date().toISOString(),
  ...(values.in === 'node' ? await inNode() : await inBrowser()),
};
synthetic?.close();
printTable(report);
const path = join(root, values.json);
await mkdir(dirname(path), { recursive: true });
await writeFile(path, `${JSON.stringify(report, null, 2)}\n`);
console.log(`JSON: ${values.json}`);
process.exit(report.results.some((result) => result.error) ? 1 : 0);
