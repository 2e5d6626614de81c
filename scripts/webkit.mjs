// Drives WebKitGTK's MiniBrowser through WebKitWebDriver: the engine of Safari, without WebGPU and without OPFS, which is the
// plainest page that must still answer. Plain WebDriver over HTTP, no dependency. Where there is no display it starts Xvfb.
// Debian: webkit2gtk-driver, libwebkit2gtk-4.1-0 and xvfb.

import { spawn } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { findOnPath } from './browsers.mjs';

function findMiniBrowser() {
  if (process.env.MINIBROWSER_PATH) return process.env.MINIBROWSER_PATH;
  const onPath = findOnPath('MiniBrowser');
  if (onPath) return onPath;
  const folders = [
    '/usr/libexec',
    '/usr/lib',
    '/usr/lib64',
    `/usr/lib/${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-linux-gnu`,
  ];
  for (const folder of folders.filter((path) => existsSync(path))) {
    for (const name of readdirSync(folder)
      .filter((entry) => /^webkit2?gtk-/.test(entry))
      .sort()
      .reverse()) {
      const path = join(folder, name, 'MiniBrowser');
      if (existsSync(path)) return path;
    }
  }
  return undefined;
}

/** The programs that are needed; `missing` says in words what is not there, and is undefined when all is. */
export function findWebKit() {
  const driver = process.platform === 'linux' ? findOnPath('WebKitWebDriver') : undefined;
  const browser = process.platform === 'linux' ? findMiniBrowser() : undefined;
  const xvfb = findOnPath('Xvfb');
  if (process.platform !== 'linux') return { missing: 'WebKitGTK exists on Linux only' };
  if (!driver || !browser) {
    return {
      missing: 'WebKitGTK’s MiniBrowser and WebKitWebDriver are not installed (webkit2gtk-driver, libwebkit2gtk-4.1-0)',
    };
  }
  if (!process.env.DISPLAY && !xvfb) return { missing: 'there is no display, and Xvfb is not installed (xvfb)' };
  return { driver, browser, xvfb, missing: undefined };
}

function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

/** Starts a program and keeps what it says, for the error in which it may end. */
function start(path, args, env) {
  const child = spawn(path, args, { stdio: ['ignore', 'pipe', 'pipe', 'pipe'], env: { ...process.env, ...env } });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (output += data));
  child.on('error', (error) => (output += error.message));
  return { child, output: () => output };
}

async function startDisplay(xvfb) {
  // Xvfb picks a free display by itself and writes its number to descriptor 3.
  const display = start(xvfb, ['-displayfd', '3', '-screen', '0', '1280x1024x24', '-nolisten', 'tcp'], {});
  const number = await new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`Xvfb did not start: ${display.output()}`)), 20_000);
    display.child.stdio[3].once('data', (data) => {
      clearTimeout(timer);
      resolve(String(data).trim());
    });
  });
  return { child: display.child, name: `:${number}` };
}

async function end(child) {
  if (!child || child.exitCode !== null || child.signalCode !== null) return;
  const closed = new Promise((resolve) => child.once('close', resolve));
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), 5_000);
  await closed;
  clearTimeout(timer);
}

