// The engines that embed, each as an object with the same two calls. wp-models and transformers.js get texts and give vectors, as
// their users have them; `tokens` leaves tokenizing out, where an engine can be asked for that. None gets anything from a hub.

import { encoderFile, ONNX_FILES, safetensorsFile, smallFiles } from './files.mjs';
import { encoderOnnx } from './onnx.mjs';
import { ENCODER_SHAPES } from './shapes.mjs';

const PEERS = '/build/peers/node_modules';
const ORT = '/node_modules/onnxruntime-web/dist/';

/**
 * @typedef {object} EncoderEngine
 * @property {Record<string, unknown>} about what the report says of it
 * @property {(texts: string[]) => Promise<Float32Array[]>} [embed] vectors of length 1
 * @property {(tokens: number[][]) => Promise<Float32Array[]>} [embedTokens] the same, of token ids with the special ones
 * @property {() => Promise<void>} release
 */

/**
 * @param {{ engine: string, shape: string, backend: 'wasm' | 'webgpu', precision?: string, weights?: 'fp32' | 'fp16' | 'q8',
 *   threads: number }} run
 * @returns {Promise<EncoderEngine>}
 */
export function startEngine(run) {
  const start = { 'wp-models': startOurs, 'onnxruntime-web': startOnnxRuntime, 'transformers.js': startTransformers };
  const engine = start[run.engine];
  if (!engine) throw new Error(`There is no engine ${run.engine}, only ${Object.keys(start).join(', ')}.`);
  return engine(run);
}

/** Texts go to the worker, are tokenized there, and vectors come back. */
async function startOurs({ shape, backend, precision, threads }) {
  const { loadModel } = await import('/dist/index.js');
  const contents = { ...smallFiles(shape), 'model.safetensors': safetensorsFile(shape) };
  const files = Object.entries(contents).map(([name, bytes]) => new File([bytes], name));
  const start = performance.now();
  const model = await loadModel(files, { backend, precision, threads });
  const { plan } = model.info;
  return {
    about: {
      loadMs: performance.now() - start,
      backend: plan.backend,
      backendDescription: plan.backendDescription,
      precision: plan.precision,
      threads: plan.threads,
      memory: (await model.memory()).actual.total,
    },
    embed: async (texts) => (await model.embed(texts)).vectors,
    release: () => model.dispose(),
  };
}

function checkThreads(threads, onGpu) {
  if (onGpu || threads === 1 || crossOriginIsolated) return;
  throw new Error(`onnxruntime-web falls back to one thread on a page that is not isolated, not ${threads}.`);
}

/**
 * Tokens only: it has no tokenizer. On a CPU its graph is made of its own fused nodes; on a GPU these gave other vectors (a cosine
 * of 0.997 where the nodes that exporters write give 1), so that it gets the latter.
 */
async function startOnnxRuntime({ shape, backend, weights, threads }) {
  const onGpu = backend === 'webgpu';
  checkThreads(threads, onGpu);
  const build = !onGpu ? 'ort.wasm.min.mjs' : 'Suspending' in WebAssembly ? 'ort.jspi.min.mjs' : 'ort.webgpu.min.mjs';
  const ort = await import(`${ORT}${build}`);
  ort.env.wasm.wasmPaths = ORT;
  ort.env.wasm.numThreads = threads;
  ort.env.logLevel = 'error';
  const start = performance.now();
  const form = onGpu ? 'exported' : 'fused';
  const session = await ort.InferenceSession.create(encoderOnnx(shape, { weights, form }), {
    executionProviders: [backend],
    graphOptimizationLevel: 'all',
  });
  return {
    about: { loadMs: performance.now() - start, backend, version: ort.env.versions.web, build, precision: weights },
    embedTokens: async (tokens) => {
      const batch = paddedBatch(tokens);
      const feeds = Object.fromEntries(
        Object.entries(batch.inputs).map(([name, data]) => [name, new ort.Tensor('int64', data, batch.dims)]),
      );
      const { last_hidden_state: rows } = await session.run(feeds);
      return meanVectors(rows.data, tokens, batch.dims[1], ENCODER_SHAPES[shape].hidden);
    },
    release: () => session.release(),
  };
}

/** Its `feature-extraction` pipeline, with the graph of its repositories; tokens alone through the pipeline's own model. */
async function startTransformers({ shape, backend, weights, threads }) {
  const onGpu = backend === 'webgpu';
  checkThreads(threads, onGpu);
  const {
    env,
    mean_pooling: meanPooling,
    pipeline,
    Tensor,
  } = await import(`${PEERS}/@huggingface/transformers/dist/transformers.js`);
  const { wasm } = env.backends.onnx;
  const build = `ort-wasm-simd-threaded${onGpu ? '.asyncify' : ''}`;
  wasm.wasmPaths = Object.fromEntries(
    ['mjs', 'wasm'].map((ending) => [ending, `${PEERS}/onnxruntime-web/dist/${build}.${ending}`]),
  );
  wasm.numThreads = threads;
  env.allowRemoteModels = false;
  env.allowLocalModels = true;
  env.useBrowserCache = false;
  env.fetch = async (address) => {
    const name = [...Object.keys(smallFiles(shape)), ONNX_FILES[weights]].find((known) =>
      String(address).endsWith(`/bench/${known}`),
    );
    return name ? new Response(encoderFile(shape, name)) : new Response(null, { status: 404 });
  };
  const start = performance.now();
  const extractor = await pipeline('feature-extraction', 'bench', {
    dtype: weights,
    device: backend,
    session_options: { graphOptimizationLevel: 'all' },
  });
  const vectorsOf = (tensor) => {
    const [count, width] = tensor.dims;
    return Array.from({ length: count }, (_, i) => tensor.data.slice(i * width, (i + 1) * width));
  };
  return {
    about: { loadMs: performance.now() - start, backend, version: env.version, build, precision: weights },
    embed: async (texts) => vectorsOf(await extractor(texts, { pooling: 'mean', normalize: true })),
    embedTokens: async (tokens) => {
      const batch = paddedBatch(tokens);
      const inputs = Object.fromEntries(
        Object.entries(batch.inputs).map(([name, data]) => [name, new Tensor('int64', data, batch.dims)]),
      );
      const { last_hidden_state: rows } = await extractor.model(inputs);
      return vectorsOf(meanPooling(rows, inputs.attention_mask).normalize(2, -1));
    },
    release: () => extractor.dispose(),
  };
}

/** A rectangle, padded with zeros to the longest of them: what these engines take. */
function paddedBatch(tokens) {
  const length = Math.max(...tokens.map((ids) => ids.length));
  const dims = [tokens.length, length];
  const numbers = (fill) => {
    const out = new BigInt64Array(tokens.length * length);
    if (fill) tokens.forEach((ids, row) => ids.forEach((id, i) => (out[row * length + i] = fill(id))));
    return out;
  };
  return {
    dims,
    inputs: { input_ids: numbers(BigInt), attention_mask: numbers(() => 1n), token_type_ids: numbers() },
  };
}

/** Means of the rows that are not padding, of length 1. */
function meanVectors(rows, tokens, length, width) {
  return tokens.map((ids, text) => {
    const vector = new Float32Array(width);
    for (let row = 0; row < ids.length; row += 1) {
      const at = (text * length + row) * width;
      for (let i = 0; i < width; i += 1) vector[i] += rows[at + i];
    }
    const size = Math.hypot(...vector);
    return vector.map((value) => value / size);
  });
}
