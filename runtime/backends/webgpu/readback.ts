// Results on their way back: staging buffers that can be mapped, kept and used again, since creating one costs more than a
// copy into it.

import { type BufferLedger } from './buffers.ts';

export class ReadbackPool {
  readonly #ledger: BufferLedger;
  readonly #kept: number;
  readonly #free: GPUBuffer[] = [];

  /** @param kept free staging buffers that are not given back. */
  constructor(ledger: BufferLedger, kept: number) {
    this.#ledger = ledger;
    this.#kept = kept;
  }

  /** A staging buffer of at least so many bytes, or undefined when none is free: then `create` one and `release` it. */
  take(bytes: number): GPUBuffer | undefined {
    const index = this.#free.findIndex((buffer) => buffer.size >= bytes);
    return index < 0 ? undefined : this.#free.splice(index, 1)[0];
  }

  create(bytes: number): Promise<GPUBuffer> {
    return this.#ledger.create('other', 'readback', bytes, GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ);
  }

  /** A buffer of a few bytes, at once. */
  takeNow(bytes: number): GPUBuffer {
    const usage = GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ;
    return this.take(bytes) ?? this.#ledger.createNow('other', 'readback', bytes, usage);
  }

  /** Copies the buffer's first bytes out once the GPU has written them. Rejects when the buffer or the device goes away. */
  async read(buffer: GPUBuffer, bytes: number): Promise<Float32Array<ArrayBuffer>> {
    await buffer.mapAsync(GPUMapMode.READ, 0, bytes);
    const numbers = new Float32Array(buffer.getMappedRange(0, bytes).slice(0));
    buffer.unmap();
    return numbers;
  }

  /** Takes a buffer back; the smallest ones go when there are too many. */
  release(buffer: GPUBuffer): void {
    this.#free.push(buffer);
    if (this.#free.length <= this.#kept) return;
    this.#free.sort((a, b) => b.size - a.size);
    this.#ledger.destroy(this.#free.pop()!);
  }
}
