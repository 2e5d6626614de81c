// onnxruntime-web on the same shape, in the same page, configured as well as we know how. What it gets:
//
// - the graph that its exporters make for it (see ../onnx-model.mjs), all optimisations, and logits of the last token only;
// - WASM: the build without WebGPU, which starts faster; its cache grows by a copy a step, since this build binds nothing;
// - WebGPU: the JSPI build where the browser has JSPI, else Asyncify; f16 where the adapter has it; the cache in one buffer of
//   the whole context that is input and output at once, so nothing is copied; only the logits come to the host.
//
// The next token is the arg-max of the logits, taken on the host: that is how its users decode. Graph capture is left out: it
// wants the length of the sequence on the GPU, where GroupQueryAttention does not read it.

import { median } from '../measure.mjs';
import { onnxDecoder } from '../onnx-model.mjs';
import { SHAPES } from '../shapes.mjs';

const DIST = '/node_modules/onnxruntime-web/dist/';

/**
 * @param {{ shape: string, weights: 'q4' | 'q8', backend: 'wasm' | 'webgpu', threads: number, promptTokens: number,
 *   decodeTokens: number, rounds: number }} job
 */
export async function measureOnnxRuntime(job, log = () => {}) {
  const onGpu = job.backend === 'webgpu';
  if (!onGpu && job.threads > 1 && !crossOriginIsolated) {
    throw new Error(`onnxruntime-web falls back to one thread on a page that is not isolated, not ${job.threads}.`);
  }
  const build = !onGpu ? 'ort.wasm.min.mjs' : 'Suspending' in WebAssembly ? 'ort.jspi.min.mjs' : 'ort.webgpu.min.mjs';
  const ort = await import(`${DIST}${build}`);
  ort.env.wasm.wasmPaths = DIST;
  ort.env.wasm.numThreads = job.threads;
  ort.env.logLevel = 'error';
  const decoder = await OnnxDecoder.load(ort, job, onGpu);
  log(`${build} loaded in ${Math.round(decoder.loadMs)} ms`);
  try {
    const prompt = [];
    const decode = [];
    await decoder.round(job.promptTokens, Math.min(8, job.decodeTokens), 0); // warm-up
    for (let round = 1; round <= job.rounds; round += 1) {
      const speed = await decoder.round(job.promptTokens, job.decodeTokens, round);
      log(
        `onnxruntime-web round ${round}: ${speed.prompt.toFixed(1)} prompt, ${speed.decode.toFixed(1)} decode tokens/s`,
      );
      prompt.push(speed.prompt);
      decode.push(speed.decode);
    }
    return {
      engine: 'onnxruntime-web',
      version: ort.env.versions.web,
      build,
      precision: `${job.weights}${decoder.type === 'float16' ? 'f16' : ''}`,
      backend: job.backend,
      threads: onGpu ? undefined : job.threads,
      loadMs: decoder.loadMs,
      promptTokens: job.promptTokens,
      decodeTokens: job.decodeTokens,
      promptTokensPerSecond: median(prompt),
      decodeTokensPerSecond: median(decode),
      rounds: prompt.map((speed, i) => [speed, decode[i]]),
      weightBytesPerToken: decoder.weightBytesPerToken,
    };
  } finally {
    await decoder.release();
  }
}

/** A session and its cache. */
export class OnnxDecoder {
  #ort;
  #session;
  #shape;
  /** The shared buffers by input's name, on a GPU. */
  #buffers = new Map();

  static async load(ort, job, onGpu) {
    const decoder = new OnnxDecoder();
    const shape = SHAPES[job.shape];
    const adapter = onGpu ? await navigator.gpu?.requestAdapter({ powerPreference: 'high-performance' }) : undefined;
    if (onGpu && !adapter) throw new Error('This browser offers no WebGPU adapter.');
    decoder.type = adapter?.features.has('shader-f16') ? 'float16' : 'float32';
    const contextLength = job.promptTokens + job.decodeTokens + 64;
    const weights = onGpu && job.weights === 'q8' ? 'q8-blocks' : job.weights;
    const { model, externalData, weightBytesPerToken } = onnxDecoder(shape, {
      weights,
      activations: decoder.type,
      contextLength,
    });
    const start = performance.now();
    const session = await ort.InferenceSession.create(model, {
      externalData,
      executionProviders: [job.backend],
      graphOptimizationLevel: 'all',
      ...(onGpu ? { preferredOutputLocation: outputLocations(shape) } : {}),
    });
    decoder.loadMs = performance.now() - start;
    decoder.weightBytesPerToken = weightBytesPerToken;
    decoder.#ort = ort;
    decoder.#session = session;
    decoder.#shape = shape;
    if (onGpu) decoder.#shareBuffers(await ort.env.webgpu.device, contextLength);
    return decoder;
  }

