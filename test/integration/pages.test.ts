// The chat in pages as they are in the world: isolated and not, with the package on another origin, under a strict content
// security policy, beside an element that fails; the main thread free, and memory given back. In Chromium and Firefox.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { Browser } from 'puppeteer-core';
import { askChat, launch, missingBrowser, openPage, type PageWish } from './page-driver.ts';

const CHAT =
  '<wp-chat src="wp:fable-25m" backend="wasm" temperature="0" max-tokens="12" context-length="128"></wp-chat>';

/**
 * What a page must allow: its own scripts (and those of the package's origin), WebAssembly, the worker (and, when the
 * package is on another origin or WASM runs on several threads, workers from blobs), and the model's address.
 */
const STRICT_POLICY =
  "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self' blob:; connect-src 'self'; img-src data:";

const PAGES: readonly { what: string; wish: Partial<PageWish>; threads?: number }[] = [
  { what: 'an isolated page, on several threads', wish: {} },
  { what: 'a page that is not isolated, on one thread', wish: { isolated: false }, threads: 1 },
  { what: 'an isolated page, the package on another origin', wish: { otherOrigin: true } },
  {
    what: 'a page that is not isolated, the package on another origin',
    wish: { isolated: false, otherOrigin: true },
    threads: 1,
  },
  { what: 'a page with a strict policy', wish: { headers: { 'Content-Security-Policy': STRICT_POLICY } } },
  {
    what: 'a page whose policy forbids workers from blobs, on one thread',
    wish: { headers: { 'Content-Security-Policy': STRICT_POLICY.replace(' blob:', '') } },
    threads: 1,
  },
];

interface Trace {
  traceEvents: { name: string; ph: string; pid: number; tid: number; tdur?: number; args?: { name?: string } }[];
}

/** Processor time of each task of the main threads of pages, the longest first, in ms. */
function longestTasks({ traceEvents }: Trace): number[] {
  const mainThreads = new Set(
    traceEvents
      .filter(({ name, args }) => name === 'thread_name' && args?.name === 'CrRendererMain')
      .map(({ pid, tid }) => `${pid} ${tid}`),
  );
  return traceEvents
    .filter(({ name, ph, pid, tid }) => /RunTask$/.test(name) && ph === 'X' && mainThreads.has(`${pid} ${tid}`))
    .map(({ tdur }) => (tdur ?? NaN) / 1000)
    .sort((a, b) => b - a);
}

