// The first token of a cold page: a page is opened with the model in the browser's store, its chat is asked at once, and the
// page's tasks are traced until the answer begins.
//
//   node bench/first-token.mjs [--model wp:fable-25m] [--backend webgpu] [--rounds 3] [--timeout 240] [--keep-shaders] [--json PATH]
//
// Every round is a page of its own in a browser that has been started anew over the same profile: the files are in its store,
// no worker runs, and nothing is compiled, unless --keep-shaders leaves what the browser keeps on disk for a second visit.
// Printed: when the elements stood, the model was ready and the first text was there, from the navigation on; the longest tasks
// of the main thread, in processor time, which other programs do not lengthen; and, on WebGPU, whether pipelines were compiled
// in the time that the weights took anyway. A software renderer compiles on the processor: no figure from it counts.

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { chromium } from '../scripts/browsers.mjs';
import { startServer } from '../scripts/server.mjs';
import { median } from './measure.mjs';
import { servePrelude } from './prelude.mjs';
import { gpuPhases, WATCH_GPU } from './watch-gpu.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const CATEGORIES = ['toplevel', 'disabled-by-default-toplevel', 'devtools.timeline', 'v8.execute', 'blink.user_timing'];

const { values } = parseArgs({
  options: {
    model: { type: 'string', default: 'wp:fable-25m' },
    backend: { type: 'string', default: 'webgpu' },
    rounds: { type: 'string', default: '3' },
    'keep-shaders': { type: 'boolean', default: false },
    timeout: { type: 'string', default: '240' },
    json: { type: 'string' },
  },
});

/** What runs in the page: it asks as soon as the element stands, as the quickest of users would. */
const ASK = /* js */ `
const chat = document.querySelector('wp-chat');
const marks = {};
const phases = [];
new BroadcastChannel('bench-gpu').onmessage = ({ data }) => phases.push(data);
window.progress = { marks, phases };
const now = (name) => { marks[name] ??= performance.now(); };
const seen = () => {
  const state = chat.getAttribute('state');
  if (state) now(state);
  const last = chat.messages.at(-1);
  if (last?.role === 'assistant' && last.content) now('firstText');
};
await customElements.whenDefined('wp-chat');
now('elements');
await chat.updateComplete;
const timer = setInterval(seen, 1);
await chat.send('Once upon a time');
clearInterval(timer);
seen();
now('answered');
const sinceNavigation = (time) => time - performance.timeOrigin;
window.result = { marks, phases: phases.map(({ start, end, ...about }) => ({ ...about, start: sinceNavigation(start), end: sinceNavigation(end) })), failure: chat.session?.error?.message, description: chat.model?.info.plan.backendDescription };
`;

function pageOf() {
  return `<!doctype html><meta charset="utf-8"><title>First token</title><link rel="icon" href="data:,">
<script type="module" src="/dist/elements.js"></script>
<wp-chat src="${values.model}" backend="${values.backend}" temperature="0" max-tokens="24" context-length="512"></wp-chat>
<script type="module">${ASK}</script>`;
}

/** The longest tasks of the page's main thread: when they began, how long they took, what ran in them. */
function tasksOf({ traceEvents }, navigationStart) {
  const main = new Set(
    traceEvents
      .filter(({ name, args }) => name === 'thread_name' && args?.name === 'CrRendererMain')
      .map(({ pid, tid }) => `${pid} ${tid}`),
  );
  const own = traceEvents.filter(({ ph, pid, tid }) => ph === 'X' && main.has(`${pid} ${tid}`));
  // What ran in a task is looked for in the longest ones only: a trace has many thousands.
  return own
    .filter(({ name }) => /RunTask$/.test(name))
    .map((task) => ({ ...task, processorMs: (task.tdur ?? NaN) / 1000 }))
    .sort((a, b) => b.processorMs - a.processorMs)
    .slice(0, 5)
    .map(({ ts: start, dur: length, processorMs }) => ({
      startMs: (start - navigationStart) / 1000,
      processorMs,
      wallMs: length / 1000,
      within: own
        .filter(({ name, ts, dur }) => !/RunTask$/.test(name) && ts >= start && ts + dur <= start + length)
        .sort((a, b) => b.dur - a.dur)
        .slice(0, 4)
        .map(({ name, dur, args }) => `${name} ${(dur / 1000).toFixed(1)} ms${urlOf(args)}`),
    }));
}

function urlOf(args) {
  const url = args?.data?.url ?? args?.fileName ?? args?.data?.functionName;
  return url ? ` (${String(url).split('/').at(-1)})` : '';
}

