// Says when the GPU's pipelines were compiled and its weights written, in the clock that all threads have: a few lines before
// the product's scripts, which know nothing of them. A page hears them on the channel 'bench-gpu'.

/** Smaller writes than `large` are no weights. */
export const WATCH_GPU = /* js */ `{
  const large = 65536;
  const channel = globalThis.GPUDevice && !globalThis.document && new BroadcastChannel('bench-gpu');
  const now = () => performance.timeOrigin + performance.now();
  if (channel) {
    const { createComputePipelineAsync: asynchronous, createComputePipeline: synchronous } = GPUDevice.prototype;
    const { createBuffer } = GPUDevice.prototype;
    const { writeBuffer } = GPUQueue.prototype;
    let start = 0;
    let pending = 0;
    let compiled = 0;
    GPUDevice.prototype.createComputePipelineAsync = async function (...options) {
      if (pending === 0) start = now();
      pending += 1;
      try {
        return await asynchronous.apply(this, options);
      } finally {
        pending -= 1;
        compiled += 1;
        if (pending === 0) channel.postMessage({ what: 'compiling', start, end: now(), compiled });
      }
    };
    GPUDevice.prototype.createComputePipeline = function (...options) {
      const start = now();
      const pipeline = synchronous.apply(this, options);
      compiled += 1;
      channel.postMessage({ what: 'compiling', start, end: now(), compiled });
      return pipeline;
    };
    GPUDevice.prototype.createBuffer = function (about) {
      const start = now();
      const buffer = createBuffer.call(this, about);
      if (about.mappedAtCreation && about.size >= large) channel.postMessage({ what: 'weights', start, end: now() });
      return buffer;
    };
    GPUQueue.prototype.writeBuffer = function (buffer, offset, data, from, size) {
      const start = now();
      writeBuffer.call(this, buffer, offset, data, from, size);
      if ((size ?? data.byteLength) >= large) channel.postMessage({ what: 'weights', start, end: now() });
    };
  }
}
`;

/**
 * What a page heard, in a few numbers, all in ms of one clock.
 *
 * @param {{ what: 'compiling' | 'weights', start: number, end: number, compiled?: number }[]} phases
 * @param {number} readyMs when the model was ready
 * @returns {undefined | { pipelines: number, lateMs: number, compiling: [number, number], weights?: [number, number],
 *   afterWeightsMs: number }} `pipelines` until the model was ready and `lateMs` of compiling afterwards; `afterWeightsMs`: how
 *   long pipelines were still compiled when the last weights had been written, which is what a page waits for
 */
export function gpuPhases(phases, readyMs) {
  const span = (what) => {
    const own = phases.filter((phase) => phase.what === what && phase.start < readyMs);
    if (own.length === 0) return undefined;
    return [Math.min(...own.map(({ start }) => start)), Math.max(...own.map(({ end }) => end))];
  };
  const compiling = span('compiling');
  if (!compiling) return undefined;
  const weights = span('weights');
  const isCompile = ({ what }) => what === 'compiling';
  const early = phases.filter((phase) => isCompile(phase) && phase.start < readyMs);
  const late = phases.filter((phase) => isCompile(phase) && phase.start >= readyMs);
  return {
    pipelines: Math.max(...early.map(({ compiled }) => compiled)),
    lateMs: late.reduce((sum, { start, end }) => sum + end - start, 0),
    compiling,
    weights,
    afterWeightsMs: Math.max(0, compiling[1] - (weights?.[1] ?? compiling[0])),
  };
}
