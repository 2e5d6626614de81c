// What this machine can do at most: bytes a second that a kernel can read, multiplications and additions a second, and the
// cost of a dispatch that depends on the one before. A figure of ours is only worth something beside these.

/** Reads `bytes` of linear memory repeatedly; GB/s, the best of several rounds. `module` is bench/assembly/read.ts, compiled. */
export async function wasmReadLimit(module) {
  const { instance } = await WebAssembly.instantiate(module, {});
  const { memory, sum } = instance.exports;
  const bytes = 64 << 20; // larger than the caches
  memory.grow(Math.ceil(bytes / 65536));
  new Uint8Array(memory.buffer, 0, bytes).fill(1);
  let best = Infinity;
  for (let round = 0; round < 6; round += 1) {
    const start = performance.now();
    sum(0, bytes);
    best = Math.min(best, performance.now() - start);
  }
  return { bytesPerSecond: bytes / (best / 1000) };
}

const READ = /* wgsl */ `
@group(0) @binding(0) var<storage, read> source: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read_write> result: array<u32>;
@compute @workgroup_size(256) fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let stride = groups.x * 256u;
  var sum = vec4<u32>(0u);
  for (var i = id.x; i < arrayLength(&source); i += stride) { sum += source[i]; }
  // Never true, and the compiler cannot know it.
  if (sum.x == 0xdeadbeefu && sum.y == 0x12345678u) { result[0] = sum.z + sum.w; }
}`;

const CHAIN = /* wgsl */ `
@group(0) @binding(0) var<storage, read_write> result: array<u32>;
@compute @workgroup_size(32) fn main(@builtin(local_invocation_id) id: vec3<u32>) { result[id.x] += 1u; }`;

const STEPS = 256;
/** Enough of them, independent of each other, to fill the pipelines of one lane. */
const SUMS = Array.from({ length: 8 }, (_, i) => `s${i}`);
const FLOPS_PER_INVOCATION = STEPS * SUMS.length * 4 * 2;

/** Nothing but fused multiply-adds in registers, of vectors of four. @param {'f32' | 'f16'} type */
const multiplyAdd = (type) => /* wgsl */ `
${type === 'f16' ? 'enable f16;' : ''}
@group(0) @binding(0) var<storage, read_write> result: array<u32>;
@compute @workgroup_size(256) fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  // Below 1, so that no sum grows without end.
  let factor = vec4<${type}>(${type}(id.x & 7u)) * ${type}(0.0625) + ${type}(0.25);
  ${SUMS.map((sum, i) => `var ${sum} = factor + ${type}(${i});`).join('\n  ')}
  for (var i = 0u; i < ${STEPS}u; i += 1u) {
    ${SUMS.map((sum) => `${sum} = fma(${sum}, factor, factor);`).join('\n    ')}
  }
  let all = ${SUMS.join(' + ')};
  // Never true, and the compiler cannot know it.
  if (all.x + all.y + all.z + all.w == ${type}(-1)) { result[0] = 1u; }
}`;

/**
 * GB/s of storage-buffer reads, operations a second in f32 (and f16, where the adapter has it) and µs of a dependent
 * dispatch, by wall clock over many repetitions. Units that multiply whole matrices are beyond what WGSL measures here.
 */
export async function webgpuLimits() {
  const adapter = await navigator.gpu?.requestAdapter({ powerPreference: 'high-performance' });
  if (!adapter) return undefined;
  const limit = Math.min(adapter.limits.maxStorageBufferBindingSize, adapter.limits.maxBufferSize, 1 << 30);
  const software = /swiftshader|llvmpipe/i.test(
    `${adapter.info.architecture} ${adapter.info.description} ${adapter.info.vendor}`,
  );
  const bytes = software ? Math.min(limit, 32 << 20) : limit;
  const hasHalf = adapter.features.has('shader-f16');
  const device = await adapter.requestDevice({
    requiredFeatures: hasHalf ? ['shader-f16'] : [],
    requiredLimits: {
      maxStorageBufferBindingSize: adapter.limits.maxStorageBufferBindingSize,
      maxBufferSize: adapter.limits.maxBufferSize,
    },
  });
  const source = device.createBuffer({ size: bytes - (bytes % 16), usage: GPUBufferUsage.STORAGE });
  const result = device.createBuffer({ size: 256, usage: GPUBufferUsage.STORAGE });
  const bind = (pipeline, buffers) =>
    device.createBindGroup({
      layout: pipeline.getBindGroupLayout(0),
      entries: buffers.map((buffer, binding) => ({ binding, resource: { buffer } })),
    });
  const pipelineOf = (code) =>
    device.createComputePipelineAsync({ layout: 'auto', compute: { module: device.createShaderModule({ code }) } });
  const time = async (pipeline, group, groups, count) => {
    let best = Infinity;
    for (let round = 0; round < 5; round += 1) {
      await device.queue.onSubmittedWorkDone();
      const start = performance.now();
      const encoder = device.createCommandEncoder();
      const pass = encoder.beginComputePass();
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, group);
      for (let i = 0; i < count; i += 1) pass.dispatchWorkgroups(groups);
      pass.end();
      device.queue.submit([encoder.finish()]);
      await device.queue.onSubmittedWorkDone();
      best = Math.min(best, performance.now() - start);
    }
    return best;
  };
  const read = await pipelineOf(READ);
  const repeats = software ? 1 : 16;
  const readMs = await time(read, bind(read, [source, result]), 4096, repeats);
  const flopsPerSecond = {};
  const [flopGroups, flopRepeats] = software ? [16, 1] : [4096, 4];
  for (const type of hasHalf ? ['f32', 'f16'] : ['f32']) {
    const pipeline = await pipelineOf(multiplyAdd(type));
    const ms = await time(pipeline, bind(pipeline, [result]), flopGroups, flopRepeats);
    flopsPerSecond[type] = (flopGroups * 256 * FLOPS_PER_INVOCATION * flopRepeats) / (ms / 1000);
  }
  const chain = await pipelineOf(CHAIN);
  const dispatches = software ? 200 : 2000;
  const chainMs = await time(chain, bind(chain, [result]), 1, dispatches);
  device.destroy();
  return {
    adapter: `${adapter.info.vendor} ${adapter.info.architecture} ${adapter.info.description}`.trim(),
    bytesPerSecond: (bytes * repeats) / (readMs / 1000),
    flopsPerSecond,
    microsecondsPerDispatch: (chainMs * 1000) / dispatches,
  };
}
