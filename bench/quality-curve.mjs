// Loss against bytes for every quantiser of ours: a model is calibrated on one text, quantised in every way, run by our WASM
// backend in the rows that were made, and measured on another text as llama.cpp's llama-perplexity does.
//
//   node bench/quality-curve.mjs --model FOLDER --calibrate FILE --text FILE [--windows 20] [--calibration-windows 40]
//                                [--methods nearest,search,hqq,importance,gptq,descent] [--bits 8,4,3,2]
//                                [--files adaptive=FILE.gguf,llama.cpp=FILE.gguf,...] [--json FILE] [--svg FILE] [--from FILE]
//
// `gptq` is without refinement, `descent` has the coordinate descent over codes and scales after it, as `quantize` does. `--from`
// goes on with the results of a file that `--json` wrote; with `--methods none` it only plots them.
// The methods give every matrix the same row: q8g32, q4k, q3k, q2k; hqq, which moves minimums, q8g32m, q4g64m, q3g64m, q2g64m.
// `--files` measures whole files beside them, each in the line of its name: what `wp-models quantize --budget` wrote is
// `adaptive`, what a peer wrote has the peer's name. They need dist/ (npm run build).

import { readFile, writeFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { parseArgs } from 'node:util';
import { tsImport } from 'tsx/esm/api';
import { curvePlot } from './curve-plot.mjs';

const { openModel, totalBytes } = await tsImport('../scripts/calibration-model.ts', import.meta.url);
const calibration = await tsImport('../runtime/quantization/calibration/index.ts', import.meta.url);
const { measurePerplexity } = await tsImport('../runtime/evaluation/perplexity.ts', import.meta.url);
const { FORMATS } = await tsImport('../runtime/quantization/formats.ts', import.meta.url);
const { packMatrix, stackMatrices } = await tsImport('../runtime/quantization/pack.ts', import.meta.url);
const { lower } = await tsImport('../runtime/graph/passes/index.ts', import.meta.url);

const ROWS = { 8: 'q8g32', 4: 'q4k', 3: 'q3k', 2: 'q2k' };
const MINIMUM_ROWS = { 8: 'q8g32m', 4: 'q4g64m', 3: 'q3g64m', 2: 'q2g64m' };
const WINDOW = 512;
const CHUNK = 128;

const { values: options } = parseArgs({
  options: {
    model: { type: 'string' },
    calibrate: { type: 'string' },
    text: { type: 'string' },
    windows: { type: 'string', default: '20' },
    'calibration-windows': { type: 'string', default: '40' },
    methods: { type: 'string', default: 'nearest,search,hqq,importance,gptq,descent' },
    bits: { type: 'string', default: '8,4,3,2' },
    files: { type: 'string' },
    threads: { type: 'string' },
    json: { type: 'string' },
    svg: { type: 'string' },
    from: { type: 'string' },
  },
});
if (!options.model || !options.calibrate || !options.text) {
  console.error('Usage: node bench/quality-curve.mjs --model FOLDER --calibrate FILE --text FILE');
  process.exit(2);
}

const { model, graph, tokenize } = await openModel(options.model, options.threads && Number(options.threads));
const tokens = tokenize(await readFile(options.text, 'utf8'));
const windows = calibration.textWindows(tokenize(await readFile(options.calibrate, 'utf8')), {
  count: Number(options['calibration-windows']),
  length: 512,
});
const matrices = graph.weights.filter(({ shape }) => shape.length > 1);

/** Rounding to the nearest code of the group's whole range: what quantising costs when nothing is searched. */
function nearest(values, format) {
  const { groupSize } = FORMATS[format];
  const half = 2 ** (Number(format[1]) - 1);
  const result = new Float32Array(values.length);
  for (let start = 0; start < values.length; start += groupSize) {
    let largest = 0;
    for (let i = start; i < start + groupSize; i += 1) largest = Math.max(largest, Math.abs(values[i]));
    const scale = largest / Math.max(1, half - 1);
    for (let i = start; i < start + groupSize; i += 1) {
      result[i] = scale === 0 ? 0 : scale * Math.max(-half, Math.min(half - 1, Math.round(values[i] / scale)));
    }
  }
  return result;
}

async function quantizeNearest(format) {
  const found = [];
  const plain = new Map(graph.weights.map(({ name }) => [name, FORMATS.f32]));
  for await (const { name, matrix } of model.weights(graph, plain)) {
    const values = new Float32Array(matrix.planes[0].slice().buffer);
    const isMatrix = matrices.some((weight) => weight.name === name);
    // The rounded numbers are kept in f32: their bytes are those of the row.
    found.push({
      name,
      matrix: packMatrix(isMatrix ? nearest(values, format) : values, matrix.rows, matrix.columns, FORMATS.f32),
    });
  }
  return found;
}

/** Perplexity of the model with these weights, in the formats that they have. */
async function measure(named) {
  const byName = new Map(named.map(({ name, matrix }) => [name, matrix]));
  const lowered = lower(graph);
  const whole = new Map(
    lowered.weights.map(({ name, parts, shape }) => {
      const stacked = stackMatrices(parts.map(({ tensor }) => byName.get(tensor)));
      return [name, shape.length > 1 ? stacked : byName.get(name)];
    }),
  );
  const formats = new Map(
    lowered.weights.map(({ name, shape }) => [name, shape.length > 1 ? whole.get(name).format : FORMATS.f32]),
  );
  const size = { contextLength: WINDOW, maxTokens: CHUNK, maxOutputs: CHUNK };
  const program = await model.backend.compile(lowered, { formats, ...size });
  for (const [name, matrix] of whole) {
    const isVector = formats.get(name) === FORMATS.f32 && matrix.rows === 1;
    await program.setWeight(name, isVector ? toFloats(matrix) : matrix);
  }
  await program.ready();
  const vocabulary = lowered.values[lowered.outputs.logits].shape[1];
  const logits = async (part) => {
    const all = new Float32Array(part.length * vocabulary);
    for (let start = 0; start < part.length; start += CHUNK) {
      const chunk = part.slice(start, start + CHUNK);
      // The first half of a window does not count.
      const rows = start + CHUNK <= WINDOW / 2 ? [] : [...chunk.keys()];
      const rotary = model.rotaryRows(start, chunk.length);
      const step = { tokenIds: Int32Array.from(chunk), rotary, outputRows: Int32Array.from(rows), past: start };
      all.set(await program.run(step), start * vocabulary);
    }
    return all;
  };
  const result = await measurePerplexity(logits, tokens, { window: WINDOW, windows: Number(options.windows) });
  program.dispose();
  return result;
}

function toFloats(matrix) {
  if (matrix.format.name === 'f32') return matrix;
  const halves = new Float32Array(matrix.columns);
  const view = new DataView(matrix.planes[0].buffer, matrix.planes[0].byteOffset);
  for (let i = 0; i < halves.length; i += 1) {
    const bits = view.getUint16(2 * i, true);
    const exponent = (bits >> 10) & 31;
    const fraction = bits & 1023;
    const size = exponent === 0 ? fraction * 2 ** -24 : (1 + fraction / 1024) * 2 ** (exponent - 15);
    halves[i] = bits & 0x8000 ? -size : size;
  }
  return packMatrix(halves, 1, matrix.columns, FORMATS.f32);
}

const collect = async (stream) => {
  const found = [];
  for await (const named of stream) found.push(named);
  return found;
};
const uniform = (row) => new Map(matrices.map(({ name }) => [name, FORMATS[row]]));

/** Perplexity of a whole file, loaded as a page would. */
async function measureFile(path) {
  const { loadModel } = await import('../dist/index.js');
  const loaded = await loadModel(path, {
    backend: 'wasm',
    contextLength: WINDOW,
    ...(options.threads && { threads: Number(options.threads) }),
  });
  const measured = await measurePerplexity((part) => loaded.logits(part), tokens, {
    window: WINDOW,
    windows: Number(options.windows),
  });
  const bytes = loaded.info.plan.memory.weights;
  await loaded.dispose();
  return { bytes, measured };
}

const results = options.from ? JSON.parse(await readFile(options.from, 'utf8')) : [];
let f16 = results.find(({ method }) => method === 'none')?.loss;
async function report(method, row, named, bytes = totalBytes(named)) {
  await record(method, row, bytes, await measure(named));
}

async function record(method, row, bytes, { perplexity, loss, standardError }) {
  f16 ??= loss;
  const above = 100 * (Math.exp(loss - f16) - 1);
  results.push({ method, row, bytes, perplexity, loss, standardError, above, windows: Number(options.windows) });
  const cells = [
    method.padEnd(11),
    row.padEnd(11),
    (bytes / 1e6).toFixed(2).padStart(6),
    perplexity.toFixed(3).padStart(9),
  ];
  console.log([...cells, `${above >= 0 ? '+' : ''}${above.toFixed(1)} %`].join('  '));
  if (options.json) await writeFile(options.json, `${JSON.stringify(results, undefined, 1)}\n`);
}

console.log('method       row             MB  perplexity  above f16');
if (f16 === undefined) {
  await report(
    'none',
    'f16',
    await collect(calibration.quantizeWeights(model, { method: 'search', formats: uniform('f16') })),
  );
}
const methods = options.methods === 'none' ? [] : options.methods.split(',');
const needsText = methods.some((method) => ['importance', 'gptq', 'descent'].includes(method));
const statistics = needsText ? await calibration.calibrate(model, windows, { gather: 'moments' }) : undefined;
for (const method of methods) {
  for (const bits of options.bits.split(',')) {
    const row = (method === 'hqq' ? MINIMUM_ROWS : ROWS)[bits];
    if (method === 'nearest') {
      // One level of scales: the plainest there is.
      const plain = bits === '8' ? 'q8g32' : `q${bits}g32`;
      const bytes = totalBytes(
        await collect(calibration.quantizeWeights(model, { method: 'search', formats: uniform(plain) })),
      );
      await report(method, plain, await quantizeNearest(plain), bytes);
    } else {
      const stream = calibration.quantizeWeights(model, {
        method: method === 'descent' ? 'gptq' : method,
        gptq: { refinements: method === 'descent' ? 2 : 0 },
        formats: uniform(row),
        calibration: statistics,
      });
      await report(method, row, await collect(stream));
    }
  }
}
for (const entry of options.files?.split(',') ?? []) {
  const [name, path] = entry.split('=');
  const { bytes, measured } = await measureFile(path);
  await record(name, basename(path, '.gguf'), bytes, measured);
}
if (options.svg) await writeFile(options.svg, curvePlot(results));
process.exit(0);
