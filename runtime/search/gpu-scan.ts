// The scan on the GPU, on a device of its own: codes stay there, a query goes in and a short list of rows comes back.

import { WpError } from '../errors.ts';
import { SEARCH_WGSL, WORKGROUP_ROWS } from './gpu-scan.wgsl.ts';
import { BLOCK_ROWS, type CodeBlock, type CodedQuery } from './quantized-rows.ts';
import type { Scan, ScanShape } from './scan.ts';

export interface GpuScanOptions {
  /** Take an adapter that computes on the CPU, too. */
  allowsSoftware?: boolean | undefined;
  /** Pretend that a storage binding shows no more bytes than this. */
  maxBindingBytes?: number | undefined;
}

const SOFTWARE_NAMES = /swiftshader|llvmpipe|lavapipe|softpipe|warp|basic render/i;

/** Rows of a list that come back with the first answer. */
const SHORT_LIST = 8190;

const BINDINGS = ['uniform', 'read', 'read', 'read', 'write', 'write', 'write'] as const;

/** Throws `backend-unavailable`, or `out-of-memory` where the codes do not fit. */
export async function openGpuScan(shape: ScanShape, options: GpuScanOptions = {}): Promise<Scan> {
  const gpu = globalThis.navigator?.gpu;
  if (!gpu) throw unavailable('This browser has no WebGPU.');
  const adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' });
  if (!adapter) throw unavailable('The browser offers no GPU adapter.');
  const { info } = adapter;
  const isSoftware = [info.architecture, info.description, info.device].some((name) => SOFTWARE_NAMES.test(name));
  if ((isSoftware || info.isFallbackAdapter) && !options.allowsSoftware) {
    throw unavailable('The GPU adapter is software.');
  }
  const { maxStorageBufferBindingSize, maxBufferSize } = adapter.limits;
  const device = await adapter.requestDevice({ requiredLimits: { maxStorageBufferBindingSize, maxBufferSize } });
  try {
    const most = Math.min(maxStorageBufferBindingSize, maxBufferSize, options.maxBindingBytes ?? Infinity);
    device.pushErrorScope('out-of-memory');
    const scan = new GpuScan(device, await makePipelines(device), shape, most);
    const failure = await device.popErrorScope();
    if (failure) throw new WpError('out-of-memory', `The GPU has no room for the vectors: ${failure.message}`);
    return scan;
  } catch (thrown) {
    device.destroy();
    throw thrown;
  }
}

const unavailable = (message: string): WpError => new WpError('backend-unavailable', message);

export interface SearchPipelines {
  layout: GPUBindGroupLayout;
  score: GPUComputePipeline;
  limit: GPUComputePipeline;
  collect: GPUComputePipeline;
}

/** The three steps, over one layout. */
export async function makePipelines(device: GPUDevice): Promise<SearchPipelines> {
  const layout = device.createBindGroupLayout({
    entries: BINDINGS.map((kind, binding) => ({
      binding,
      visibility: GPUShaderStage.COMPUTE,
      buffer: {
        type: kind === 'uniform' ? 'uniform' : kind === 'read' ? 'read-only-storage' : 'storage',
      },
    })),
  });
  const module = device.createShaderModule({ label: 'search', code: SEARCH_WGSL });
  const pipelineLayout = device.createPipelineLayout({ bindGroupLayouts: [layout] });
  const make = (entryPoint: string) =>
    device.createComputePipelineAsync({ label: entryPoint, layout: pipelineLayout, compute: { module, entryPoint } });
  const [score, limit, collect] = await Promise.all([make('score'), make('limit'), make('collect')]);
  return { layout, score, limit, collect };
}

/** Rows of the codes that one binding shows. */
export interface Part {
  firstRow: number;
  rows: number;
  group: GPUBindGroup;
}

/** One query over all parts. */
export function encodeSearch(encoder: GPUCommandEncoder, pipelines: SearchPipelines, parts: readonly Part[]): void {
  const pass = encoder.beginComputePass({ label: 'search' });
  const byRows = (pipeline: GPUComputePipeline): void => {
    pass.setPipeline(pipeline);
    for (const { rows, group } of parts) {
      const groups = Math.ceil(rows / WORKGROUP_ROWS);
      const high = Math.ceil(groups / 65535);
      pass.setBindGroup(0, group);
      pass.dispatchWorkgroups(Math.ceil(groups / high), high);
    }
  };
  byRows(pipelines.score);
  pass.setPipeline(pipelines.limit);
  pass.setBindGroup(0, parts[0]!.group);
  pass.dispatchWorkgroups(1);
  byRows(pipelines.collect);
  pass.end();
}

/** The fields of Parameters in gpu-scan.wgsl.ts. */
export function parametersOf(
  { stride, rows }: ScanShape,
  part: { firstRow: number; rows: number },
  query: { count: number; length: number; threshold: number },
): Uint32Array<ArrayBuffer> {
  const groups = Math.ceil(rows / WORKGROUP_ROWS);
  const fields = new Uint32Array([stride / 16, part.rows, part.firstRow, groups, query.count, 0, 0, 0]);
  new Float32Array(fields.buffer).set([query.length, Math.max(query.threshold, -3.4e38)], 5);
  return fields;
}

