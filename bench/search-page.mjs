// Measures openVectorSearch() beside a plain loop over the same vectors, in turns, and that both find the same.
//
//   search.html?backend=webgpu&count=100000&dimension=384     shows it; with &report=1 it is posted to /log and /done

const parameters = new URLSearchParams(location.search);
const number = (name, otherwise) => Number(parameters.get(name) ?? otherwise);
const backends = (parameters.get('backend') ?? 'wasm').split(',');
const count = number('count', 100_000);
const dimension = number('dimension', 384);
const rounds = number('rounds', 15);
const hits = number('hits', 10);
const module = parameters.get('module') ?? '../dist/index.js';
const isReport = parameters.get('report') === '1';
const log = document.querySelector('#log');

const post = (path, body) => fetch(path, { method: 'POST', body });

async function say(text) {
  log.textContent += `\n${text}`;
  if (isReport) await post('/log', text);
}

function random(rows, seed) {
  const numbers = new Float32Array(rows * dimension);
  let state = seed;
  for (let row = 0; row < rows; row++) {
    let square = 0;
    for (let i = row * dimension; i < (row + 1) * dimension; i++) {
      state = (Math.imul(state, 1664525) + 1013904223) | 0;
      numbers[i] = state / 2 ** 31;
      square += numbers[i] ** 2;
    }
    const scale = 1 / Math.sqrt(square);
    for (let i = row * dimension; i < (row + 1) * dimension; i++) numbers[i] *= scale;
  }
  return numbers;
}

/** What one would write: a loop over all, the best kept in order. */
function plainLoop(vectors, query) {
  const best = [];
  for (let index = 0; index < count; index++) {
    const start = index * dimension;
    let score = 0;
    for (let i = 0; i < dimension; i++) score += vectors[start + i] * query[i];
    if (best.length === hits && score <= best[hits - 1].score) continue;
    let place = best.length;
    while (place > 0 && best[place - 1].score < score) place -= 1;
    best.splice(place, 0, { index, score });
    if (best.length > hits) best.pop();
  }
  return best;
}

const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
const round = (value) => Math.round(value * 100) / 100;

async function timed(work) {
  const start = performance.now();
  const result = await work();
  return { ms: performance.now() - start, result };
}

async function measure(openVectorSearch, vectors, queries, backend) {
  const opened = await timed(() => openVectorSearch(vectors, { dimensions: dimension, backend }));
  const search = opened.result;
  await search.search(queries[0], { count: hits });
  const own = [];
  const plain = [];
  const ratios = [];
  let same = true;
  for (let i = 0; i < rounds; i++) {
    const query = queries[i % queries.length];
    const first = await timed(() => search.search(query, { count: hits }));
    const second = await timed(() => plainLoop(vectors, query));
    own.push(first.ms);
    plain.push(second.ms);
    ratios.push(second.ms / first.ms);
    same &&= JSON.stringify(first.result) === JSON.stringify(second.result);
  }
  search.dispose();
  return {
    backend: search.backend,
    count,
    dimension,
    hits,
    rounds,
    openMs: round(opened.ms),
    medianMs: round(median(own)),
    leastMs: round(Math.min(...own)),
    plainMedianMs: round(median(plain)),
    medianRatio: round(median(ratios)),
    sameAsPlainLoop: same,
  };
}

async function run() {
  const { openVectorSearch } = await import(module);
  await say(`${count} vectors of ${dimension} numbers`);
  const vectors = random(count, 1);
  const queries = Array.from({ length: 5 }, (_, i) => random(1, i + 2));
  for (let warm = 0; warm < 2; warm++) plainLoop(vectors, queries[warm]);
  const adapter = (await navigator.gpu?.requestAdapter({ powerPreference: 'high-performance' }))?.info;
  const results = [];
  for (const backend of backends) {
    const result = await measure(openVectorSearch, vectors, queries, backend);
    await say(JSON.stringify(result));
    results.push(result);
  }
  return {
    userAgent: navigator.userAgent,
    adapter:
      adapter && [adapter.vendor, adapter.architecture, adapter.device, adapter.description].filter(Boolean).join(' '),
    results,
  };
}

try {
  const report = await run();
  log.textContent += `\n${JSON.stringify(report, undefined, 2)}`;
  if (isReport) await post('/done', JSON.stringify(report));
} catch (error) {
  log.textContent += `\n${error.stack ?? error}`;
  if (isReport) await post('/done', JSON.stringify({ error: String(error.stack ?? error) }));
}
