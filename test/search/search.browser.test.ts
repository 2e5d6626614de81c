// Exact search in browsers: the plain loop's results from the CPU's scan and from the GPU's, and what the GPU leaves alone.

import { expect } from '@esm-bundle/chai';
import { encodeSearch, makePipelines, openGpuScan, parametersOf } from '../../runtime/search/gpu-scan.ts';
import { BLOCK_ROWS, codeQuery, quantizeRows, strideOf } from '../../runtime/search/quantized-rows.ts';
import { openVectorSearch } from '../../runtime/search/vector-search.ts';
import { missingGpu } from '../webgpu/missing-gpu.ts';
import { skip } from '../support/skip.ts';
import { plainSearch, searchBy, searchCases, type SearchCase } from './search-cases.ts';

const GUARD_BYTES = 256;
const GUARD = 0xa5a5a5a5;

describe('exact search in a browser', () => {
  for (const backend of ['wasm', 'webgpu'] as const) {
    for (const searched of searchCases()) {
      it(`${backend}, ${searched.name}: as a plain loop`, async function () {
        const reason = backend === 'webgpu' ? await missingGpu() : undefined;
        if (reason) skip(this, reason);
        expect(await searchBy(backend, searched)).to.deep.equal(plainSearch(searched));
      });
    }
  }

  it('webgpu: codes in several bindings', async function () {
    const reason = await missingGpu();
    if (reason) skip(this, reason);
    const { vectors, dimensions, query, count } = searchCases()[0]!;
    const stride = strideOf(dimensions);
    const rows = vectors.length / dimensions;
    const scan = await openGpuScan(
      { rows, stride },
      { allowsSoftware: true, maxBindingBytes: 2.5 * BLOCK_ROWS * stride },
    );
    const block = { codes: new Int8Array(BLOCK_ROWS * stride), scales: new Float32Array(BLOCK_ROWS * 2) };
    for (let first = 0; first < rows; first += BLOCK_ROWS) {
      const next = Math.min(rows, first + BLOCK_ROWS);
      quantizeRows(vectors, dimensions, first, next, block);
      scan.write(block, first, next - first);
    }
    const found = [...(await scan.candidates(codeQuery(query, dimensions), count, -Infinity))];
    scan.dispose();
    const best = plainSearch(searchCases()[0]!).map(({ index }) => index);
    expect(best.filter((index) => !found.includes(index))).to.deep.equal([]);
    expect(new Set(found).size).to.equal(found.length);
    expect(found.length).to.be.lessThan(200);
  });

  it('webgpu: goes on with another device when this one is lost', async function () {
    const reason = await missingGpu();
    if (reason) skip(this, reason);
    const searched = searchCases()[0]!;
    const { vectors, dimensions, query, count } = searched;
    const { requestDevice } = GPUAdapter.prototype;
    const losses: ((info: { reason: string; message: string }) => void)[] = [];
    GPUAdapter.prototype.requestDevice = async function (this: GPUAdapter, ...descriptor) {
      const device = await requestDevice.apply(this, descriptor);
      Object.defineProperty(device, 'lost', { value: new Promise((resolve) => losses.push(resolve)) });
      return device;
    };
    try {
      const search = await openVectorSearch(vectors, { dimensions, backend: 'webgpu' });
      losses[0]!({ reason: 'unknown', message: 'unplugged' });
      expect(await search.search(query, { count })).to.deep.equal(plainSearch(searched));
      expect(losses).to.have.length(2);
      search.dispose();
    } finally {
      GPUAdapter.prototype.requestDevice = requestDevice;
    }
  });

  it('webgpu: writes nothing outside its buffers', async function () {
    const reason = await missingGpu();
    if (reason) skip(this, reason);
    const searched = searchCases().find(({ dimensions }) => dimensions === 33)!;
    expect(await guardsAfter(searched)).to.deep.equal({ scores: true, maxima: true, found: true });
  });
});

/** The three steps with the outputs in the middle of buffers full of guards: whether these are as they were. */
async function guardsAfter({ vectors, dimensions, query, count }: SearchCase): Promise<Record<string, boolean>> {
  const device = await (await navigator.gpu.requestAdapter())!.requestDevice();
  const rows = vectors.length / dimensions;
  const stride = strideOf(dimensions);
  const block = { codes: new Int8Array(rows * stride), scales: new Float32Array(rows * 2) };
  quantizeRows(vectors, dimensions, 0, rows, block);
  const coded = codeQuery(query, dimensions);
  const { COPY_DST, COPY_SRC, MAP_READ, STORAGE, UNIFORM } = GPUBufferUsage;
  const given = (data: ArrayBufferView<ArrayBuffer>, usage: number) => {
    const buffer = device.createBuffer({ size: data.byteLength, usage: usage | COPY_DST });
    device.queue.writeBuffer(buffer, 0, data);
    return { buffer };
  };
  const guarded = (bytes: number) => {
    const all = new Uint32Array((bytes + 2 * GUARD_BYTES) / 4).fill(GUARD);
    return { ...given(all, STORAGE | COPY_SRC), offset: GUARD_BYTES, size: bytes };
  };
  const outputs = {
    scores: guarded(rows * 4),
    maxima: guarded(Math.ceil(rows / 128) * 4),
    found: guarded((rows + 2) * 4),
  };
  const pipelines = await makePipelines(device);
  const bound: GPUBufferBinding[] = [
    given(
      parametersOf({ rows, stride }, { firstRow: 0, rows }, { count, length: coded.length, threshold: -1e9 }),
      UNIFORM,
    ),
    given(block.codes, STORAGE),
    given(coded.numbers, STORAGE),
    given(block.scales, STORAGE),
    ...Object.values(outputs),
  ];
  const entries = bound.map((resource, binding) => ({ binding, resource }));
  const group = device.createBindGroup({ layout: pipelines.layout, entries });
  const encoder = device.createCommandEncoder();
  encodeSearch(encoder, pipelines, [{ firstRow: 0, rows, group }]);
  const read = Object.entries(outputs).map(([name, { buffer, size }]) => {
    const copy = device.createBuffer({ size: buffer.size, usage: MAP_READ | COPY_DST });
    encoder.copyBufferToBuffer(buffer, 0, copy, 0, buffer.size);
    return { name, copy, size };
  });
  device.queue.submit([encoder.finish()]);
  const intact: Record<string, boolean> = {};
  for (const { name, copy, size } of read) {
    await copy.mapAsync(GPUMapMode.READ);
    const words = new Uint32Array(copy.getMappedRange());
    const before = words.subarray(0, GUARD_BYTES / 4);
    const after = words.subarray((GUARD_BYTES + size) / 4);
    const inside = words.subarray(GUARD_BYTES / 4, GUARD_BYTES / 4 + 2);
    intact[name] = [...before, ...after].every((word) => word === GUARD) && inside[0] !== GUARD;
  }
  device.destroy();
  return intact;
}