async function call(base, method, path, body) {
  const response = await fetch(base + path, {
    method,
    headers: { 'Content-Type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const { value } = await response.json();
  if (!response.ok) throw new Error(`WebDriver ${method} ${path}: ${value?.error}: ${value?.message}`);
  return value;
}

async function untilReady(base, driver) {
  for (let attempt = 0; attempt < 100; attempt++) {
    if (driver.child.exitCode !== null) throw new Error(`WebKitWebDriver ended: ${driver.output()}`);
    const ready = await call(base, 'GET', '/status').then(
      ({ ready: isReady }) => isReady,
      () => false,
    );
    if (ready) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`WebKitWebDriver did not get ready: ${driver.output()}`);
}

/**
 * Starts WebKit with an empty profile. Close what it returns, also after a failure.
 *
 * @param {{ width?: number, height?: number, scriptTimeoutMs?: number }} [options]
 */
export async function startWebKit({ width = 1000, height = 800, scriptTimeoutMs = 300_000 } = {}) {
  const found = findWebKit();
  if (found.missing) throw new Error(found.missing);
  const display = process.env.DISPLAY ? undefined : await startDisplay(found.xvfb);
  let driver;
  try {
    const port = await freePort();
    driver = start(found.driver, [`--host=127.0.0.1`, `--port=${port}`], {
      ...(display ? { DISPLAY: display.name } : {}),
      GDK_BACKEND: 'x11',
      // As root, and in containers, the sandbox of WebKit cannot be made.
      WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS: '1',
      LIBGL_ALWAYS_SOFTWARE: '1',
      NO_AT_BRIDGE: '1',
    });
    const base = `http://127.0.0.1:${port}`;
    await untilReady(base, driver);
    const session = await call(base, 'POST', '/session', {
      capabilities: {
        alwaysMatch: {
          timeouts: { script: scriptTimeoutMs, pageLoad: 120_000 },
          'webkitgtk:browserOptions': { binary: found.browser, args: ['--automation'] },
        },
      },
    });
    const path = `/session/${session.sessionId}`;
    await call(base, 'POST', `${path}/window/rect`, { width, height });
    return new WebKitPage(base, path, session.capabilities, async () => {
      await end(driver.child);
      await end(display?.child);
    });
  } catch (error) {
    const said = driver?.output().trim();
    await end(driver?.child);
    await end(display?.child);
    throw said ? new Error(`${error.message}\n${said}`, { cause: error }) : error;
  }
}

/** One window of the browser. */
export class WebKitPage {
  #base;
  #session;
  #end;

  constructor(base, session, capabilities, endPrograms) {
    this.#base = base;
    this.#session = session;
    this.#end = endPrograms;
    /** `browserVersion` and the like. */
    this.capabilities = capabilities;
  }

  /** Opens an address and resolves when the page has loaded. */
  async open(url) {
    await call(this.#base, 'POST', `${this.#session}/url`, { url });
  }

  /**
   * Runs a function, or the text of one's body, in the page. A promise is waited for; what it rejects with is thrown here.
   * Arguments and result pass as JSON.
   */
  async evaluate(script, ...args) {
    const body = typeof script === 'function' ? `return (${script}).apply(null, arguments);` : script;
    const wrapped = `
      const parameters = [...arguments];
      const done = parameters.pop();
      Promise.resolve()
        .then(() => (function () { ${body} }).apply(null, parameters))
        .then((value) => done({ value: value === undefined ? null : value }), (error) => done({ error: String(error && error.stack ? error + '\\n' + error.stack : error) }));`;
    const result = await call(this.#base, 'POST', `${this.#session}/execute/async`, { script: wrapped, args });
    if (result.error !== undefined) throw new Error(`In the page: ${result.error}`);
    return result.value;
  }

  /** Resolves to the first truthy value of `script`, asked for every 200 ms. */
  async waitFor(script, { timeoutMs = 60_000, args = [] } = {}) {
    const deadline = Date.now() + timeoutMs;
    for (;;) {
      const value = await this.evaluate(script, ...args);
      if (value) return value;
      if (Date.now() > deadline) throw new Error(`Waited ${timeoutMs} ms in vain for: ${script}`);
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  }

  /** @returns {Promise<Buffer>} a PNG of the window */
  async screenshot() {
    return Buffer.from(await call(this.#base, 'GET', `${this.#session}/screenshot`), 'base64');
  }

  async resize(width, height) {
    await call(this.#base, 'POST', `${this.#session}/window/rect`, { width, height });
  }

  /** Ends the browser, the driver and the display. */
  async close() {
    await call(this.#base, 'DELETE', this.#session).catch(() => undefined);
    await this.#end();
  }
}