async function round(puppeteer, profile, url, isTraced) {
  const browser = await puppeteer.launch({ ...(await chromium()), userDataDir: profile });
  try {
    const page = await browser.newPage();
    page.on('pageerror', (error) => console.error(`  page error: ${error.message}`));
    if (isTraced) await page.tracing.start({ categories: CATEGORIES });
    await page.goto(url);
    const seconds = Number(values.timeout);
    await page.waitForFunction('window.result', { timeout: seconds * 1000 }).catch(async (error) => {
      const progress = JSON.stringify(await page.evaluate('window.progress?.marks'));
      throw new Error(`No answer within ${seconds} s; until then, in ms: ${progress}`, { cause: error });
    });
    const result = await page.evaluate('window.result');
    if (result.failure) throw new Error(result.failure);
    if (!isTraced) return undefined;
    const trace = JSON.parse(new TextDecoder().decode(await page.tracing.stop()));
    const isOurs = ({ name, args }) => name === 'navigationStart' && /first-token/.test(args?.data?.documentLoaderURL);
    const navigation = trace.traceEvents.findLast(isOurs)?.ts ?? NaN;
    const { phases, ...others } = result;
    return { ...others, gpu: gpuPhases(phases, result.marks.ready), tasks: tasksOf(trace, navigation) };
  } finally {
    await browser.close();
  }
}

/** Where Chromium keeps compiled shaders of WebGPU, in a profile. */
const SHADER_CACHES = ['DawnWebGPUCache', 'GPUCache'];

async function forgetShaders(profile) {
  for (const name of SHADER_CACHES) await rm(join(profile, 'Default', name), { recursive: true, force: true });
}

const { default: puppeteer } = await import('puppeteer-core');
const profile = await mkdtemp(join(tmpdir(), 'first-token-'));
const server = await startServer({
  root,
  onRequest: (_request, response, url) => {
    // The page itself is served as it stands: what is added to it would count.
    if (url.pathname.endsWith('.worker.js')) return servePrelude(root, WATCH_GPU, response, url);
    if (url.pathname !== '/first-token.html') return false;
    response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' }).end(pageOf());
    return true;
  },
});
try {
  const url = new URL('/first-token.html', server.url).href;
  // Fills the store.
  await round(puppeteer, profile, url, false);
  const rounds = [];
  for (let i = 0; i < Number(values.rounds); i += 1) {
    if (!values['keep-shaders']) await forgetShaders(profile);
    const result = await round(puppeteer, profile, url, true);
    rounds.push(result);
    const { marks, tasks, gpu } = result;
    const times = Object.entries(marks).map(([name, ms]) => `${name} ${Math.round(ms)}`);
    console.log(`round ${i + 1}, ms from the navigation: ${times.join(', ')}`);
    for (const { startMs, processorMs, wallMs, within } of tasks.slice(0, 3)) {
      console.log(
        `  task at ${Math.round(startMs)}: ${processorMs.toFixed(1)} ms of processor, ${wallMs.toFixed(1)} ms; ${within.join(', ')}`,
      );
    }
    if (gpu) {
      const span = (times) => times?.map(Math.round).join(' to ') ?? 'unknown';
      console.log(
        `  ${gpu.pipelines} pipelines compiled from ${span(gpu.compiling)}, weights written from ${span(gpu.weights)}`,
      );
    }
  }
  const middle = (pick) => Math.round(median(rounds.map(pick)));
  console.log(`${rounds[0].description}; medians of ${rounds.length} cold pages`);
  console.log(`first text after ${middle(({ marks }) => marks.firstText)} ms`);
  console.log(`longest task of the main thread: ${middle(({ tasks }) => tasks[0].processorMs)} ms of processor time`);
  console.log(`from the ready model to the first text: ${middle(({ marks }) => marks.firstText - marks.ready)} ms`);
  if (rounds.every(({ gpu }) => gpu)) {
    const after = middle(({ gpu }) => gpu.afterWeightsMs);
    console.log(
      after === 0
        ? 'compiling is hidden: all pipelines stood before the last weights were written'
        : `compiling is not hidden: for ${after} ms more after the last weights had been written`,
    );
    console.log(`compiled after the model was ready: ${middle(({ gpu }) => gpu.lateMs)} ms`);
  }
  if (values.json) {
    const command = `node bench/first-token.mjs ${process.argv.slice(2).join(' ')}`.trim();
    await writeFile(values.json, `${JSON.stringify({ command, date: new Date().toISOString(), rounds }, null, 2)}\n`);
  }
} finally {
  await server.close();
  await rm(profile, { recursive: true, force: true });
}
