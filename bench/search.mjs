// Exact search beside a plain loop, in a browser that is started here: medians of rounds in turns, as JSON.
//
//   node bench/search.mjs --backend wasm,webgpu --count 100000 --dimension 384 [--in firefox] [--rounds 15]
//   WP_GPU=1 takes Chromium's real adapter; else WebGPU computes on the CPU.

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import puppeteer from 'puppeteer-core';
import { chromium, firefox } from '../scripts/browsers.mjs';
import { root } from '../scripts/root.mjs';
import { startServer } from '../scripts/server.mjs';

const { values: options } = parseArgs({
  options: {
    backend: { type: 'string', default: 'wasm' },
    count: { type: 'string', default: '100000' },
    dimension: { type: 'string', default: '384' },
    rounds: { type: 'string', default: '15' },
    hits: { type: 'string', default: '10' },
    in: { type: 'string', default: 'chromium' },
    module: { type: 'string', default: '../dist/index.js' },
  },
});
if (options.module.startsWith('../dist') && !existsSync(join(root, 'dist/index.js'))) {
  throw new Error('dist/ is not built: run npm run build first.');
}

const { in: browserName, ...query } = options;
let finish;
const finished = new Promise((resolve) => (finish = resolve));
const server = await startServer({
  root,
  onRequest: async (request, response, url) => {
    if (request.method !== 'POST' || !['/log', '/done'].includes(url.pathname)) return false;
    let text = '';
    for await (const part of request) text += part;
    response.writeHead(204).end();
    if (url.pathname === '/log') console.error(`  ${text}`);
    else finish(JSON.parse(text));
    return true;
  },
});
const launch = browserName === 'firefox' ? firefox() : await chromium();
if (!launch) throw new Error('No Firefox was found: set FIREFOX_PATH.');
const browser = await puppeteer.launch(launch);
try {
  const page = await browser.newPage();
  const failed = new Promise((_, reject) => page.once('error', reject));
  await page.goto(new URL(`/bench/search.html?${new URLSearchParams({ ...query, report: '1' })}`, server.url).href);
  const report = await Promise.race([finished, failed]);
  console.log(JSON.stringify(report, undefined, 2));
  process.exitCode = report.error || report.results.some(({ sameAsPlainLoop }) => !sameAsPlainLoop) ? 1 : 0;
} finally {
  await browser.close();
  await server.close();
}
