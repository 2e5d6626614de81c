// What a precision costs in quality, by our own runtime in Node: loss and perplexity of a text, and how often the likeliest
// token is the one of the first precision that is named.
//
//   node bench/quality.mjs --model FOLDER --text FILE [--precision f16,8bit,4bit] [--tokens 2000] [--window 500]

import { readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { loadModel } from '../dist/index.js';

const { values } = parseArgs({
  options: {
    model: { type: 'string' },
    text: { type: 'string' },
    precision: { type: 'string', default: 'f16,8bit,4bit' },
    tokens: { type: 'string', default: '2000' },
    window: { type: 'string', default: '500' },
  },
});
if (!values.model || !values.text) {
  console.error('Name a model and a text: node bench/quality.mjs --model FOLDER --text FILE');
  process.exit(2);
}
const text = await readFile(values.text, 'utf8');
const count = Number(values.tokens);
const window = Number(values.window);

/** Loss of each predicted token, in nats, and the likeliest token in its place. Windows share nothing. */
async function score(model, tokens) {
  const losses = [];
  const best = [];
  const size = model.info.vocabularySize;
  for (let start = 0; start < tokens.length; start += window) {
    // One more token than the window predicts, so that `window` tokens are scored.
    const part = tokens.slice(start, start + window + 1);
    const logits = await model.logits(part);
    for (let row = 0; row + 1 < part.length; row += 1) {
      const values = logits.subarray(row * size, (row + 1) * size);
      let top = 0;
      for (let id = 1; id < size; id += 1) if (values[id] > values[top]) top = id;
      let sum = 0;
      for (const value of values) sum += Math.exp(value - values[top]);
      losses.push(Math.log(sum) + values[top] - values[part[row + 1]]);
      best.push(top);
    }
  }
  return { loss: losses.reduce((a, b) => a + b, 0) / losses.length, best };
}

let reference;
console.log('precision  bits a weight  weights MB  loss    perplexity  same likeliest token');
for (const precision of values.precision.split(',')) {
  const model = await loadModel(values.model, { backend: 'wasm', precision });
  const tokens = (await model.tokenize(text.slice(0, count * 8))).slice(0, count + 1);
  const { loss, best } = await score(model, tokens);
  reference ??= best;
  const same = best.filter((id, i) => id === reference[i]).length / best.length;
  const { plan } = model.info;
  console.log(
    [
      plan.precision.padEnd(10),
      plan.bitsPerWeight.toFixed(2).padEnd(14),
      (plan.memory.weights / 1e6).toFixed(1).padEnd(11),
      loss.toFixed(4).padEnd(7),
      Math.exp(loss).toFixed(2).padEnd(11),
      `${(same * 100).toFixed(1)} %`,
    ].join(' '),
  );
  await model.dispose();
}
process.exit(0);
