// The options of `npm run bench`, read and checked.

import { existsSync } from 'node:fs';
import { basename } from 'node:path';
import { parseArgs } from 'node:util';
import { ENCODER_SHAPES } from './encoder/shapes.mjs';
import { SHAPES } from './shapes.mjs';

export const HELP = `npm run bench -- [options]

  --model SRC        what to load: wp:…, an address, or a file or folder anywhere on this machine
                     (default wp:fable-25m)
  --shape NAME       random weights of a published shape instead: ${Object.keys(SHAPES).join(', ')}
  --encoder NAME     sentences a second of an encoder of random weights: ${Object.keys(ENCODER_SHAPES).join(', ')}; with
                     --batch, --rounds, --threads, --backend, --in, --peer (not wllama), --precision (8bit and f16 by default)
  --batch LIST       sentences of a call to an encoder (default 1,32)
  --backend NAME     webgpu | wasm | auto (default auto)
  --precision P      2bit | 3bit | 4bit | 8bit | f16 | auto (default auto; shapes: 4bit, the default, or other bits)
  --threads N        threads of the WASM backend and of the peers (default 1)
  --in WHERE         chromium | firefox | node, or page: prints an address to open in any browser (default chromium)
  --peer LIST        measure these too, in the same page and run: wllama, ort, transformers.js (with --shape, or
                     for wp:fable-25m); the last is fetched by npm into build/peers when it is first asked for
  --gguf PATH        wllama's file, where --model is not of a shape of ours (default: --model, where that is such a file)
  --prompt N         prompt tokens (default 512)
  --decode N         decoded tokens (default 128)
  --rounds N         rounds, of which the median counts (default 5)
  --json PATH        where the JSON goes (default bench/results/<what was measured>.json)
  --report           write bench/results/report.html from all JSON there; alone, measures nothing
  --profile          time each WebGPU kernel too, by the GPU's timestamps, beside what the machine allows
  --tune             tune the WebGPU kernels on this device; measure in turns with the untuned model
  --plain-simd       wp-models as in a browser without relaxed SIMD for WASM
  --headed           show the browser
`;

const CHOICES = {
  backend: ['webgpu', 'wasm', 'auto'],
  precision: ['2bit', '3bit', '4bit', '8bit', 'f16', 'auto'],
  in: ['chromium', 'firefox', 'node', 'page'],
  peer: ['wllama', 'ort', 'transformers.js'],
};

/** A mistake in the options: the message is for the person who wrote them. */
export class OptionError extends Error {}

function oneOf(name, value) {
  if (!CHOICES[name].includes(value)) {
    throw new OptionError(`--${name} is ${CHOICES[name].join(', ')}, not ${JSON.stringify(value)}`);
  }
  return value;
}

function count(name, text) {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) {
    throw new OptionError(`--${name} is a whole number from 1, not ${JSON.stringify(text)}`);
  }
  return value;
}

