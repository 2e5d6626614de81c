// What this machine can do at most: bytes a second that a kernel can read, and the cost of a dispatch that depends on the
// one before. A figure of ours is only worth something beside these.

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

/** GB/s of storage-buffer reads and µs of a dependent dispatch, by wall clock over many repetitions. */
export async function webgpuLimits() {
  const adapter = await navigator.gpu?.requestAdapter({ powerPreference: 'high-performance' });
  if (!adapter) return undefined;
  const limit = Math.min(adapter.limits.maxStorageBufferBindingSize, adapter.limits.maxBufferSize, 1 << 30);
  const software = /swiftshader|llvmpipe/i.test(
    `${adapter.info.architecture} ${adapter.info.description} ${adapter.info.vendor}`,
  );
  const bytes = software ? Math.min(limit, 32 << 20) : limit;
  const device = await adapter.requestDevice({
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
  const chain = await pipelineOf(CHAIN);
  const dispatches = software ? 200 : 2000;
  const chainMs = await time(chain, bind(chain, [result]), 1, dispatches);
  device.destroy();
  return {
    adapter: `${adapter.info.vendor} ${adapter.info.architecture} ${adapter.info.description}`.trim(),
    bytesPerSecond: (bytes * repeats) / (readMs / 1000),
    microsecondsPerDispatch: (chainMs * 1000) / dispatches,
  };
}