interface CodePart extends Part {
  codes: GPUBuffer;
  parameters: GPUBuffer;
}

class GpuScan implements Scan {
  lost: string | undefined;
  readonly #parts: CodePart[] = [];
  readonly #scales: GPUBuffer;
  readonly #query: GPUBuffer;
  readonly #found: GPUBuffer;
  readonly #list: GPUBuffer;

  constructor(
    private readonly device: GPUDevice,
    private readonly pipelines: SearchPipelines,
    private readonly shape: ScanShape,
    maxBindingBytes: number,
  ) {
    const { rows, stride } = shape;
    void device.lost.then(({ message, reason }) => {
      if (reason !== 'destroyed') this.lost = `The GPU went away: ${message}`;
    });
    const { COPY_DST, COPY_SRC, MAP_READ, STORAGE, UNIFORM } = GPUBufferUsage;
    const buffer = (size: number, usage: number) => device.createBuffer({ label: 'search', size, usage });
    this.#scales = buffer(rows * 8, STORAGE | COPY_DST);
    this.#query = buffer(stride * 4, STORAGE | COPY_DST);
    this.#found = buffer((rows + 2) * 4, STORAGE | COPY_SRC);
    this.#list = buffer(4 * Math.min(rows + 2, SHORT_LIST + 2), MAP_READ | COPY_DST);
    const scores = buffer(rows * 4, STORAGE);
    const maxima = buffer(Math.ceil(rows / WORKGROUP_ROWS) * 4, STORAGE);
    // Blocks are written whole, and a workgroup's rows lie in one part.
    const mostRows = Math.max(1, Math.floor(maxBindingBytes / stride / BLOCK_ROWS)) * BLOCK_ROWS;
    for (let firstRow = 0; firstRow < rows; firstRow += mostRows) {
      const own = Math.min(mostRows, rows - firstRow);
      const codes = buffer(own * stride, STORAGE | COPY_DST);
      const parameters = buffer(32, UNIFORM | COPY_DST);
      const bound = [parameters, codes, this.#query, this.#scales, scores, maxima, this.#found];
      const entries = bound.map((resource, binding) => ({ binding, resource: { buffer: resource } }));
      const group = device.createBindGroup({ layout: pipelines.layout, entries });
      this.#parts.push({ firstRow, rows: own, codes, parameters, group });
    }
  }

  write({ codes, scales }: CodeBlock, first: number, count: number): void {
    const { stride } = this.shape;
    const part = this.#parts.find(({ firstRow, rows }) => first >= firstRow && first < firstRow + rows)!;
    const { queue } = this.device;
    queue.writeBuffer(part.codes, (first - part.firstRow) * stride, codes, 0, count * stride);
    queue.writeBuffer(this.#scales, first * 8, scales, 0, count * 2);
  }

  async candidates(query: CodedQuery, count: number, threshold: number, signal?: AbortSignal): Promise<Uint32Array> {
    if (this.lost) throw new WpError('device-lost', this.lost, 'Open the search again.');
    const { device, shape } = this;
    device.queue.writeBuffer(this.#query, 0, query.numbers);
    for (const part of this.#parts) {
      const wish = { count, length: query.length, threshold };
      device.queue.writeBuffer(part.parameters, 0, parametersOf(shape, part, wish));
    }
    const encoder = device.createCommandEncoder();
    encodeSearch(encoder, this.pipelines, this.#parts);
    encoder.copyBufferToBuffer(this.#found, 0, this.#list, 0, this.#list.size);
    device.queue.submit([encoder.finish()]);
    const list = await this.#read(this.#list);
    signal?.throwIfAborted();
    const size = list[0]!;
    if (size + 2 <= list.length) return list.subarray(2, size + 2);
    return (await this.#longList(size)).subarray(2);
  }

  /** Many vectors that are nearly the same: the rest of the list is fetched, too. */
  async #longList(size: number): Promise<Uint32Array> {
    const bytes = (size + 2) * 4;
    const buffer = this.device.createBuffer({ size: bytes, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
    const encoder = this.device.createCommandEncoder();
    encoder.copyBufferToBuffer(this.#found, 0, buffer, 0, bytes);
    this.device.queue.submit([encoder.finish()]);
    try {
      return await this.#read(buffer);
    } finally {
      buffer.destroy();
    }
  }

  async #read(buffer: GPUBuffer): Promise<Uint32Array> {
    try {
      await buffer.mapAsync(GPUMapMode.READ);
    } catch (thrown) {
      const { message } = WpError.from(thrown);
      throw new WpError('device-lost', this.lost ?? `The GPU did not answer: ${message}`, 'Open the search again.');
    }
    const numbers = new Uint32Array(buffer.getMappedRange().slice(0));
    buffer.unmap();
    return numbers;
  }

  dispose(): void {
    this.device.destroy();
  }
}
