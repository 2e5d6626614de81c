// What the store remembers of a file, as bytes: which version it is, and for each block whether it is there and its
// checksum. It is written in place while blocks arrive. Nothing is flushed in between, on purpose: whatever a crash leaves
// behind, a block counts only if its mark is right and its bytes have the checksum.
//
//   0  'WPM1'   4  length of the identity   8  CRC-32 of the identity   12  last use, float64 ms
//   20 the identity as JSON, padded with spaces so that the table starts at a multiple of 8
//   then for each block: its CRC-32, and `mark` ^ block when it is there

import { crc32 } from './crc32.ts';
import type { FileIdentity } from './store.ts';

const magic = 0x314d5057;
const mark = 0x6b636f62;
const lastUsedOffset = 12;
const identityOffset = 20;
/** An identity is a URL and an ETag: longer ones are not ours. */
const maximumIdentityBytes = 64 * 1024;

export class StoreRecord {
  private constructor(
    readonly identity: FileIdentity,
    readonly blockBytes: number,
    readonly bytes: Uint8Array<ArrayBuffer>,
    private readonly tableOffset: number,
  ) {}

  static create(identity: FileIdentity, blockBytes: number): StoreRecord {
    const json = JSON.stringify({ url: identity.url, size: identity.size, validator: identity.validator, blockBytes });
    const plain = new TextEncoder().encode(json);
    const padding = (8 - ((identityOffset + plain.length) % 8)) % 8;
    const text = new TextEncoder().encode(json + ' '.repeat(padding));
    const blocks = Math.ceil(identity.size / blockBytes);
    const tableOffset = identityOffset + text.length;
    const bytes = new Uint8Array(tableOffset + blocks * 8);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, magic, true);
    view.setUint32(4, text.length, true);
    view.setUint32(8, crc32(text), true);
    bytes.set(text, identityOffset);
    return new StoreRecord(identity, blockBytes, bytes, tableOffset);
  }

  /** Undefined when the bytes are not a record that can be trusted. */
  static parse(source: Uint8Array): StoreRecord | undefined {
    const bytes = source.slice();
    if (bytes.length < identityOffset) return undefined;
    const view = new DataView(bytes.buffer);
    const length = view.getUint32(4, true);
    if (view.getUint32(0, true) !== magic || length > maximumIdentityBytes || identityOffset + length > bytes.length) {
      return undefined;
    }
    const text = bytes.subarray(identityOffset, identityOffset + length);
    if (crc32(text) !== view.getUint32(8, true)) return undefined;
    // The checksum holds, so this is what `create` wrote.
    const { url, size, validator, blockBytes } = JSON.parse(new TextDecoder().decode(text)) as FileIdentity & {
      blockBytes: number;
    };
    const tableOffset = identityOffset + length;
    if (bytes.length !== tableOffset + Math.ceil(size / blockBytes) * 8) return undefined;
    return new StoreRecord({ url, size, validator }, blockBytes, bytes, tableOffset);
  }

  get blocks(): number {
    return (this.bytes.length - this.tableOffset) / 8;
  }

  get lastUsedMs(): number {
    const time = new DataView(this.bytes.buffer).getFloat64(lastUsedOffset, true);
    return Number.isFinite(time) ? time : 0;
  }

  set lastUsedMs(time: number) {
    new DataView(this.bytes.buffer).setFloat64(lastUsedOffset, time, true);
  }

  get storedBytes(): number {
    let sum = 0;
    for (let block = 0; block < this.blocks; block++) if (this.has(block)) sum += this.lengthOf(block);
    return sum;
  }

  get isComplete(): boolean {
    for (let block = 0; block < this.blocks; block++) if (!this.has(block)) return false;
    return true;
  }

  lengthOf(block: number): number {
    return Math.min(this.blockBytes, this.identity.size - block * this.blockBytes);
  }

  has(block: number): boolean {
    return block < this.blocks && this.entry(block).getUint32(4, true) === (mark ^ block) >>> 0;
  }

  checksum(block: number): number {
    return this.entry(block).getUint32(0, true);
  }

  /** The changed bytes and where they belong. `checksum` undefined: the block is forgotten. */
  set(block: number, checksum: number | undefined): { bytes: Uint8Array<ArrayBuffer>; at: number } {
    const entry = this.entry(block);
    entry.setUint32(0, checksum ?? 0, true);
    entry.setUint32(4, checksum === undefined ? 0 : (mark ^ block) >>> 0, true);
    const at = this.tableOffset + block * 8;
    return { bytes: this.bytes.subarray(at, at + 8), at };
  }

  describes(identity: FileIdentity): boolean {
    return (
      this.identity.url === identity.url &&
      this.identity.size === identity.size &&
      this.identity.validator === identity.validator
    );
  }

  private entry(block: number): DataView {
    return new DataView(this.bytes.buffer, this.tableOffset + block * 8, 8);
  }
}
