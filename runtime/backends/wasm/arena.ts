// Bytes of linear memory, given out one after another before the memory exists, by what they are for.

import { WpError } from '../../errors.ts';

export type Purpose = 'weights' | 'keyValueCache' | 'activations' | 'other';

export const PAGE_BYTES = 65536;
/** 65,535 pages, since an address of 2^32 would not be an address. */
const LIMIT_BYTES = 65535 * PAGE_BYTES;
const ALIGNMENT_BYTES = 64;

export class Arena {
  readonly bytes: Record<Purpose, number> = { weights: 0, keyValueCache: 0, activations: 0, other: 0 };
  #end: number;

  /** @param start the first address that may be given out */
  constructor(start: number) {
    this.#end = start;
    this.bytes.other = start;
  }

  /** The address of `bytes` bytes, a multiple of a cache line. */
  take(bytes: number, purpose: Purpose): number {
    const address = this.#end;
    const taken = Math.ceil(bytes / ALIGNMENT_BYTES) * ALIGNMENT_BYTES;
    this.#end += taken;
    this.bytes[purpose] += taken;
    return address;
  }

  /**
   * Makes the memory, of exactly the pages that were given out: it never grows, and a shared one reserves no more than it
   * uses. Throws `out-of-memory` with the numbers when the engine has no room.
   */
  allocate(isShared: boolean): WebAssembly.Memory {
    const pages = Math.ceil(this.#end / PAGE_BYTES);
    const details = { ...this.bytes, totalBytes: pages * PAGE_BYTES, limitBytes: LIMIT_BYTES };
    if (this.#end > LIMIT_BYTES) {
      throw new WpError(
        'out-of-memory',
        `The model needs ${this.#end} bytes of WASM memory; the most there can be is ${LIMIT_BYTES}.`,
        'Choose fewer bits a weight, a shorter context or a smaller model.',
        details,
      );
    }
    try {
      const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: isShared });
      this.bytes.other += pages * PAGE_BYTES - this.#end;
      return memory;
    } catch (error) {
      throw new WpError(
        'out-of-memory',
        `The engine refused ${details.totalBytes} bytes of WASM memory (${this.bytes.weights} for weights, ` +
          `${this.bytes.keyValueCache} for the KV cache).`,
        'Close other tabs, or choose fewer bits a weight, a shorter context or a smaller model.',
        details,
        { cause: error },
      );
    }
  }
}
