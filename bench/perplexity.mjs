// Perplexity of a model on a text, by our own runtime in Node, measured as llama.cpp's llama-perplexity does.
//
//   node bench/perplexity.mjs --model FOLDER|FILE.gguf --text FILE [--precision auto] [--windows 120] [--window 512]
//                             [--threads N] [--json]

import { readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { tsImport } from 'tsx/esm/api';
import { loadModel } from '../dist/index.js';

const { measurePerplexity } = await tsImport('../runtime/evaluation/perplexity.ts', import.meta.url);
const { values } = parseArgs({
  options: {
    model: { type: 'string' },
    text: { type: 'string' },
    precision: { type: 'string', default: 'auto' },
    windows: { type: 'string', default: '120' },
    window: { type: 'string', default: '512' },
    threads: { type: 'string' },
    json: { type: 'boolean', default: false },
  },
});
if (!values.model || !values.text) {
  console.error('Name a model and a text: node bench/perplexity.mjs --model FOLDER|FILE.gguf --text FILE');
  process.exit(2);
}
const window = Number(values.window);
const model = await loadModel(values.model, {
  backend: 'wasm',
  precision: values.precision,
  contextLength: window,
  ...(values.threads && { threads: Number(values.threads) }),
});
const tokens = await model.tokenize(await readFile(values.text, 'utf8'));
const started = performance.now();
const result = await measurePerplexity((part) => model.logits(part), tokens, {
  window,
  windows: Number(values.windows),
  onProgress: ({ perplexity, windows }) => {
    if (process.stderr.isTTY) process.stderr.write(`\r${windows} windows: ${perplexity.toFixed(3)} `);
  },
});
const { plan, parameters } = model.info;
const seconds = (performance.now() - started) / 1000;
if (values.json) {
  console.log(
    JSON.stringify({ ...result, seconds, parameters, bitsPerWeight: plan.bitsPerWeight, bytes: plan.memory.weights }),
  );
} else {
  console.log(
    `${values.model}: ${plan.precision}, ${plan.bitsPerWeight.toFixed(2)} bits a weight, ${plan.memory.weights} bytes`,
  );
  console.log(
    `perplexity ${result.perplexity.toFixed(3)} ± ${result.standardError.toFixed(3)} on ${result.tokens} tokens of ${result.windows} windows (${seconds.toFixed(0)} s)`,
  );
}
await model.dispose();
process.exit(0);