function parse(args) {
  try {
    return parseArgs({
      args,
      options: {
        model: { type: 'string' },
        shape: { type: 'string' },
        backend: { type: 'string', default: 'auto' },
        precision: { type: 'string', default: 'auto' },
        threads: { type: 'string', default: '1' },
        in: { type: 'string', default: 'chromium' },
        peer: { type: 'string', default: '' },
        gguf: { type: 'string' },
        encoder: { type: 'string' },
        batch: { type: 'string', default: '1,32' },
        prompt: { type: 'string', default: '512' },
        decode: { type: 'string', default: '128' },
        rounds: { type: 'string', default: '5' },
        json: { type: 'string' },
        report: { type: 'boolean', default: false },
        profile: { type: 'boolean', default: false },
        tune: { type: 'boolean', default: false },
        'plain-simd': { type: 'boolean', default: false },
        headed: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    }).values;
  } catch (error) {
    throw new OptionError(error.message);
  }
}

/** @param {string[]} args @throws {OptionError} */
export function readOptions(args) {
  const values = parse(args);
  if (values.shape !== undefined && !Object.hasOwn(SHAPES, values.shape)) {
    throw new OptionError(`--shape is ${Object.keys(SHAPES).join(', ')}, not ${JSON.stringify(values.shape)}`);
  }
  if (values.encoder !== undefined) checkEncoder(values);
  if (values.shape && values.model) throw new OptionError('--shape and --model exclude each other');
  const options = {
    ...values,
    backend: oneOf('backend', values.backend),
    precision: oneOf('precision', values.precision),
    in: oneOf('in', values.in),
    threads: count('threads', values.threads),
    promptTokens: count('prompt', values.prompt),
    decodeTokens: count('decode', values.decode),
    rounds: count('rounds', values.rounds),
    peers: [...new Set(values.peer.split(',').filter(Boolean))].map((peer) => oneOf('peer', peer)),
    batches: values.batch.split(',').map((size) => count('batch', size)),
    model: values.model ?? 'wp:fable-25m',
    measures: !(values.report && args.length === 1),
  };
  if (options.shape && options.precision === 'f16')
    throw new OptionError('a shape has weights of 2 to 8 bits, not f16');
  options.plainSimd = values['plain-simd'];
  if (options.tune && options.backend === 'wasm') throw new OptionError('--tune is for --backend webgpu');
  /** A path on this machine, which the bench serves. */
  options.localModel = values.model !== undefined && existsSync(values.model) ? values.model : undefined;
  if (!options.localModel && /^(\.{1,2}[\\/]|[A-Za-z]:\\)/.test(options.model)) {
    throw new OptionError(`${options.model} does not exist`);
  }
  if (options.localModel?.endsWith('.gguf')) options.gguf ??= options.localModel;
  options.bits = Number(/^(\d)bit$/.exec(options.precision)?.[1] ?? 4);
  /** Of which shape the peers get weights. */
  options.peerShape = options.shape ?? (options.model === 'wp:fable-25m' ? 'fable-25m' : undefined);
  if (options.peers.length > 0 && options.in === 'node') {
    throw new OptionError('peers are measured in a browser, not with --in node');
  }
  if (options.plainSimd && options.in === 'node') throw new OptionError('--plain-simd is for browsers, not --in node');
  if (options.gguf && !existsSync(options.gguf)) throw new OptionError(`${options.gguf} does not exist`);
  if (!options.peerShape && !options.encoder) {
    const synthetic = options.peers.find((peer) => peer !== 'wllama');
    if (synthetic) throw new OptionError(`--peer ${synthetic} needs --shape: its weights are made here`);
    if (options.peers.includes('wllama') && !options.gguf) {
      throw new OptionError('--peer wllama needs --shape, or --gguf with the file of --model');
    }
  }
  options.json ??= `bench/results/${nameOf(options)}.json`;
  return options;
}

function checkEncoder(values) {
  const { encoder, shape, model } = values;
  if (!Object.hasOwn(ENCODER_SHAPES, encoder)) {
    throw new OptionError(`--encoder is ${Object.keys(ENCODER_SHAPES).join(', ')}, not ${JSON.stringify(encoder)}`);
  }
  if (shape || model) throw new OptionError('--encoder excludes --shape and --model');
  if (values.in === 'node') throw new OptionError('--encoder is measured in a browser, not with --in node');
  if (values.backend === 'auto')
    throw new OptionError('--encoder needs --backend wasm or webgpu: its peers get the same');
  if (values.peer.split(',').includes('wllama'))
    throw new OptionError('--encoder has the peers ort and transformers.js');
  if (values.tune || values.profile) throw new OptionError('--encoder goes without --tune and --profile');
}

function nameOf({
  encoder,
  shape,
  model,
  localModel,
  backend,
  precision,
  threads,
  in: where,
  promptTokens,
  plainSimd,
}) {
  if (encoder) return [encoder, backend, precision, `${threads}t`, where, ...(plainSimd ? ['plain'] : [])].join('-');
  const what = shape ?? (localModel ? basename(localModel) : model).replace(/^wp:/, '').replace(/[^\w.-]+/g, '-');
  return [what, backend, precision, `${threads}t`, `${promptTokens}p`, where, ...(plainSimd ? ['plain'] : [])].join(
    '-',
  );
}
