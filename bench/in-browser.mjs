// Hands a job to a page and waits for its answer: a browser that is started here, or any browser in which a person opens the
// address that is printed. The page fetches its job and posts what it has to say, so nothing but HTTP is needed of a browser.

import { openAsBlob } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { chromium, firefox } from '../scripts/browsers.mjs';
import { startServer } from '../scripts/server.mjs';
import { PLAIN_SIMD } from './plain-simd.mjs';
import { servePrelude } from './prelude.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));

async function textOf(request) {
  const parts = [];
  for await (const part of request) parts.push(part);
  return Buffer.concat(parts).toString('utf8');
}

/**
 * @param {object} job see page.mjs; `logTo` and `reportTo` are set here
 * @param {{ in: 'chromium' | 'firefox' | 'page', headed: boolean, plainSimd: boolean, gguf?: string }} options `gguf` is served as /bench-job/gguf
 */
export async function runInBrowser(job, options) {
  let started = false;
  const answer = withResolvers();
  const given = JSON.stringify({ ...job, logTo: '/bench-job/log', reportTo: '/bench-job/done' });
  const routes = {
    '/bench-job/job': (_, response) => {
      started = true;
      response.writeHead(200, { 'content-type': 'application/json' }).end(given);
    },
    '/bench-job/log': async (request, response) => {
      console.log(`  ${await textOf(request)}`);
      response.writeHead(204).end();
    },
    '/bench-job/done': async (request, response) => {
      answer.resolve(JSON.parse(await textOf(request)));
      response.writeHead(204).end();
    },
    '/bench-job/gguf': async (_, response) => {
      const blob = await openAsBlob(options.gguf);
      response.writeHead(200, { 'content-length': blob.size });
      for await (const part of blob.stream()) {
        if (!response.write(part)) await new Promise((resolve) => response.once('drain', resolve));
      }
      response.end();
    },
  };
  const server = await startServer({
    root,
    onRequest: async (request, response, url) => {
      if (!Object.hasOwn(routes, url.pathname)) {
        return options.plainSimd ? servePrelude(root, PLAIN_SIMD, response, url) : false;
      }
      await routes[url.pathname](request, response);
      return true;
    },
  });
  const address = new URL('/bench/page.html?job=/bench-job/job', server.url).href;
  try {
    if (options.in === 'page') {
      console.log(`Open ${address} in the browser that is to be measured.`);
      return await answer.promise;
    }
    return await withBrowser(options, async (page, lost) => {
      // The page logs through the server; the console is only for what goes wrong before it can.
      page.on('pageerror', (error) => {
        console.error(`  page error: ${error.message}`);
        if (!started) answer.reject(new Error(`The page of the bench failed: ${error.message}`));
      });
      await page.goto(address);
      return Promise.race([answer.promise, lost]);
    });
  } finally {
    await server.close();
  }
}

async function withBrowser(options, work) {
  const launch = options.in === 'firefox' ? firefox() : await chromium();
  if (!launch) throw new Error('No Firefox was found: set FIREFOX_PATH.');
  const { default: puppeteer } = await import('puppeteer-core');
  const browser = await puppeteer.launch({ ...launch, headless: !options.headed });
  try {
    const page = await browser.newPage();
    const lost = new Promise((_, reject) => {
      browser.once('disconnected', () => reject(new Error('The browser ended in mid-measurement.')));
      page.once('error', (error) => reject(new Error(`The page crashed: ${error.message}`)));
      page.once('close', () => reject(new Error('The page was closed in mid-measurement.')));
    });
    // Closing the browser at the end rejects it too, when no one waits any longer.
    lost.catch(() => {});
    return await work(page, lost);
  } finally {
    await browser.close();
  }
}

/** Node 20 has no Promise.withResolvers. */
function withResolvers() {
  let resolve, reject;
  const promise = new Promise((onResolve, onReject) => {
    resolve = onResolve;
    reject = onReject;
  });
  return { promise, resolve, reject };
}