  #shareBuffers(device, contextLength) {
    const dims = [1, this.#shape.keyValueHeads, contextLength, this.#shape.headDim];
    const size = dims.reduce((product, dim) => product * dim, this.type === 'float16' ? 2 : 4);
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
    for (const name of cacheNames(this.#shape)) {
      const buffer = device.createBuffer({ size: Math.ceil(size / 16) * 16, usage });
      this.#buffers.set(name, this.#ort.Tensor.fromGpuBuffer(buffer, { dataType: this.type, dims }));
    }
  }

  /** A prompt from an empty cache, then greedy decoding; tokens a second of both. */
  async round(promptTokens, decodeTokens, seed) {
    const ids = Array.from({ length: promptTokens }, (_, i) => ((i + seed) * 7919) % this.#shape.vocabulary);
    let cache = this.#emptyCache();
    const start = performance.now();
    let token;
    ({ token, cache } = await this.#step(ids, 0, cache));
    const read = performance.now();
    for (let i = 0; i < decodeTokens; i += 1) {
      ({ token, cache } = await this.#step([token], promptTokens + i, cache));
    }
    const end = performance.now();
    return { prompt: (promptTokens * 1000) / (read - start), decode: (decodeTokens * 1000) / (end - read) };
  }

  async #step(ids, past, cache) {
    const { logits, present } = await this.run(ids, past, cache);
    return { token: argMax(logits.data), cache: present };
  }

  /** The logits of the last token [1, 1, vocabulary], and the cache of the next step. */
  async run(ids, past, cache = this.#emptyCache()) {
    const { Tensor } = this.#ort;
    const length = past + ids.length;
    const feeds = {
      input_ids: new Tensor('int64', BigInt64Array.from(ids, BigInt), [1, ids.length]),
      last_position: new Tensor('int32', [length - 1], [1]),
      total_length: new Tensor('int32', [length], []),
      ...cache,
    };
    if (this.#buffers.size === 0) {
      const { logits, ...present } = await this.#session.run(feeds);
      return { logits, present: renamed(present) };
    }
    const fetches = { logits: null };
    for (const [name, tensor] of this.#buffers) fetches[name.replace('past', 'present')] = tensor;
    const { logits } = await this.#session.run(feeds, fetches);
    return { logits, present: cache };
  }

  #emptyCache() {
    if (this.#buffers.size > 0) return Object.fromEntries(this.#buffers);
    const dims = [1, this.#shape.keyValueHeads, 0, this.#shape.headDim];
    const empty = () => new this.#ort.Tensor('float32', new Float32Array(0), dims);
    return Object.fromEntries(cacheNames(this.#shape).map((name) => [name, empty()]));
  }

  async release() {
    await this.#session.release();
    for (const tensor of this.#buffers.values()) tensor.gpuBuffer.destroy();
    this.#buffers.clear();
  }
}

const cacheNames = (shape) =>
  Array.from({ length: shape.layers }, (_, layer) => [`past.${layer}.key`, `past.${layer}.value`]).flat();

const outputLocations = (shape) =>
  Object.fromEntries([
    ['logits', 'cpu'],
    ...cacheNames(shape).map((name) => [name.replace('past', 'present'), 'gpu-buffer']),
  ]);

const renamed = (present) =>
  Object.fromEntries(Object.entries(present).map(([name, tensor]) => [name.replace('present', 'past'), tensor]));

/** Of f32, of Float16Array, or of the bits of f16 where the browser has no Float16Array. */
function argMax(logits) {
  const isBits = logits instanceof Uint16Array;
  const orderOf = (value) => (isBits && value & 0x8000 ? 0x8000 - value : value);
  let best = 0;
  for (let i = 1; i < logits.length; i += 1) if (orderOf(logits[i]) > orderOf(logits[best])) best = i;
  return best;
}