for (const name of ['chromium', 'firefox'] as const) {
  describe(`pages in ${name}`, { skip: missingBrowser(name) }, () => {
    let browser: Browser;
    let story: string | undefined;
    before(async () => (browser = await launch(name)));
    after(() => browser?.close());

    for (const { what, wish, threads } of PAGES) {
      it(`the chat answers in ${what}`, async (t) => {
        const { page, errors, close } = await openPage(browser, { body: CHAT, ...wish });
        try {
          const answer = await askChat(page).catch((error: unknown) => {
            throw new Error(`${String(error)}\n${errors.join('\n')}`);
          });
          t.diagnostic(`${answer.description}: ${answer.text}`);
          assert.equal(answer.isolated, wish.isolated !== false);
          assert.equal(answer.backend, 'wasm');
          if (threads === 1) assert.match(answer.description, /on 1 thread/);
          else assert.match(answer.description, /on \d+ threads/);
          // Greedy: every page tells the same story.
          assert.match(answer.text, /^[A-Z].{20,}/s);
          assert.equal(answer.text, (story ??= answer.text));
        } finally {
          await close();
        }
      });
    }

    it('one element fails and says so; the others go on', async () => {
      const body = `<wp-chat id="broken" src="DIST../nowhere/" backend="wasm"></wp-chat>
        <wp-chat id="nonsense" src="wp:no-such-model" backend="wasm"></wp-chat>
        <wp-model id="m" src="wp:fable-25m" backend="wasm" context-length="128">
          <wp-chat id="first" temperature="0" max-tokens="12"></wp-chat>
        </wp-model>
        <wp-chat id="second" for="m" temperature="0" max-tokens="12"></wp-chat>`;
      const { page, close } = await openPage(browser, { body });
      try {
        const [first, second] = await Promise.all([askChat(page, '#first'), askChat(page, '#second')]);
        assert.equal(first.text, second.text);
        await page.waitForFunction(() =>
          ['#broken', '#nonsense'].every((id) => document.querySelector(id)!.getAttribute('state') === 'failed'),
        );
        const failures = await page.evaluate(() =>
          ['#broken', '#nonsense'].map((id) => {
            const chat = document.querySelector(id) as import('../../components/index.ts').WpChat;
            return {
              code: chat.session!.error!.code,
              shown: chat.shadowRoot!.querySelector('[part~="failure"]')?.textContent ?? '',
            };
          }),
        );
        for (const { code, shown } of failures) {
          assert.equal(code, 'not-found');
          assert.match(shown, /config\.json/);
        }
        assert.equal((await askChat(page, '#second')).isolated, true);
      } finally {
        await close();
      }
    });

    for (const [what, refused] of [
      ['the worker', /model\.worker/],
      ['the kernels', /worker-wasm/],
    ] as const) {
      it(`says so when the script of ${what} is not there`, async () => {
        const { page, close } = await openPage(browser, { body: CHAT, refused });
        try {
          await page.waitForFunction(() => document.querySelector('wp-chat')?.getAttribute('state') === 'failed');
          const error = await page.evaluate(() => {
            const chat = document.querySelector('wp-chat') as import('../../components/index.ts').WpChat;
            return { code: chat.session!.error!.code, hint: chat.session!.error!.hint };
          });
          assert.equal(error.code, 'worker-failed');
          assert.match(error.hint, /model\.worker\.js/);
        } finally {
          await close();
        }
      });
    }

    const untraced = name === 'firefox' ? 'Firefox gives a test no trace of its tasks' : false;
    it('no task of the main thread takes 50 ms while a model loads and answers', { skip: untraced }, async (t) => {
      // Processor time and not time: what other programs take of a busy machine is not the page's.
      const { page, close } = await openPage(browser, { body: '<wp-chat temperature="0" max-tokens="48"></wp-chat>' });
      try {
        // The elements stand ready before: what is measured is loading and generating.
        await page.waitForFunction(() => document.querySelector('wp-chat')?.getAttribute('state') === 'idle');
        await page.tracing.start({
          categories: ['toplevel', 'devtools.timeline', 'disabled-by-default-devtools.timeline'],
        });
        const parts = await page.evaluate(async () => {
          const chat = document.querySelector('wp-chat') as import('../../components/index.ts').WpChat;
          let count = 0;
          chat.addEventListener('wp-part', () => (count += 1));
          chat.backend = 'wasm';
          chat.src = 'wp:fable-25m';
          await chat.send('Tell me a story about a fox.');
          return count;
        });
        const trace = await page.tracing.stop();
        const longest = longestTasks(JSON.parse(new TextDecoder().decode(trace)) as Trace);
        t.diagnostic(`${parts} parts; processor time of the longest tasks in ms: ${longest.slice(0, 5).join(', ')}`);
        assert.ok(parts > 30, `${parts} parts`);
        assert.ok(longest.length > 100, `the trace has ${longest.length} tasks`);
        assert.ok(longest[0]! <= 50, `${longest[0]} ms`);
      } finally {
        await close();
      }
    });

    it('a model that was disposed of is unusable, and leaves nothing behind', async (t) => {
      const { page, dist, close } = await openPage(browser, { body: '' });
      try {
        const measured = await page.evaluate(async (folder) => {
          const api = (await import(`${folder}index.js`)) as typeof import('../../runtime/index.ts');
          const measure = async (): Promise<number> => {
            const all = performance as { measureUserAgentSpecificMemory?: () => Promise<{ bytes: number }> };
            return (await all.measureUserAgentSpecificMemory?.())?.bytes ?? NaN;
          };
          const codes: string[] = [];
          const bytes: number[] = [];
          for (let round = 0; round < 6; round++) {
            const model = await api.loadModel('wp:fable-25m', { backend: 'wasm', contextLength: 512, threads: 1 });
            await model.logits([1, 2, 3]);
            await model.dispose();
            const failed = await Promise.resolve()
              .then(() => model.memory())
              .then(
                () => 'none',
                (error: { code: string }) => error.code,
              );
            codes.push(failed);
            if (round === 1) bytes.push(await measure());
          }
          bytes.push(await measure());
          return { codes, bytes };
        }, dist);
        const [early, late] = measured.bytes;
        t.diagnostic(`heaps of the page and its worker after 2 and after 6 rounds: ${measured.bytes.join(', ')} bytes`);
        assert.deepEqual(measured.codes, Array<string>(6).fill('disposed'));
        // Chromium alone can tell, and leaves memories of WebAssembly out: memory.test.ts counts them.
        if (name === 'chromium') assert.ok(late! - early! < 4e6, `grew from ${early} to ${late} in four rounds`);
      } finally {
        await close();
      }
    });
  });
}
