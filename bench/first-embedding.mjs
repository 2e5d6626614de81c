// The first vector of a cold page: the model's files are in the browser's store or cache, a page is opened, and one sentence is
// embedded. wp-models and transformers.js take turns; every round of each is a browser that has been started anew over the same
// profile, so that nothing is compiled and no worker runs.
//
//   node bench/first-embedding.mjs [--encoder minilm] [--backend wasm] [--rounds 5] [--json PATH]
//
// Both get the same model at 8 bits (24 MB): wp-models a safetensors folder, transformers.js its q8 ONNX. The time is from the
// navigation to the vector, in a browser that has come to rest after its start.

import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { chromium } from '../scripts/browsers.mjs';
import { startServer } from '../scripts/server.mjs';
import { encoderFile, ONNX_FILES, smallFiles } from './encoder/files.mjs';
import { quantizedSafetensors } from './encoder/quantized.mjs';
import { fetchPeer } from './fetch-peer.mjs';
import { median } from './measure.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
/** Served by the folder's own server, with an ETag: what has none is not kept. */
const FOLDER = 'build/bench-encoder';
/** A browser that has just been started still does work of its own. */
const SETTLE_MS = 3_000;
const SENTENCE = 'the weather of the island and the train to the mountain village.';

const { values } = parseArgs({
  options: {
    encoder: { type: 'string', default: 'minilm' },
    backend: { type: 'string', default: 'wasm' },
    rounds: { type: 'string', default: '5' },
    json: { type: 'string' },
  },
});
const { encoder, backend } = values;
const onGpu = backend === 'webgpu';

const PEERS = '/build/peers/node_modules';
const ORT_BUILD = `ort-wasm-simd-threaded${onGpu ? '.asyncify' : ''}`;
const SCRIPTS = {
  'wp-models': /* js */ `
    import { loadModel } from '/dist/index.js';
    const model = await loadModel('/${FOLDER}/${encoder}/', { backend: '${backend}', threads: 1 });
    const loaded = performance.now();
    const { vectors } = await model.embed(${JSON.stringify(SENTENCE)});
    const done = performance.now();
    window.result = { loaded, done, vector: [...vectors[0]], about: model.info.plan.precision };`,
  'transformers.js': /* js */ `
    import { env, pipeline } from '${PEERS}/@huggingface/transformers/dist/transformers.js';
    env.backends.onnx.wasm.wasmPaths = Object.fromEntries(
      ['mjs', 'wasm'].map((ending) => [ending, location.origin + '${PEERS}/onnxruntime-web/dist/${ORT_BUILD}.' + ending]),
    );
    env.backends.onnx.wasm.numThreads = 1;
    env.allowLocalModels = false;
    env.remoteHost = location.origin;
    env.remotePathTemplate = '/${FOLDER}/{model}/';
    const extractor = await pipeline('feature-extraction', '${encoder}', { dtype: 'q8', device: '${backend}' });
    const loaded = performance.now();
    const { data } = await extractor(${JSON.stringify(SENTENCE)}, { pooling: 'mean', normalize: true });
    window.result = { loaded, done: performance.now(), vector: [...data], about: env.version };`,
};

async function writeFolder() {
  const folder = join(root, FOLDER, encoder);
  const files = {
    ...smallFiles(encoder),
    'model.safetensors': quantizedSafetensors(encoder),
    [ONNX_FILES.q8]: encoderFile(encoder, ONNX_FILES.q8),
  };
  for (const [name, bytes] of Object.entries(files)) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), bytes);
  }
}

async function round(puppeteer, profile, url) {
  const browser = await puppeteer.launch({ ...(await chromium()), userDataDir: profile });
  try {
    // The tab that a browser opens by itself shows a page of its own, whose scripts would compete for the processor.
    const [page] = await browser.pages();
    await page.goto('about:blank');
    await setTimeout(SETTLE_MS);
    page.on('pageerror', (error) => console.error(`  page error: ${error.message}`));
    await page.goto(url);
    await page.waitForFunction('window.result', { timeout: 240_000 });
    return await page.evaluate('window.result');
  } finally {
    await browser.close();
  }
}

await fetchPeer('transformers.js');
await writeFolder();
const { default: puppeteer } = await import('puppeteer-core');
const server = await startServer({
  root,
  onRequest: (_request, response, url) => {
    const engine = /^\/first-embedding\/(.+)\.html$/.exec(url.pathname)?.[1];
    if (!Object.hasOwn(SCRIPTS, engine ?? '')) return false;
    const script = `<script type="module">${SCRIPTS[engine]}</script>`;
    const page = `<!doctype html><meta charset="utf-8"><title>First embedding</title><link rel="icon" href="data:,">${script}`;
    response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' }).end(page);
    return true;
  },
});
const profile = await mkdtemp(join(tmpdir(), 'first-embedding-'));
try {
  const names = Object.keys(SCRIPTS);
  const addressOf = (name) => new URL(`/first-embedding/${name}.html`, server.url).href;
  const rounds = Object.fromEntries(names.map((name) => [name, []]));
  // Fills the store and the cache.
  for (const name of names) await round(puppeteer, profile, addressOf(name));
  for (let i = 1; i <= Number(values.rounds); i += 1) {
    const said = [];
    for (const name of names) {
      const result = await round(puppeteer, profile, addressOf(name));
      rounds[name].push(result);
      said.push(`${name} ${Math.round(result.done)} (loaded ${Math.round(result.loaded)})`);
    }
    console.log(`round ${i}, ms to the first vector: ${said.join(', ')}`);
  }
  const [ours, peer] = names.map((name) => median(rounds[name].map(({ done }) => done)));
  const [a, b] = names.map((name) => rounds[name][0].vector);
  const cosine = a.reduce((sum, value, i) => sum + value * b[i], 0);
  console.log(
    `${encoder}, ${backend}: ${names[0]} ${Math.round(ours)} ms, ${names[1]} ${Math.round(peer)} ms (medians)`,
  );
  console.log(`wp-models ÷ transformers.js: ${(ours / peer).toFixed(2)}; cosine of their vectors ${cosine.toFixed(4)}`);
  if (values.json) {
    const command = `node bench/first-embedding.mjs ${process.argv.slice(2).join(' ')}`.trim();
    const times = Object.fromEntries(
      names.map((name) => [name, rounds[name].map(({ loaded, done }) => [loaded, done])]),
    );
    await writeFile(
      values.json,
      `${JSON.stringify({ command, date: new Date().toISOString(), times, cosine }, null, 2)}\n`,
    );
  }
} finally {
  await server.close();
  await rm(profile, { recursive: true, force: true });
}
