// Reading a file of the store that is complete: what a second visit waits for. A chunk of its own, which the first visit of a
// page does not fetch.

import { yieldToEventLoop } from './abortable.ts';
import { crc32 } from './crc32.ts';
import type { OpfsFolder, SyncAccessHandle } from './opfs-files.ts';
import { OpfsStoredFile, dataName, tableName, type StoreHost } from './opfs-stored-file.ts';
import type { StoreRecord } from './store-record.ts';
import type { FileIdentity, StoredFile } from './store.ts';

/** Tensors that are read one after the other, some of them at once, meet in a block: so many blocks are held for the next. */
const heldBlocks = 4;
/** Reads through a handle wait for nothing: after so many bytes other tasks have their turn, an abort among them. */
const bytesOfTurn = 8 * 2 ** 20;

/** The file of a key if it is complete, of this version, and nobody writes it. `touches`: its time of use is noted. */
export async function openComplete(
  host: StoreHost,
  key: string,
  identity: FileIdentity,
  touches: boolean,
): Promise<StoredFile | undefined> {
  const unlock = await host.folder.lock(key, 'shared');
  if (!unlock) return undefined;
  let touched: Promise<void> | undefined;
  const release = async (): Promise<void> => {
    await touched;
    await unlock();
  };
  let file: StoredFile | undefined;
  try {
    const record = await host.readRecord(key);
    if (!record?.describes(identity) || !record.isComplete) return undefined;
    const data = await StoredReader.open(host.folder, dataName(key), record.blockBytes);
    if (!data) return undefined;
    if (touches) touched = touch(host.folder, key, record);
    file = new OpfsStoredFile(host, key, record, { kind: 'shared', data, release });
    return file;
  } finally {
    if (!file) await release();
  }
}

/** Notes the time of use, while the file is being read. */
async function touch(folder: OpfsFolder, key: string, record: StoreRecord): Promise<void> {
  record.lastUsedMs = Date.now();
  try {
    const table = await folder.openForWriting(tableName(key));
    table.write(record.bytes, { at: 0 });
    table.close();
  } catch {
    // Another tab, which opened the file at the same moment, has the table: it notes the same.
  }
}

/** A handle that others may have, too: undefined where the engine knows only handles that keep all others out. */
async function openHandle(folder: OpfsFolder, name: string): Promise<SyncAccessHandle | undefined> {
  const { FileSystemSyncAccessHandle } = globalThis as { FileSystemSyncAccessHandle?: { prototype: object } };
  if (!FileSystemSyncAccessHandle || !('mode' in FileSystemSyncAccessHandle.prototype)) return undefined;
  try {
    return await folder.handle(name, { mode: 'read-only' });
  } catch {
    return undefined; // Removed, or held by a writer: who reads it as a File hears of either.
  }
}

export class StoredReader {
  /** Of the last blocks, the oldest first; each has been checked, or is about to be. */
  private readonly held = new Map<number, Promise<Uint8Array | undefined>>();
  private bytesSinceTurn = 0;

  private constructor(
    private readonly source: SyncAccessHandle | File,
    private readonly blockBytes: number,
  ) {}

  /** Undefined where there is no such file. */
  static async open(folder: OpfsFolder, name: string, blockBytes: number): Promise<StoredReader | undefined> {
    const source = (await openHandle(folder, name)) ?? (await folder.read(name));
    return source && new StoredReader(source, blockBytes);
  }

  /** Undefined when the block's checksum is wrong, or its end is missing. Rejects when the file can no longer be read. */
  read(block: number, length: number, checksum: number): Promise<Uint8Array | undefined> {
    const reading = this.held.get(block) ?? this.readBlock(block * this.blockBytes, length, checksum);
    this.held.delete(block);
    this.held.set(block, reading);
    const [oldest] = this.held.keys();
    if (this.held.size > heldBlocks) this.held.delete(oldest!);
    return reading;
  }

  close(): void {
    this.held.clear();
    if (!(this.source instanceof Blob)) this.source.close();
  }

  private async readBlock(start: number, length: number, checksum: number): Promise<Uint8Array | undefined> {
    let bytes: Uint8Array;
    if (this.source instanceof Blob) {
      bytes = new Uint8Array(await this.source.slice(start, start + length).arrayBuffer());
    } else {
      this.bytesSinceTurn += length;
      if (this.bytesSinceTurn > bytesOfTurn) {
        this.bytesSinceTurn = 0;
        await yieldToEventLoop();
      }
      bytes = new Uint8Array(length);
      bytes = bytes.subarray(0, this.source.read(bytes, { at: start }));
    }
    return bytes.length === length && crc32(bytes) === checksum ? bytes : undefined;
  }
}
