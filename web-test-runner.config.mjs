// Browser tests: every *.browser.test.ts, served as it stands (esbuild strips the types on the fly). BROWSER picks the
// browser, ISOLATED=0 serves without COOP and COEP, WP_REPORT names a file for the results (scripts/test.mjs reads it).
// `npx wtr --files test/webgpu/**/*.browser.test.ts` runs some of them.

import { createReadStream, existsSync, statSync } from 'node:fs';
import { normalize, join, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { esbuildPlugin } from '@web/dev-server-esbuild';
import { defaultReporter } from '@web/test-runner';
import { chromeLauncher } from '@web/test-runner-chrome';
import puppeteer from 'puppeteer-core';
import { chromium, chromiumWithWebNn, firefox } from './scripts/browsers.mjs';
import { isolationHeaders } from './scripts/isolation.mjs';
import { jsonReporter } from './scripts/wtr-json-reporter.mjs';

const root = fileURLToPath(new URL('.', import.meta.url));
const shared = resolve(root, '../shared');
const browserName = process.env.BROWSER ?? 'chromium';
const isolated = process.env.ISOLATED !== '0';

const launchers = { chromium, firefox, webnn: chromiumWithWebNn };
const launchOptions = await launchers[browserName]();
if (!launchOptions) throw new Error(`No ${browserName} is installed here; set FIREFOX_PATH, or BROWSER=chromium.`);

/** `/__shared__/…` is the folder `../shared` of a developer's machine: real models, when they are there. */
function serveShared(context, next) {
  if (!context.path.startsWith('/__shared__/')) return next();
  const path = normalize(join(shared, decodeURIComponent(context.path.slice('/__shared__/'.length))));
  if (!path.startsWith(shared + sep) || !existsSync(path) || !statSync(path).isFile()) {
    context.status = 404;
    context.body = 'Not found.';
    return undefined;
  }
  const { size } = statSync(path);
  const range = /^bytes=(\d+)-(\d*)$/.exec(context.get('range'));
  const start = range ? Number(range[1]) : 0;
  const end = range?.[2] ? Math.min(Number(range[2]), size - 1) : size - 1;
  context.type = path.endsWith('.json') ? 'application/json' : 'application/octet-stream';
  context.set('Accept-Ranges', 'bytes');
  context.set('Content-Length', String(end - start + 1));
  if (range) {
    context.status = 206;
    context.set('Content-Range', `bytes ${start}-${end}/${size}`);
  }
  context.body = createReadStream(path, { start, end });
  return undefined;
}

/** In `dist` the worker stands beside the code that starts it; in the sources it stands in workers/. */
function serveWorkerFromSources(context, next) {
  if (!/^\/runtime\/(?:.*\/)?model\.worker\.js$/.test(context.path)) return next();
  context.type = 'text/javascript';
  context.body = "import '/workers/model.worker.ts';";
  return undefined;
}

/** `./models/` beside the bundle is models/ in the sources; runtime/models/ holds the families, which are TypeScript. */
function serveModelsFromSources(context, next) {
  const match = /^\/runtime\/models\/([^/]+\/.+)$/.exec(context.path);
  if (match && !match[1].endsWith('.ts')) context.url = `/models/${match[1]}`;
  return next();
}

async function setHeaders(context, next) {
  if (isolated) context.set(isolationHeaders);
  await next();
}

export default {
  rootDir: root,
  files: process.env.WP_FILES?.split(',') ?? ['test/**/*.browser.test.ts', '!test/fixtures/**', '!test/webnn/**'],
  nodeResolve: { exportConditions: ['browser', 'development'] },
  concurrency: Number(process.env.WP_CONCURRENCY ?? 1),
  browsers: [chromeLauncher({ launchOptions, puppeteer })],
  browserStartTimeout: 180_000,
  testsStartTimeout: 300_000,
  testsFinishTimeout: 600_000,
  testFramework: { config: { timeout: 60_000, ...(process.env.WP_GREP ? { grep: process.env.WP_GREP } : {}) } },
  plugins: [esbuildPlugin({ ts: true, target: 'es2022', tsconfig: join(root, 'tsconfig.json') })],
  middleware: [setHeaders, serveShared, serveWorkerFromSources, serveModelsFromSources],
  reporters: [
    defaultReporter({ reportTestResults: true, reportTestProgress: Boolean(process.stdout.isTTY) }),
    ...(process.env.WP_REPORT ? [jsonReporter(process.env.WP_REPORT)] : []),
  ],
};
