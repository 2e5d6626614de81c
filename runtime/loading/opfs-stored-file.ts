// The blocks of one file in the origin private file system. A file that is complete is read under a shared lock, by as
// many tabs as like; one that is not is held by a single writer. A reader that meets a damaged block becomes the writer, if
// no one else is reading, to put it right.

import { crc32 } from './crc32.ts';
import type { OpfsFolder, Release, SyncAccessHandle } from './opfs-files.ts';
import type { StoreRecord } from './store-record.ts';
import type { StoredFile } from './store.ts';
import type { StoredReader } from './stored-reader.ts';

/** What the store does for its files. */
export interface StoreHost {
  folder: OpfsFolder;
  /** What is noted of the file of a key, if anything is. */
  readRecord(key: string): Promise<StoreRecord | undefined>;
  /** Makes room for so many bytes within the store's own limit; false when it cannot. */
  reserve(bytes: number): Promise<boolean>;
  /** Removes what was not used for longest until so many bytes are free; resolves to the bytes that were freed. */
  evict(bytes: number): Promise<number>;
  note(reason: string): void;
}

export type Access =
  | { kind: 'shared'; data: StoredReader; release: Release }
  | { kind: 'exclusive'; data: SyncAccessHandle; table: SyncAccessHandle; release: Release };

export class OpfsStoredFile implements StoredFile {
  private canWrite = true;
  private isClosed = false;
  /** Writes are one after another: an eviction in the middle of one must not be overtaken. */
  private queue: Promise<void> = Promise.resolve();

  constructor(
    private readonly host: StoreHost,
    private readonly key: string,
    private readonly record: StoreRecord,
    private access: Access,
  ) {}

  get blockBytes(): number {
    return this.record.blockBytes;
  }

  get isWritable(): boolean {
    return this.canWrite && !this.isClosed;
  }

  has(block: number): boolean {
    return !this.isClosed && this.record.has(block);
  }

  async read(block: number): Promise<Uint8Array | undefined> {
    if (!this.has(block)) return undefined;
    const bytes = await this.readBytes(block);
    if (bytes) return bytes;
    const change = this.record.set(block, undefined);
    if (!this.isClosed && this.access.kind === 'exclusive') this.access.table.write(change.bytes, { at: change.at });
    this.host.note('A block of the stored copy was damaged and is fetched again.');
    return undefined;
  }

  write(block: number, bytes: Uint8Array): Promise<void> {
    const turn = this.queue.then(() => this.writeBlock(block, bytes));
    this.queue = turn;
    return turn;
  }

  async close(): Promise<void> {
    if (this.isClosed) return;
    this.isClosed = true;
    await this.queue;
    const { access } = this;
    if (access.kind === 'exclusive') {
      access.data.flush();
      access.table.flush();
      access.table.close();
    }
    access.data.close();
    await access.release();
  }

  /** Undefined when they cannot be read, or have another checksum. */
  private async readBytes(block: number): Promise<Uint8Array | undefined> {
    const length = this.record.lengthOf(block);
    const checksum = this.record.checksum(block);
    if (this.access.kind === 'exclusive') {
      const bytes = new Uint8Array(length);
      const isWhole = this.access.data.read(bytes, { at: block * this.blockBytes }) === length;
      return isWhole && crc32(bytes) === checksum ? bytes : undefined;
    }
    try {
      return await this.access.data.read(block, length, checksum);
    } catch (thrown) {
      // A block was put right in the meantime, which ends the life of the File: the handle reads on.
      if ((this.access as Access).kind === 'exclusive') return this.readBytes(block);
      // The file was cleared under our feet ("clear site data"): the network serves.
      this.host.note(`The stored copy can no longer be read (${describe(thrown)}).`);
      return undefined;
    }
  }

  private async writeBlock(block: number, bytes: Uint8Array): Promise<void> {
    if (!this.isWritable) return;
    try {
      if (this.access.kind === 'shared' && !(await this.becomeWriter())) return;
      if (!(await this.host.reserve(bytes.length))) {
        this.stop('The limit for stored models is reached by files in use: the rest of this one is not kept.');
        return;
      }
      if (!this.tryWrite(block, bytes)) {
        // Quota: room for some blocks at once, so that not each of them has to ask.
        const freed = await this.host.evict(Math.min(this.record.identity.size, 64 * 2 ** 20));
        if (freed === 0 || !this.tryWrite(block, bytes)) {
          this.stop(
            "The browser's storage is full: the rest of this file is not kept, and is downloaded again next time.",
          );
        }
      }
    } catch (thrown) {
      this.stop(`The browser could not store the file (${describe(thrown)}): the rest of it is not kept.`);
    }
  }

  /** False when there is no room. */
  private tryWrite(block: number, bytes: Uint8Array): boolean {
    if (this.access.kind !== 'exclusive') return false;
    try {
      if (this.access.data.write(bytes, { at: block * this.blockBytes }) < bytes.length) return false;
      const change = this.record.set(block, crc32(bytes));
      if (this.access.table.write(change.bytes, { at: change.at }) === change.bytes.length) return true;
      this.record.set(block, undefined);
      return false;
    } catch (thrown) {
      if (thrown instanceof Error && thrown.name === 'QuotaExceededError') return false;
      throw thrown;
    }
  }

  /** From shared reading to writing; false (and no longer writable) when another tab reads the same file. */
  private async becomeWriter(): Promise<boolean> {
    if (this.access.kind === 'exclusive') return true;
    await this.access.release();
    const release = await this.host.folder.lock(this.key, 'exclusive');
    if (!release) {
      // Others read on; so do we, without the lock: what we read is checked, and a File outlives a removed entry or fails.
      this.access.release = () => Promise.resolve();
      this.canWrite = false;
      return false;
    }
    try {
      // No handle for writing is given beside one for reading.
      this.access.data.close();
      const { data, table } = await openHandles(this.host.folder, this.key);
      table.write(this.record.bytes, { at: 0 });
      this.access = { kind: 'exclusive', data, table, release };
      return true;
    } catch (thrown) {
      this.access.release = release;
      throw thrown;
    }
  }

  private stop(reason: string): void {
    this.canWrite = false;
    this.host.note(reason);
  }
}

export async function openHandles(
  folder: OpfsFolder,
  key: string,
): Promise<{ data: SyncAccessHandle; table: SyncAccessHandle }> {
  const data = await folder.openForWriting(dataName(key));
  try {
    return { data, table: await folder.openForWriting(tableName(key)) };
  } catch (thrown) {
    data.close();
    throw thrown;
  }
}

export function dataName(key: string): string {
  return `${key}.data`;
}

export function tableName(key: string): string {
  return `${key}.blocks`;
}

function describe(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
