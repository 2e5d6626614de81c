// What a page downloads before it can chat, gzipped, against its budget: the elements, every chunk they import statically, and
// the worker with what it imports. The WASM kernels have a budget of their own; they travel inside the worker as base64,
// so they are taken out of the one count and put into the other, and the sum as it travels is printed too.

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { root } from './root.mjs';

const budgets = { script: 120_000, kernels: 60_000 };
const dist = join(root, 'dist');
const neverInitial = /^(worker-)?onnx/;

/** How a bundle names a file beside itself, in imports of both kinds and in the address of the worker. */
const sibling = /["'`]\.\/([\w.-]+\.js)["'`]/g;

/** A WebAssembly module in base64 begins with these letters: \0asm. */
const base64Wasm = /(["'`])(AGFzbQ[A-Za-z0-9+/=]{64,})\1/g;

/** The file and everything that it imports; dynamic imports too, unless they are for something else than a chat. */
function reach(file, found = new Map()) {
  if (found.has(file)) return found;
  const path = join(dist, file);
  if (!existsSync(path)) throw new Error(`dist/${file} is not there: run npm run build first.`);
  const code = readFileSync(path, 'utf8');
  found.set(file, code);
  for (const [, name] of code.matchAll(sibling)) {
    if (!neverInitial.test(name)) reach(name, found);
  }
  return found;
}

const gzipped = (data) => gzipSync(data, { level: 9 }).length;

const files = new Map([...reach('elements.js'), ...reach('model.worker.js')]);
const kernels = [];
let script = 0;
let travelling = 0;
const rows = [];
for (const [file, code] of files) {
  const without = code.replace(base64Wasm, (_match, quote, base64) => {
    kernels.push(Buffer.from(base64, 'base64'));
    return quote + quote;
  });
  const bytes = gzipped(without);
  script += bytes;
  travelling += gzipped(code);
  rows.push([file, bytes]);
}
const kernelBytes = kernels.reduce((sum, kernel) => sum + gzipped(kernel), 0);

const kilobytes = (bytes) => `${(bytes / 1000).toFixed(1)} KB`.padStart(10);
for (const [file, bytes] of rows.sort((a, b) => b[1] - a[1])) console.log(`${kilobytes(bytes)}  ${file}`);
console.log(
  `${kilobytes(script)}  script of <wp-chat> with the worker, gzipped, without kernels (budget ${kilobytes(budgets.script).trim()})`,
);
console.log(
  `${kilobytes(kernelBytes)}  ${kernels.length} WASM kernel modules, gzipped (budget ${kilobytes(budgets.kernels).trim()})`,
);
console.log(`${kilobytes(travelling)}  both as they travel, the kernels as base64 inside the scripts`);

const failures = [];
if (script > budgets.script) failures.push(`The script is ${script} bytes gzipped; ${budgets.script} are allowed.`);
if (kernelBytes > budgets.kernels)
  failures.push(`The kernels are ${kernelBytes} bytes gzipped; ${budgets.kernels} are allowed.`);
if (kernels.length === 0) failures.push('No WASM kernels were found in the bundle: they would not be counted.');
for (const failure of failures) console.error(failure);
process.exitCode = failures.length > 0 ? 1 : 0;
