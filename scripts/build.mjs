// Builds dist/: the WASM kernels, the bundles, the type declarations and the embedded models. Steps whose inputs did not
// change are skipped. `--force` runs them all; `--only page,worker,types,models,wasm` runs some.

import { spawn } from 'node:child_process';
import { copyFileSync, cpSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';
import { filesUnder, step } from './fingerprint.mjs';
import { writeLicences } from './licences.mjs';
import { root } from './root.mjs';

const sources = [
  'runtime',
  'workers',
  'components',
  'cli',
  'package.json',
  'tsconfig.json',
  'rollup.config.mjs',
  'scripts/bundle-transforms.mjs',
];

function node(args) {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    child.stdout.on('data', (data) => (output += data));
    child.stderr.on('data', (data) => (output += data));
    child.on('error', reject);
    child.on('close', (code) =>
      code === 0 ? resolve(output) : reject(new Error(`node ${args.join(' ')}:\n${output}`)),
    );
  });
}

/** One of the bundles of rollup.config.mjs. What an earlier build left behind is removed. */
async function bundle(name) {
  const { rollup } = await import('rollup');
  const { default: configurations } = await import('../rollup.config.mjs');
  const { output, ...input } = configurations[name];
  const build = await rollup({ ...input, logLevel: 'warn' });
  const written = await build.write({ ...output, dir: join(root, output.dir) });
  await build.close();
  return written.output.map(({ fileName }) => fileName);
}

/** The chunks of earlier builds of the same bundle. The worker's chunks are named `worker-…`. */
function removeStale(written, isOurs) {
  for (const name of readdirSync(join(root, 'dist'))) {
    if (/\.js(\.map)?$/.test(name) && isOurs(name) && !written.includes(name)) rmSync(join(root, 'dist', name));
  }
}

const isWorkerFile = (name) => name.startsWith('worker-') || name.startsWith('model.worker.');

async function types() {
  rmSync(join(root, 'dist/types'), { recursive: true, force: true });
  await node(['node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json']);
  // The sources are imported as `./x.ts`; a consumer's compiler finds the declarations of `./x.js` in every mode.
  for (const file of filesUnder(join(root, 'dist/types'))) {
    const text = readFileSync(file, 'utf8');
    const fixed = text.replace(/((?:from|import)\s*\(?\s*['"]\.[^'"]*)\.ts(['"])/g, '$1.js$2');
    if (fixed !== text) writeFileSync(file, fixed);
  }
}

const ONNX_RUNTIME = 'node_modules/onnxruntime-web';
/**
 * The edition for the CPU and the one for WebGPU and WebNN: each a script and the .wasm that it fetches, and, on another origin than
 * the page's and in Node, a script beside it.
 */
const ONNX_FILES = {
  'ort.wasm.bundle.min.js': 'ort-wasm-simd-threaded',
  'ort.webgpu.bundle.min.js': 'ort-wasm-simd-threaded.asyncify',
};

/** ONNX Runtime as it stands, but for the name `.mjs`, which not every server knows to be a script. */
function onnx() {
  const [from, to] = [join(root, ONNX_RUNTIME, 'dist'), join(root, 'dist/onnx')];
  rmSync(to, { recursive: true, force: true });
  mkdirSync(to, { recursive: true });
  for (const [script, kernels] of Object.entries(ONNX_FILES)) {
    const text = readFileSync(join(from, script.replace(/js$/, 'mjs')), 'utf8');
    writeFileSync(join(to, script), text.replace(/\n\/\/# sourceMappingURL=\S+\s*$/, '\n'));
    for (const name of [`${kernels}.wasm`, `${kernels}.mjs`]) copyFileSync(join(from, name), join(to, name));
  }
}

const steps = {
  wasm: {
    when: () => existsSync(join(root, 'scripts/build-wasm.mjs')),
    // The whole folder: the threads' code and what it imports is bundled into the generated file too.
    inputs: ['runtime/backends/wasm', 'scripts/build-wasm.mjs'],
    outputs: [
      'runtime/backends/wasm/kernels-plain.generated.ts',
      'runtime/backends/wasm/kernels-relaxed.generated.ts',
      'runtime/backends/wasm/thread.generated.ts',
      'runtime/backends/wasm/encoder/kernels.generated.ts',
      'runtime/search/kernels.generated.ts',
    ],
    run: () => node(['scripts/build-wasm.mjs']),
  },
  page: {
    inputs: sources,
    outputs: ['dist/index.js', 'dist/elements.js', 'dist/embed.js', 'dist/vision.js', 'dist/cli.js'],
    run: async () =>
      removeStale(
        [...(await bundle('page')), ...(await bundle('embed')), ...(await bundle('vision'))],
        (name) => !isWorkerFile(name),
      ),
  },
  worker: {
    inputs: sources.filter((path) => path !== 'components' && path !== 'cli'),
    outputs: ['dist/model.worker.js'],
    run: async () => removeStale(await bundle('worker'), isWorkerFile),
  },
  server: {
    inputs: sources.filter((path) => path !== 'workers' && path !== 'cli'),
    outputs: ['dist/server/elements.js', 'dist/server/embed.js', 'dist/server/vision.js'],
    run: () => bundle('server'),
  },
  types: {
    inputs: ['runtime', 'components', 'tsconfig.json', 'tsconfig.build.json'],
    outputs: [
      'dist/types/runtime/index.d.ts',
      'dist/types/components/index.d.ts',
      'dist/types/components/embed.d.ts',
      'dist/types/components/vision.d.ts',
    ],
    run: types,
  },
  onnx: {
    inputs: [`${ONNX_RUNTIME}/package.json`, 'scripts/build.mjs'],
    outputs: Object.entries(ONNX_FILES).flatMap(([script, kernels]) => [
      `dist/onnx/${script}`,
      `dist/onnx/${kernels}.wasm`,
    ]),
    run: onnx,
  },
  licences: {
    inputs: ['package-lock.json', 'scripts/licences.mjs', 'runtime/quantization/ggml'],
    outputs: ['dist/THIRD_PARTY_LICENSES.txt'],
    run: writeLicences,
  },
  models: {
    inputs: ['models'],
    outputs: ['dist/models'],
    run: async () => {
      rmSync(join(root, 'dist/models'), { recursive: true, force: true });
      cpSync(join(root, 'models'), join(root, 'dist/models'), { recursive: true });
    },
  },
};

async function runStep(name, force) {
  const { when, run, ...files } = steps[name];
  if (when && !when()) return;
  const start = performance.now();
  const ran = await step(name, { ...files, force }, run);
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  console.log(`  ${name.padEnd(8)} ${ran ? `built in ${seconds} s` : 'unchanged'}`);
}

/** Runs the steps that are needed; throws when one fails. */
export async function build({ force = false, only = Object.keys(steps) } = {}) {
  const unknown = only.filter((name) => !(name in steps));
  if (unknown.length > 0)
    throw new Error(`Unknown step ${unknown.join(', ')}; there are ${Object.keys(steps).join(', ')}.`);
  console.log('Building dist/');
  if (only.includes('wasm')) await runStep('wasm', force);
  const rest = only.filter((name) => name !== 'wasm');
  // One after another: the steps share the file of stamps, and rollup uses the cores by itself.
  for (const name of rest) await runStep(name, force);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const list = process.argv.indexOf('--only');
  const only = list > 0 ? process.argv[list + 1]?.split(',') : undefined;
  try {
    await build({ force: process.argv.includes('--force'), only });
  } catch (error) {
    console.error(error instanceof Error ? (error.stack ?? error.message) : error);
    process.exit(1);
  }
}
