// The plainest page that must still answer: WebKitGTK has neither WebGPU nor OPFS, and the page is not isolated.

import assert from 'node:assert/strict';
import { fileURLToPath } from 'node:url';
import { after, before, describe, it } from 'node:test';
import { startServer, type RunningServer } from '../../scripts/server.mjs';
import { startWebKit, type WebKitPage } from '../../scripts/webkit.mjs';

const root = fileURLToPath(new URL('../../', import.meta.url));
const PAGE = `<!doctype html><meta charset="utf-8"><title>Test</title>
<script type="module" src="/dist/elements.js"></script>
<wp-chat src="wp:fable-25m" temperature="0" max-tokens="16" context-length="128"></wp-chat>`;

for (const isolated of [false, true]) {
  describe(`WebKit, ${isolated ? 'an isolated' : 'a plain'} page`, () => {
    let server: RunningServer;
    let browser: WebKitPage;

    before(async () => {
      server = await startServer({
        root,
        isolated,
        onRequest: (_request, response, url) => {
          if (url.pathname !== '/page.html') return false;
          response.writeHead(200, { 'Content-Type': 'text/html; charset=utf-8' }).end(PAGE);
          return true;
        },
      });
      browser = await startWebKit();
      await browser.open(`${server.url}page.html`);
    });
    after(async () => {
      await browser?.close();
      await server?.close();
    });

    it('the chat answers on WASM', async (t) => {
      const answer = (await browser.evaluate(`
        return customElements.whenDefined('wp-chat').then(async () => {
          const chat = document.querySelector('wp-chat');
          await chat.send('Tell me a story about a fox.');
          const error = chat.session && chat.session.error;
          if (error) throw new Error(error.code + ': ' + error.message);
          const { plan } = chat.model.info;
          const { actual, planned } = await chat.model.memory();
          return {
            text: chat.messages.at(-1).content,
            shown: chat.shadowRoot.querySelector('[part~="answer"]').textContent,
            backend: plan.backend,
            description: plan.backendDescription,
            hasWebGpu: 'gpu' in navigator,
            isolated: crossOriginIsolated,
            canShare: typeof SharedArrayBuffer === 'function',
            ratio: actual.total / planned.total,
            agent: navigator.userAgent,
          };
        });`)) as Record<string, unknown>;
      t.diagnostic(JSON.stringify(answer));
      assert.equal(answer['isolated'], isolated);
      assert.equal(answer['backend'], 'wasm');
      assert.match(String(answer['text']), /^[A-Z].{20,}/s);
      assert.match(String(answer['shown']), /[A-Z].{20,}/s);
      assert.ok(Number(answer['ratio']) <= 1.15, `memory × ${String(answer['ratio'])}`);
      // Without isolation memory cannot be shared; Debian's WebKitGTK has no shared memory even with it.
      assert.match(String(answer['description']), answer['canShare'] === true ? /on \d+ threads?/ : /on 1 thread/);
      if (!isolated) assert.equal(answer['canShare'], false);
    });

    it('a second question, and one that is stopped', async () => {
      const result = (await browser.evaluate(`
        const chat = document.querySelector('wp-chat');
        return chat.send('And then?').then(async () => {
          chat.maxTokens = 100;
          const sending = chat.send('Go on.');
          await new Promise((resolve) => chat.addEventListener('wp-part', resolve, { once: true }));
          chat.stop();
          await sending;
          return { turns: chat.messages.length, state: chat.state, roles: chat.messages.map(({ role }) => role) };
        });`)) as { turns: number; state: string; roles: string[] };
      assert.deepEqual(result.roles, ['user', 'assistant', 'user', 'assistant', 'user', 'assistant']);
      assert.equal(result.state, 'ready');
    });
  });
}
