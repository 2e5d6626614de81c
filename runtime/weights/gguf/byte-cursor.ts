// Reads a file from its start, number by number, without knowing how long its header is: bytes come in windows that grow as
// more is needed, and nothing is allocated that the file is not long enough for. `need` is asynchronous and rare; what
// follows it is not.

import type { ModelFile } from '../../loading/model-files.ts';
import { corruptGguf } from './refusals.ts';

const firstWindowBytes = 256 * 2 ** 10;
const largestWindowBytes = 4 * 2 ** 20;

/**
 * The longest header that is read. The largest known vocabularies take about 20 MiB; a file may be terabytes long, and what
 * its header claims must not be believed for that reason.
 */
export const maximumHeaderBytes = 128 * 2 ** 20;

export class ByteCursor {
  /** Bytes of the file from `#start` on. */
  #bytes = new Uint8Array(0);
  #view = new DataView(this.#bytes.buffer);
  #start = 0;
  #at = 0;
  #windowBytes = firstWindowBytes;
  readonly #limit: number;

  constructor(
    readonly file: ModelFile,
    private readonly signal: AbortSignal | undefined,
  ) {
    this.#limit = Math.min(file.size, maximumHeaderBytes);
  }

  /** Where in the file the next number begins. */
  get position(): number {
    return this.#start + this.#at;
  }

  /** Bytes that the header may still have. */
  get left(): number {
    return this.#limit - this.position;
  }

  /** Bytes that can be read without `need`. */
  get ready(): number {
    return this.#bytes.length - this.#at;
  }

  /** Makes the next `count` bytes readable. `what` names them, should the file end before. */
  async need(count: number, what: string): Promise<void> {
    if (count <= this.ready) return;
    this.expect(count, what);
    const end = Math.min(
      this.#limit,
      Math.max(this.position + count, this.#start + this.#bytes.length + this.#windowBytes),
    );
    this.#windowBytes = Math.min(largestWindowBytes, this.#windowBytes * 2);
    const more = await this.file.readRange(this.#start + this.#bytes.length, end, this.signal);
    const joined = new Uint8Array(this.ready + more.length);
    joined.set(this.#bytes.subarray(this.#at));
    joined.set(more, this.ready);
    this.#start = this.position;
    this.#at = 0;
    this.#bytes = joined;
    this.#view = new DataView(joined.buffer);
  }

  /** Throws when fewer than `count` bytes are left: what a count or a length claims is held against the file first. */
  expect(count: number, what: string): void {
    if (count <= this.left) return;
    const { size } = this.file;
    throw corruptGguf(
      this.file.name,
      this.#limit < size
        ? `has a header whose ${what} takes ${count} bytes from byte ${this.position} on; headers may have ${maximumHeaderBytes}`
        : `is ${size} bytes long, but ${what} takes ${count} bytes from byte ${this.position} on`,
      { actual: count, allowed: this.left },
    );
  }

  uint8(): number {
    return this.#view.getUint8(this.#move(1));
  }
  int8(): number {
    return this.#view.getInt8(this.#move(1));
  }
  uint16(): number {
    return this.#view.getUint16(this.#move(2), true);
  }
  int16(): number {
    return this.#view.getInt16(this.#move(2), true);
  }
  uint32(): number {
    return this.#view.getUint32(this.#move(4), true);
  }
  int32(): number {
    return this.#view.getInt32(this.#move(4), true);
  }
  /** As a number: exact below 2^53, and large beyond it, never small by wrapping. */
  uint64(): number {
    return Number(this.#view.getBigUint64(this.#move(8), true));
  }
  int64(): number {
    return Number(this.#view.getBigInt64(this.#move(8), true));
  }
  float32(): number {
    return this.#view.getFloat32(this.#move(4), true);
  }
  float64(): number {
    return this.#view.getFloat64(this.#move(8), true);
  }

  /** The next 64-bit count, which stays unread; undefined when it is not there yet. */
  peekUint64(): number | undefined {
    return this.ready < 8 ? undefined : Number(this.#view.getBigUint64(this.#at, true));
  }

  /** A view that is good until the next `need`. */
  bytes(count: number): Uint8Array {
    const at = this.#move(count);
    return this.#bytes.subarray(at, at + count);
  }

  #move(count: number): number {
    const at = this.#at;
    this.#at += count;
    return at;
  }
}
