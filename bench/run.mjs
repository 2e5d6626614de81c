// `npm run bench`: throughput of prefill and decode, in a browser or in Node, beside the machine's limits and, on the same
// page in the same run, beside peers. See bench/README.md for the options and how to read the table.

import { mkdir, writeFile } from 'node:fs/promises';
import { availableParallelism, cpus, totalmem } from 'node:os';
import { basename, dirname, resolve } from 'node:path';
import { encoderJob } from './encoder/job.mjs';
import { ENCODER_SHAPES } from './encoder/shapes.mjs';
import { printEncoderTable } from './encoder/table.mjs';
import { FETCHED_PEERS, fetchPeer } from './fetch-peer.mjs';
import { runInBrowser } from './in-browser.mjs';
import { wasmReadLimit } from './limits.mjs';
import { localModel } from './local-model.mjs';
import { measure } from './measure.mjs';
import { HELP, OptionError, readOptions } from './options.mjs';
import { readModule } from './read-module.mjs';
import { writeReportPage } from './report.mjs';
import { serveFiles } from './serve-files.mjs';
import { SHAPES } from './shapes.mjs';
import { safetensorsFolder } from './synthetic-model.mjs';
import { printTable } from './table.mjs';

/** What the page, or Node, is asked to measure: wp-models first, then its peers. */
function runsOf(options, source) {
  const { promptTokens, decodeTokens, rounds, threads, backend, bits, precision } = options;
  const sizes = { promptTokens, decodeTokens, rounds };
  const ours = {
    engine: 'wp-models',
    source,
    options: {
      backend,
      // A shape's files are quantised already.
      precision: options.shape ? 'auto' : precision,
      threads,
      contextLength: promptTokens + decodeTokens + 64,
    },
    tune: options.tune,
    profile: options.profile,
    ...sizes,
  };
  const peer = { threads, backend, shape: options.peerShape, ...sizes };
  // 8 bits are onnxruntime's faster way on a CPU, even where 4 bits are asked for: the better of the two counts.
  const onnxWeights = bits === 8 ? ['q8'] : backend === 'webgpu' ? ['q4'] : ['q4', 'q8'];
  const ofOnnx = (engine) =>
    onnxWeights.map((weights) => ({ ...peer, engine, title: `${engine} ${weights}`, weights }));
  const peers = {
    wllama: options.gguf
      ? [{ ...peer, engine: 'wllama', gguf: '/bench-job/gguf', precision: basename(options.gguf, '.gguf') }]
      : [{ ...peer, engine: 'wllama', bits: Math.max(4, bits) }],
    ort: ofOnnx('onnxruntime-web'),
    'transformers.js': ofOnnx('transformers.js'),
  };
  return [ours, ...options.peers.flatMap((name) => peers[name])];
}

async function inNode(run) {
  const api = await import('../dist/index.js');
  const limits = { wasm: await wasmReadLimit(await readModule()) };
  const about = { limits, userAgent: `Node.js ${process.version}`, isolated: true };
  return { ...about, results: [{ ...(await measure(api, run, console.log)), title: 'wp-models' }] };
}

async function inBrowser(runs, options) {
  const job = {
    runs,
    readModule: Buffer.from(await readModule()).toString('base64'),
    webgpuLimits: options.backend !== 'wasm',
  };
  return runInBrowser(job, options);
}

/** What is served from here, from a port of its own: made-up files, or those of a disk, wherever they lie. */
async function servedModel({ shape, bits, localModel: path }) {
  if (!shape && !path) return undefined;
  const { files, address } = shape
    ? { files: safetensorsFolder(SHAPES[shape], bits), address: '' }
    : await localModel(path);
  const { url, close } = await serveFiles(files);
  return { url: url + address, close };
}

async function measured(options) {
  const shape = options.encoder ? ENCODER_SHAPES[options.encoder] : options.shape && SHAPES[options.shape];
  for (const peer of options.peers) if (Object.hasOwn(FETCHED_PEERS, peer)) await fetchPeer(peer);
  const served = options.encoder ? undefined : await servedModel(options);
  try {
    const runs = runsOf(options, served?.url ?? options.model);
    const answer = options.encoder
      ? await runInBrowser({ encoder: encoderJob(options), webgpuLimits: options.backend === 'webgpu' }, options)
      : options.in === 'node'
        ? await inNode(runs[0])
        : await inBrowser(runs, options);
    return {
      kind: options.encoder ? 'encoder' : 'decoder',
      what: shape ? `${options.encoder ?? options.shape} (${shape.title})` : options.model,
      command: `npm run bench -- ${process.argv.slice(2).join(' ')}`.trim(),
      date: new Date().toISOString(),
      machine: {
        processor: cpus()[0]?.model ?? 'unknown',
        cores: availableParallelism(),
        memoryBytes: totalmem(),
        system: `${process.platform} ${process.arch}`,
      },
      ...answer,
    };
  } finally {
    served?.close();
  }
}

async function main(options) {
  let failed = false;
  if (options.measures) {
    const report = await measured(options);
    if (options.encoder) printEncoderTable(report);
    else printTable(report);
    const path = resolve(options.json);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, `${JSON.stringify(report, null, 2)}\n`);
    console.log(`JSON: ${options.json}`);
    failed = report.error !== undefined || report.results.some((result) => result.error);
  }
  if (options.report) console.log(`Report: ${await writeReportPage()}`);
  return failed ? 1 : 0;
}

if (process.argv.includes('--help')) {
  console.log(HELP);
  process.exit(0);
}
try {
  process.exit(await main(readOptions(process.argv.slice(2))));
} catch (error) {
  if (error instanceof OptionError) console.error(`bench: ${error.message}\n\n${HELP}`);
  else console.error(`bench: ${[error.code, error.message, error.hint].filter(Boolean).join(' · ')}`);
  process.exit(error instanceof OptionError ? 2 : 1);
}
