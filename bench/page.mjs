// Runs a job in a page: the job comes as JSON in the address, or from `runBench` when a driver calls it.

import { webgpuLimits, wasmReadLimit } from './limits.mjs';
import { measure } from './measure.mjs';
import { measureWllama } from './peers/wllama.mjs';

const lines = document.querySelector('#log');
function log(text) {
  lines.textContent += `\n${text}`;
  console.log(text);
  if (job?.logTo) void fetch(job.logTo, { method: 'POST', body: text });
}

let job;

globalThis.runBench = async (given) => {
  job = given;
  const results = [];
  const limits = {};
  if (job.readModule) limits.wasm = await wasmReadLimit(Uint8Array.from(atob(job.readModule), (c) => c.charCodeAt(0)));
  if (job.webgpuLimits) limits.webgpu = await webgpuLimits();
  log(JSON.stringify(limits));
  // Figures of a software renderer would mean nothing: better none.
  const adapter = limits.webgpu?.adapter ?? 'no adapter';
  if (job.requireAdapter && !new RegExp(job.requireAdapter, 'i').test(adapter)) {
    return { limits, results: [], error: `The adapter is ${adapter}, not ${job.requireAdapter}.` };
  }
  for (const run of job.runs) {
    const name = run.title ?? run.engine;
    log(`— ${name}`);
    try {
      if (run.engine === 'wllama') results.push({ ...(await measureWllama(run, log)), title: name });
      else results.push({ ...(await measure(await import('/dist/index.js'), run, log)), title: name });
    } catch (error) {
      log(`${name} failed: ${error.name} ${error.code ?? ''} ${error.message} ${error.hint ?? ''}`);
      results.push({ engine: run.engine, title: name, error: `${error.code ?? error.name}: ${error.message}` });
    }
  }
  return { limits, results, userAgent: navigator.userAgent, isolated: crossOriginIsolated };
};

const given = new URLSearchParams(location.search).get('job');
if (given) {
  const request = JSON.parse(given.startsWith('/') ? await (await fetch(given)).text() : given);
  const answer = await globalThis.runBench(request);
  lines.textContent += `\n${JSON.stringify(answer, null, 2)}`;
  if (request.reportTo) await fetch(request.reportTo, { method: 'POST', body: JSON.stringify(answer) });
}
