// Runs a job in a page and reports the answer. The job is JSON, in the address or at the path that the address names:
// /bench/page.html?job=/job.json. What it logs goes to the job's `logTo`, what it measured to its `reportTo`.

const lines = document.querySelector('#log');
let logTo;

function log(text) {
  lines.textContent += `\n${text}`;
  console.log(text);
  if (logTo) void fetch(logTo, { method: 'POST', body: text });
}

const ENGINES = {
  'wp-models': async (run) => {
    const { measure } = await import('./measure.mjs');
    return measure(await import('/dist/index.js'), run, log);
  },
  wllama: async (run) => (await import('./peers/wllama.mjs')).measureWllama(run, log),
  'onnxruntime-web': async (run) => (await import('./peers/onnxruntime.mjs')).measureOnnxRuntime(run, log),
  'transformers.js': async (run) => (await import('./peers/transformers.mjs')).measureTransformers(run, log),
};

async function limitsOf(job) {
  const { webgpuLimits, wasmReadLimit } = await import('./limits.mjs');
  const limits = {};
  if (job.readModule) limits.wasm = await wasmReadLimit(Uint8Array.from(atob(job.readModule), (c) => c.charCodeAt(0)));
  if (job.webgpuLimits) limits.webgpu = await webgpuLimits();
  return limits;
}

async function resultsOf(job) {
  const results = [];
  for (const run of job.runs) {
    const title = run.title ?? run.engine;
    const about = { title, what: run.what };
    log(`— ${title}`);
    try {
      const measured = ENGINES[run.engine];
      if (!measured) throw new Error(`There is no engine of this name, only ${Object.keys(ENGINES).join(', ')}.`);
      // A peer follows the backend that wp-models chose.
      const chosen = results.find((result) => result.engine === 'wp-models')?.backend ?? 'wasm';
      const backend = run.backend === 'auto' ? chosen : run.backend;
      results.push({ ...(await measured({ ...run, backend })), ...about });
    } catch (error) {
      log(`${title} failed: ${[error.name, error.code, error.message, error.hint].filter(Boolean).join(' · ')}`);
      results.push({ engine: run.engine, ...about, error: `${error.code ?? error.name}: ${error.message}` });
    }
  }
  return results;
}

async function answerTo(job) {
  const about = { userAgent: navigator.userAgent, isolated: crossOriginIsolated };
  try {
    const limits = await limitsOf(job);
    log(JSON.stringify(limits));
    // Figures of a software renderer would mean nothing: better none.
    const adapter = limits.webgpu?.adapter ?? 'no adapter';
    if (job.requireAdapter && !new RegExp(job.requireAdapter, 'i').test(adapter)) {
      return { ...about, limits, results: [], error: `The adapter is ${adapter}, not ${job.requireAdapter}.` };
    }
    if (job.encoder) {
      const { measureEncoders } = await import('./encoder/measure.mjs');
      return { ...about, kind: 'encoder', limits, results: await measureEncoders(job.encoder, log) };
    }
    return { ...about, limits, results: await resultsOf(job) };
  } catch (error) {
    return { ...about, limits: {}, results: [], error: `${error.name}: ${error.message}` };
  }
}

const given = new URLSearchParams(location.search).get('job');
if (given) {
  const job = JSON.parse(given.startsWith('/') ? await (await fetch(given)).text() : given);
  logTo = job.logTo;
  const answer = await answerTo(job);
  lines.textContent += `\n${JSON.stringify(answer, null, 2)}`;
  if (job.reportTo) await fetch(job.reportTo, { method: 'POST', body: JSON.stringify(answer) });
}
