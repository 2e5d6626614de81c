// Real pages in real browsers, driven from Node: the built package, served with the headers that a test asks for.

import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import puppeteer, { type Browser, type Page } from 'puppeteer-core';
import { chromium, findFirefox, firefox } from '../../scripts/browsers.mjs';
import { startServer } from '../../scripts/server.mjs';

const root = fileURLToPath(new URL('../../', import.meta.url));

/** Why the pages cannot be tested in this browser here; false when they can. */
export function missingBrowser(name: 'chromium' | 'firefox'): string | false {
  return name === 'firefox' && !findFirefox() ? 'no Firefox is installed here (FIREFOX_PATH may name one)' : false;
}

export async function launch(name: 'chromium' | 'firefox'): Promise<Browser> {
  if (!existsSync(`${root}dist/index.js`)) throw new Error('dist/ is not built: run `npm run build` first.');
  const options = name === 'firefox' ? firefox() : await chromium();
  if (!options) throw new Error('there is no Firefox');
  return puppeteer.launch(options as Parameters<typeof puppeteer.launch>[0]);
}

export interface PageWish {
  /** The body; a script loads the elements. `DIST` in it becomes the folder of the package, which ends with '/'. */
  body: string;
  isolated?: boolean;
  /** Sent with the page and its scripts: a worker's policy is that of its own script. */
  headers?: Record<string, string>;
  /** Paths that are not found. */
  refused?: RegExp;
  /** Serve the package from another origin than the page. */
  otherOrigin?: boolean;
}

export interface OpenedPage {
  page: Page;
  /** The package's folder, as the page sees it. */
  dist: string;
  /** Errors that nobody caught, and what the page's policy refused. */
  errors: string[];
  close(): Promise<void>;
}

export async function openPage(browser: Browser, wish: PageWish): Promise<OpenedPage> {
  const { body, isolated = true, headers = {}, otherOrigin = false, refused } = wish;
  const cors = { 'Access-Control-Allow-Origin': '*', 'Cross-Origin-Resource-Policy': 'cross-origin' };
  const elsewhere = otherOrigin ? await startServer({ root, isolated: false, headers: cors }) : undefined;
  let dist = '';
  const server = await startServer({
    root,
    isolated,
    headers,
    onRequest: (_request, response, url) => {
      if (refused?.test(url.pathname)) {
        response.writeHead(404).end();
        return true;
      }
      if (url.pathname !== '/page.html') return false;
      const html = `<!doctype html><meta charset="utf-8"><title>Test</title><link rel="icon" href="data:,">
<script type="module" src="${dist}elements.js"></script>${body.replaceAll('DIST', dist)}`;
      response.writeHead(200, { 'Content-Type': 'text/html; charset=utf-8' });
      response.end(html);
      return true;
    },
  });
  dist = `${(elsewhere ?? server).url}dist/`;
  const page = await browser.newPage();
  const errors: string[] = [];
  page.on('pageerror', (error) => errors.push(String(error)));
  page.on('console', (message) => {
    if (message.type() === 'error') errors.push(message.text());
  });
  // What runs tests in Node wraps functions in a helper, which the functions that are sent to the page miss there.
  await page.evaluateOnNewDocument('globalThis.__name = (named) => named;');
  page.setDefaultTimeout(240_000);
  await page.goto(`${server.url}page.html`);
  return {
    page,
    dist,
    errors,
    async close() {
      await page.close();
      await server.close();
      await elsewhere?.close();
    },
  };
}

export interface ChatAnswer {
  text: string;
  backend: string;
  threads: number;
  description: string;
  isolated: boolean;
}

/** Asks the first chat of the page, or the one that a selector names, and resolves to its answer when it is complete. */
export function askChat(page: Page, selector = 'wp-chat'): Promise<ChatAnswer> {
  return page.evaluate(async (chosen) => {
    await customElements.whenDefined('wp-chat');
    const chat = document.querySelector(chosen) as import('../../components/index.ts').WpChat;
    await chat.send('Tell me a story about a fox.');
    const answer = chat.messages.at(-1);
    if (answer?.role !== 'assistant') {
      throw new Error(`no answer, the chat is ${chat.state}: ${chat.session?.error?.message ?? ''}`);
    }
    const { plan } = chat.model!.info;
    return {
      text: answer.content,
      backend: plan.backend,
      threads: plan.threads,
      description: plan.backendDescription,
      isolated: crossOriginIsolated,
    };
  }, selector);
}
