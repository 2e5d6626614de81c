// Every buffer of a program is created here, so that its bytes are known exactly, an allocation that fails is an error and
// not a broken buffer, and disposal misses none.

import { WpError } from '../../errors.ts';
import type { MemoryUse } from '../backend.ts';

export type BufferCategory = keyof MemoryUse;

/** Up to here a buffer is filled while it is created, beyond in pieces through the queue, so that no copy grows large. */
const MAPPED_UPLOAD_BYTES = 4 * 2 ** 20;
const WRITE_PIECE_BYTES = 4 * 2 ** 20;
/** After so many bytes through the queue it is let to drain: what it stages is memory too. */
const DRAIN_BYTES = 64 * 2 ** 20;

export class BufferLedger {
  readonly #device: GPUDevice;
  readonly #categoryOf = new Map<GPUBuffer, BufferCategory>();
  #bytesSinceDrain = 0;

  constructor(device: GPUDevice) {
    this.#device = device;
  }

  /** Bytes that are allocated now. */
  get memory(): MemoryUse {
    const use: MemoryUse = { weights: 0, keyValueCache: 0, activations: 0, other: 0 };
    for (const [buffer, category] of this.#categoryOf) use[category] += buffer.size;
    return use;
  }

  /** Rejects with `out-of-memory` when the device has no room. */
  async create(category: BufferCategory, label: string, bytes: number, usage: GPUBufferUsageFlags): Promise<GPUBuffer> {
    return this.#create(category, { label, size: align4(bytes), usage });
  }

  /** For a few bytes in the middle of a step: where even these fail, the device reports it as an uncaptured error. */
  createNow(category: BufferCategory, label: string, bytes: number, usage: GPUBufferUsageFlags): GPUBuffer {
    const buffer = this.#device.createBuffer({ label, size: align4(bytes), usage });
    this.#categoryOf.set(buffer, category);
    return buffer;
  }

  /** A buffer with these contents. */
  async createWith(
    category: BufferCategory,
    label: string,
    contents: Uint8Array,
    usage: GPUBufferUsageFlags,
  ): Promise<GPUBuffer> {
    const size = align4(contents.byteLength);
    if (size <= MAPPED_UPLOAD_BYTES) {
      return this.#create(category, { label, size, usage, mappedAtCreation: true }, (buffer) => {
        new Uint8Array(buffer.getMappedRange()).set(contents);
        buffer.unmap();
      });
    }
    const buffer = await this.#create(category, { label, size, usage: usage | GPUBufferUsage.COPY_DST });
    for (let start = 0; start < contents.byteLength; start += WRITE_PIECE_BYTES) {
      const piece = contents.subarray(start, start + WRITE_PIECE_BYTES);
      this.#device.queue.writeBuffer(buffer, start, padded(piece));
      await this.#drain(piece.byteLength);
    }
    return buffer;
  }

  async #drain(bytes: number): Promise<void> {
    this.#bytesSinceDrain += bytes;
    if (this.#bytesSinceDrain < DRAIN_BYTES) return;
    this.#bytesSinceDrain = 0;
    this.#device.queue.submit([]);
    await this.#device.queue.onSubmittedWorkDone();
  }

  destroy(buffer: GPUBuffer): void {
    if (this.#categoryOf.delete(buffer)) buffer.destroy();
  }

  destroyAll(): void {
    for (const buffer of [...this.#categoryOf.keys()]) this.destroy(buffer);
  }

  // The scopes are closed before anything is awaited: other calls on the device must not fall into them.
  async #create(
    category: BufferCategory,
    descriptor: GPUBufferDescriptor,
    fill?: (buffer: GPUBuffer) => void,
  ): Promise<GPUBuffer> {
    const device = this.#device;
    device.pushErrorScope('validation');
    device.pushErrorScope('out-of-memory');
    let buffer: GPUBuffer | undefined;
    let thrown: unknown;
    try {
      buffer = device.createBuffer(descriptor);
      this.#categoryOf.set(buffer, category);
      fill?.(buffer);
    } catch (error) {
      thrown = error;
    }
    const [outOfMemory, invalid] = await Promise.all([device.popErrorScope(), device.popErrorScope()]);
    const cause = outOfMemory ?? invalid ?? thrown;
    if (cause === undefined || cause === null) return buffer!;
    if (buffer) this.destroy(buffer);
    throw new WpError(
      // createBuffer throws a RangeError when a mapped buffer finds no memory.
      outOfMemory !== null || thrown instanceof RangeError ? 'out-of-memory' : 'internal',
      `The GPU could not allocate ${descriptor.size.toLocaleString('en')} bytes for ${descriptor.label ?? 'a buffer'}.`,
      'Use a smaller model, fewer bits a weight, or a shorter context.',
      { bytes: descriptor.size, label: descriptor.label, reason: messageOf(cause) },
    );
  }
}

export function align4(bytes: number): number {
  return Math.max(4, Math.ceil(bytes / 4) * 4);
}

/** writeBuffer takes multiples of four bytes. */
function padded(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  if (bytes.byteLength % 4 === 0) return bytes as Uint8Array<ArrayBuffer>;
  const copy = new Uint8Array(align4(bytes.byteLength));
  copy.set(bytes);
  return copy;
}

function messageOf(cause: unknown): string {
  const hasMessage = typeof cause === 'object' && cause !== null && 'message' in cause;
  return hasMessage ? String(cause.message) : String(cause);
}
