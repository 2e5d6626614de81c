// What a page downloads before a person can chat, gzipped, against its budget: the elements and the worker with every chunk
// that they import statically, and the larger of the backends, where those are chunks of their own. What is fetched later
// (to show the first answer, say) is printed beside it. The WASM kernels have a budget of their own; they travel inside the
// scripts as base64, so they are taken out of the one count and put into the other, and the sum as it travels is printed.
// The scripts of elements that few pages use have budgets of their own, for what they and the whole API add.

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { root } from './root.mjs';

const budgets = { script: 120_000, kernels: 60_000 };
const elementBudgets = { 'embed.js': 23_500, 'vision.js': 25_500 };
const dist = join(root, 'dist');

const staticImport = /\b(?:from|import)\s*["'`]\.\/([\w.-]+\.js)["'`]/g;
const dynamicImport = /\bimport\(\s*["'`]\.\/([\w.-]+\.js)["'`]/g;
const isBackend = (file) => /^worker-(webgpu|wasm)-/.test(file);

/** A WebAssembly module in base64 begins with these letters: \0asm. */
const base64Wasm = /(["'`])(AGFzbQ[A-Za-z0-9+/=]{64,})\1/g;

const gzipped = (data) => gzipSync(data, { level: 9 }).length;

/** A file's sizes and what it imports. */
function measure(file) {
  const path = join(dist, file);
  if (!existsSync(path)) throw new Error(`dist/${file} is not there: run npm run build first.`);
  const code = readFileSync(path, 'utf8');
  let kernels = 0;
  let modules = 0;
  const withoutKernels = code.replace(base64Wasm, (_match, quote, base64) => {
    kernels += gzipped(Buffer.from(base64, 'base64'));
    modules += 1;
    return quote + quote;
  });
  return {
    file,
    script: gzipped(withoutKernels),
    travelling: gzipped(code),
    kernels,
    modules,
    static: [...withoutKernels.matchAll(staticImport)].map(([, name]) => name),
    dynamic: [...withoutKernels.matchAll(dynamicImport)].map(([, name]) => name),
  };
}

/** The file and what it needs to start. */
function closure(file, found = new Map()) {
  if (found.has(file)) return found;
  const measured = measure(file);
  found.set(file, measured);
  for (const name of measured.static) closure(name, found);
  return found;
}

const sum = (files, key) => files.reduce((total, file) => total + file[key], 0);

const initial = new Map([...closure('elements.js'), ...closure('model.worker.js')]);
const later = new Map();
const reached = [...initial.values()];
for (const { dynamic } of reached) {
  for (const name of dynamic) {
    for (const [file, measured] of closure(name)) {
      if (initial.has(file) || later.has(file)) continue;
      later.set(file, measured);
      reached.push(measured);
    }
  }
}

const backends = [...later.values()].filter(({ file }) => isBackend(file)).sort((a, b) => b.script - a.script);
const counted = [...initial.values(), ...backends.slice(0, 1)].sort((a, b) => b.script - a.script);
const others = [...later.values()].filter((file) => !counted.includes(file));
const everything = [...initial.values(), ...later.values()];

const kilobytes = (bytes) => `${(bytes / 1000).toFixed(1)} KB`.padStart(10);
for (const { file, script } of counted) console.log(`${kilobytes(script)}  ${file}`);
const script = sum(counted, 'script');
const kernels = sum(everything, 'kernels');
const modules = sum(everything, 'modules');
console.log(
  `${kilobytes(script)}  before a chat, with the worker, gzipped, without kernels (budget${kilobytes(budgets.script)})`,
);
console.log(`${kilobytes(kernels)}  WASM kernels, ${modules} modules, gzipped (budget${kilobytes(budgets.kernels)})`);
console.log(`${kilobytes(sum(counted, 'travelling'))}  as it travels, kernels in base64 inside`);
for (const { file, travelling } of others) console.log(`${kilobytes(travelling)}  only when it is needed: ${file}`);

const failures = [];
for (const [entry, budget] of Object.entries(elementBudgets)) {
  const added = [...closure(entry).values()].filter(({ file }) => !initial.has(file));
  const bytes = sum(added, 'script');
  console.log(`${kilobytes(bytes)}  ${entry}, and the whole API, beside a chat (budget${kilobytes(budget)})`);
  if (bytes > budget) failures.push(`${entry} is ${bytes} bytes gzipped; ${budget} are allowed.`);
}
if (script > budgets.script) failures.push(`The script is ${script} bytes gzipped; ${budgets.script} are allowed.`);
if (kernels > budgets.kernels)
  failures.push(`The kernels are ${kernels} bytes gzipped; ${budgets.kernels} are allowed.`);
if (backends.length !== 2) failures.push(`The chunks of 2 backends were expected, and ${backends.length} were found.`);
if (modules === 0) failures.push('No WASM kernels were found in the bundle: they would not be counted.');
for (const failure of failures) console.error(failure);
process.exitCode = failures.length > 0 ? 1 : 0;
