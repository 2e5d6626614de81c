// transformers.js on the same shape, in the same page: its own `generate`, greedy, over the graph that onnxruntime-web gets
// (see ../onnx-model.mjs) with the inputs that transformers.js feeds. Its files are made here as it asks for them.
//
// The times are taken where it hands out tokens: from the call to the first token is the prompt, from the first to the last is
// decoding. What it does around the graph (sampling, lists of tokens, the queue) is inside, for that is what its users get.

import { median } from '../measure.mjs';
import { onnxDecoder } from '../onnx-model.mjs';
import { configOf, SHAPES } from '../shapes.mjs';

const MODULES = '/build/peers/node_modules';
/** Where transformers.js looks for each precision. */
const FILES = { q4: 'model_q4.onnx', q4f16: 'model_q4f16.onnx', q8: 'model_quantized.onnx' };

/**
 * @param {{ shape: string, weights: 'q4' | 'q8', backend: 'wasm' | 'webgpu', threads: number, promptTokens: number,
 *   decodeTokens: number, rounds: number }} job
 */
export async function measureTransformers(job, log = () => {}) {
  const onGpu = job.backend === 'webgpu';
  if (!onGpu && job.threads > 1 && !crossOriginIsolated) {
    throw new Error(`onnxruntime-web falls back to one thread on a page that is not isolated, not ${job.threads}.`);
  }
  const { AutoModelForCausalLM, env, Tensor } = await import(
    `${MODULES}/@huggingface/transformers/dist/transformers.js`
  );
  const { wasm } = env.backends.onnx;
  const build = `ort-wasm-simd-threaded${onGpu ? '.asyncify' : ''}`;
  wasm.wasmPaths = Object.fromEntries(
    ['mjs', 'wasm'].map((ending) => [ending, `${MODULES}/onnxruntime-web/dist/${build}.${ending}`]),
  );
  wasm.numThreads = job.threads;

  const { dtype, model, externalData, weightBytesPerToken } = await graphOf(job, onGpu);
  env.allowRemoteModels = false;
  env.allowLocalModels = true;
  env.useBrowserCache = false;
  env.fetch = serving({
    'config.json': JSON.stringify(configWithoutEnd(SHAPES[job.shape])),
    'generation_config.json': '{}',
    [`onnx/${FILES[dtype]}`]: model,
  });

  const start = performance.now();
  const decoder = await AutoModelForCausalLM.from_pretrained('bench', {
    dtype,
    device: job.backend,
    session_options: { externalData, graphOptimizationLevel: 'all' },
  });
  const loadMs = performance.now() - start;
  log(`transformers.js ${env.version} loaded in ${Math.round(loadMs)} ms (${build})`);
  try {
    const rounds = [];
    await generate(decoder, Tensor, job, Math.min(8, job.decodeTokens), 0); // warm-up
    for (let round = 1; round <= job.rounds; round += 1) {
      const [prompt, decode] = await generate(decoder, Tensor, job, job.decodeTokens, round);
      log(`transformers.js round ${round}: ${prompt.toFixed(1)} prompt, ${decode.toFixed(1)} decode tokens/s`);
      rounds.push([prompt, decode]);
    }
    return {
      engine: 'transformers.js',
      version: env.version,
      build,
      precision: dtype,
      backend: job.backend,
      threads: onGpu ? undefined : job.threads,
      loadMs,
      promptTokens: job.promptTokens,
      decodeTokens: job.decodeTokens,
      promptTokensPerSecond: median(rounds.map(([prompt]) => prompt)),
      decodeTokensPerSecond: median(rounds.map(([, decode]) => decode)),
      rounds,
      weightBytesPerToken,
    };
  } finally {
    await decoder.dispose();
  }
}

async function graphOf({ shape, weights, promptTokens, decodeTokens }, onGpu) {
  const adapter = onGpu ? await navigator.gpu?.requestAdapter({ powerPreference: 'high-performance' }) : undefined;
  if (onGpu && !adapter) throw new Error('This browser offers no WebGPU adapter.');
  const isHalf = weights === 'q4' && adapter?.features.has('shader-f16') === true;
  const graph = onnxDecoder(SHAPES[shape], {
    weights: onGpu && weights === 'q8' ? 'q8-blocks' : weights,
    activations: isHalf ? 'float16' : 'float32',
    contextLength: promptTokens + decodeTokens + 64,
    inputs: 'transformers',
  });
  return { ...graph, dtype: isHalf ? 'q4f16' : weights };
}

/** Of a model that never ends by itself: all tokens that are asked for are written. */
function configWithoutEnd(shape) {
  return { ...configOf(shape), bos_token_id: null, eos_token_id: null };
}

/** A `fetch` that has these files, wherever they are looked for, and no others. */
function serving(files) {
  return async (address) => {
    const name = Object.keys(files).find((known) => String(address).endsWith(`/bench/${known}`));
    return name ? new Response(files[name]) : new Response(null, { status: 404 });
  };
}

/** @returns {Promise<[number, number]>} tokens a second of the prompt and of decoding */
async function generate(decoder, Tensor, { shape, promptTokens }, decodeTokens, seed) {
  const ids = BigInt64Array.from({ length: promptTokens }, (_, i) =>
    BigInt(((i + seed) * 7919) % SHAPES[shape].vocabulary),
  );
  const times = [];
  const streamer = { put: () => times.push(performance.now()), end: () => {} };
  const start = performance.now();
  await decoder.generate({
    inputs: new Tensor('int64', ids, [1, promptTokens]),
    attention_mask: new Tensor('int64', new BigInt64Array(promptTokens).fill(1n), [1, promptTokens]),
    // The first token is the prompt's.
    max_new_tokens: decodeTokens + 1,
    do_sample: false,
    streamer,
  });
  // The first call hands out the prompt itself.
  const [, first, ...others] = times;
  if (others.length !== decodeTokens) {
    throw new Error(`transformers.js wrote ${others.length + 1} tokens, not ${decodeTokens + 1}.`);
  }
  return [(promptTokens * 1000) / (first - start), (decodeTokens * 1000) / (others.at(-1) - first)];
}
