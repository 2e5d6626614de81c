// How long the GPU takes for a run of dispatches: by timestamp queries where the device has them, else by the clock, from the
// submit until the work is done. The clock sees the browser too, so its batches are longer.

import type { KernelInstance, StepSizes } from '../kernels/kernel.ts';

export interface Dispatch {
  kernel: KernelInstance;
  pipeline: GPUComputePipeline;
  bindGroup: GPUBindGroup;
}

export interface Batch {
  dispatches: readonly Dispatch[];
  sizes: StepSizes;
  repeats: number;
}

/** Of one submit: between submits a generation that has begun goes first. */
const SUBMIT_MS = 10;
const MOST_BATCHES = 12;
/** What a batch should take where timestamps are exact; where browsers round them to 0.1 ms; and by the clock, which is noisier. */
const BATCH_MS = { exact: 0.8, rounded: 2.5, clock: 10 } as const;

export class GpuTimer {
  readonly kind: 'timestamps' | 'clock';
  #batchMs: number;
  readonly #device: GPUDevice;
  readonly #queries: GPUQuerySet | undefined;
  readonly #resolved: GPUBuffer | undefined;
  readonly #staging: GPUBuffer | undefined;

  constructor(device: GPUDevice, hasTimestamps: boolean) {
    this.#device = device;
    this.kind = hasTimestamps ? 'timestamps' : 'clock';
    this.#batchMs = hasTimestamps ? BATCH_MS.rounded : BATCH_MS.clock;
    if (!hasTimestamps) return;
    const count = 2 * MOST_BATCHES;
    this.#queries = device.createQuerySet({ type: 'timestamp', count });
    const usage = GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC;
    this.#resolved = device.createBuffer({ label: 'timestamps', size: count * 8, usage });
    const staging = GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ;
    this.#staging = device.createBuffer({ label: 'timestamps', size: count * 8, usage: staging });
  }

  /** What one batch should take, for its time to be told to about a per cent: known better after the first. */
  get batchMs(): number {
    return this.#batchMs;
  }

  /** Milliseconds of each batch. `wait` is called before every submit. */
  async time(batches: readonly Batch[], wait: () => Promise<void>): Promise<number[]> {
    const times: number[] = [];
    const step = this.#queries ? Math.min(MOST_BATCHES, Math.floor(SUBMIT_MS / this.#batchMs)) : 1;
    for (let start = 0; start < batches.length; start += step) {
      await wait();
      const group = batches.slice(start, start + step);
      times.push(...(this.#queries ? await this.#byTimestamps(group) : [await this.#byClock(group[0]!)]));
    }
    return times;
  }

  destroy(): void {
    this.#queries?.destroy();
    this.#resolved?.destroy();
    this.#staging?.destroy();
  }

  async #byTimestamps(batches: readonly Batch[]): Promise<number[]> {
    const [querySet, resolved, staging] = [this.#queries!, this.#resolved!, this.#staging!];
    const encoder = this.#device.createCommandEncoder();
    batches.forEach((batch, i) => {
      const timestampWrites = { querySet, beginningOfPassWriteIndex: 2 * i, endOfPassWriteIndex: 2 * i + 1 };
      encode(encoder.beginComputePass({ timestampWrites }), batch);
    });
    const bytes = batches.length * 16;
    encoder.resolveQuerySet(querySet, 0, 2 * batches.length, resolved, 0);
    encoder.copyBufferToBuffer(resolved, 0, staging, 0, bytes);
    this.#device.queue.submit([encoder.finish()]);
    await staging.mapAsync(GPUMapMode.READ, 0, bytes);
    const nanoseconds = new BigUint64Array(staging.getMappedRange(0, bytes).slice(0));
    staging.unmap();
    if (nanoseconds.some(isExact)) this.#batchMs = BATCH_MS.exact;
    return batches.map((_, i) => Number(nanoseconds[2 * i + 1]! - nanoseconds[2 * i]!) / 1e6);
  }

  async #byClock(batch: Batch): Promise<number> {
    const encoder = this.#device.createCommandEncoder();
    encode(encoder.beginComputePass(), batch);
    const commands = encoder.finish();
    const start = performance.now();
    this.#device.queue.submit([commands]);
    await this.#device.queue.onSubmittedWorkDone();
    return performance.now() - start;
  }
}

/** Browsers that round leave multiples of 100,000 ns, or of 2¹⁶. */
function isExact(nanoseconds: bigint): boolean {
  return nanoseconds % 100_000n !== 0n && (nanoseconds & 0xffffn) !== 0n;
}

function encode(pass: GPUComputePassEncoder, { dispatches, sizes, repeats }: Batch): void {
  for (let repeat = 0; repeat < repeats; repeat++) {
    for (const { kernel, pipeline, bindGroup } of dispatches) {
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, bindGroup);
      pass.dispatchWorkgroups(...kernel.workgroups(sizes));
    }
  }
  pass.end();
}
