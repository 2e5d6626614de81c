// The store of browsers: the origin private file system, written by a worker. One instance serves one worker; locks keep
// the workers of several tabs apart. store-record.ts says why a crash cannot leave it unsound.

import { OpfsFolder, type Release } from './opfs-files.ts';
import { OpfsStoredFile, dataName, openHandles, tableName, type StoreHost } from './opfs-stored-file.ts';
import { StoreRecord } from './store-record.ts';
import { noStore, type FileIdentity, type FileStore, type StoredEntry, type StoredFile } from './store.ts';

export interface StoreOptions {
  /** A folder of its own in the origin's private file system; default 'wp-models'. */
  folder?: string | undefined;
  /** Default 1 MiB. */
  blockBytes?: number | undefined;
  /** Never keep more than this, whatever the browser allows. */
  maximumBytes?: number | undefined;
}

/** The best store that this environment has; one that keeps nothing, and says why, where there is none. Never rejects. */
export async function openStore(options: StoreOptions = {}): Promise<FileStore> {
  const folder = await OpfsFolder.open(options.folder ?? 'wp-models');
  return typeof folder === 'string' ? noStore(folder) : new OpfsStore(folder, options);
}

class OpfsStore implements FileStore, StoreHost {
  readonly reason = '';
  private readonly blockBytes: number;
  private readonly maximumBytes: number;
  private readonly reasons = new Set<string>();
  /** Counted once, then kept up to date; other tabs' changes are seen at the next eviction. */
  private usedBytes: number | undefined;

  constructor(
    readonly folder: OpfsFolder,
    options: StoreOptions,
  ) {
    this.blockBytes = options.blockBytes ?? 2 ** 20;
    this.maximumBytes = options.maximumBytes ?? Infinity;
  }

  notes(): readonly { topic: string; reason: string }[] {
    return [...this.reasons].map((reason) => ({ topic: 'storage', reason }));
  }

  note(reason: string): void {
    this.reasons.add(reason);
  }

  async open(identity: FileIdentity, isComplete?: boolean): Promise<StoredFile | undefined> {
    const known = { ...identity, url: stripped(identity.url) };
    const key = await keyOf(identity.url);
    try {
      const complete = isComplete && (await this.openShared(key, known, true));
      if (complete) return complete;
      const release = await this.folder.lock(key, 'exclusive');
      const file = await (release ? this.openAlone(key, known, release) : this.openShared(key, known));
      if (!file) this.note('Another tab is storing the same file; this one loads it from the network.');
      return file;
    } catch (thrown) {
      this.failed(thrown);
      return undefined;
    }
  }

  async find(url: string): Promise<StoredEntry | undefined> {
    try {
      const record = await this.readRecord(await keyOf(url));
      return record?.identity.url === stripped(url) ? entryOf(record) : undefined;
    } catch (thrown) {
      this.failed(thrown);
      return undefined;
    }
  }

  async list(): Promise<StoredEntry[]> {
    const records = await Promise.all((await this.keys()).map((key) => this.readRecord(key)));
    return records.filter((record) => record !== undefined).map(entryOf);
  }

  async remove(url?: string): Promise<number> {
    const keys = url === undefined ? await this.keys() : [await keyOf(url)];
    let freed = 0;
    for (const key of keys) freed += await this.removeKey(key);
    this.usedBytes = undefined;
    return freed;
  }

  async reserve(bytes: number): Promise<boolean> {
    if (this.maximumBytes === Infinity) return true;
    this.usedBytes ??= await this.countBytes();
    const excess = this.usedBytes + bytes - this.maximumBytes;
    if (excess > 0) {
      await this.evict(excess);
      this.usedBytes = await this.countBytes();
      if (this.usedBytes + bytes > this.maximumBytes) return false;
    }
    this.usedBytes += bytes;
    return true;
  }

  async evict(bytes: number): Promise<number> {
    const candidates = await Promise.all(
      (await this.keys()).map(async (key) => ({ key, lastUsedMs: (await this.readRecord(key))?.lastUsedMs ?? 0 })),
    );
    candidates.sort((a, b) => a.lastUsedMs - b.lastUsedMs);
    let freed = 0;
    for (const { key } of candidates) {
      if (freed >= bytes) break;
      freed += await this.removeKey(key);
    }
    if (freed > 0) this.note('Models that were not used for longest were removed from the store to make room.');
    return freed;
  }

  /** Nobody else has the file. Takes over `release`. */
  private async openAlone(key: string, identity: FileIdentity, release: Release): Promise<StoredFile | undefined> {
    let isHandedOver = false;
    try {
      const found = await this.readRecord(key);
      const isSame = found?.describes(identity) === true;
      const record = isSame ? found : StoreRecord.create(identity, this.blockBytes);
      record.lastUsedMs = Date.now();
      const handles = await openHandles(this.folder, key);
      try {
        if (!isSame) handles.data.truncate(0);
        handles.table.truncate(0);
        handles.table.write(record.bytes, { at: 0 });
        if (!record.isComplete) {
          isHandedOver = true;
          return new OpfsStoredFile(this, key, record, { kind: 'exclusive', ...handles, release });
        }
      } finally {
        if (!isHandedOver) {
          handles.data.close();
          handles.table.close();
        }
      }
    } finally {
      if (!isHandedOver) await release();
    }
    return this.openShared(key, identity);
  }

  /** The file if it is complete and nobody writes it. The code for that is fetched with the first one. */
  private async openShared(key: string, identity: FileIdentity, touches = false): Promise<StoredFile | undefined> {
    return (await import('./stored-reader.ts')).openComplete(this, key, identity, touches);
  }

  async readRecord(key: string): Promise<StoreRecord | undefined> {
    const file = await this.folder.read(tableName(key));
    return file && StoreRecord.parse(new Uint8Array(await file.arrayBuffer()));
  }

  /** The bytes that were freed; 0 when the file is in use. */
  private async removeKey(key: string): Promise<number> {
    const release = await this.folder.lock(key, 'exclusive');
    if (!release) return 0;
    try {
      const size = (await this.folder.read(dataName(key)))?.size ?? 0;
      // The table first: data without a table is nothing, a table without data would promise blocks.
      await this.folder.remove(tableName(key));
      await this.folder.remove(dataName(key));
      return size;
    } finally {
      await release();
    }
  }

  private async keys(): Promise<string[]> {
    const names = await this.folder.names();
    return [...new Set(names.map((name) => name.replace(/\.(data|blocks)$/, '')))];
  }

  private failed(thrown: unknown): void {
    const message = thrown instanceof Error ? thrown.message : String(thrown);
    this.note(`The browser's store failed (${message}): files are loaded from the network and not kept.`);
  }

  private async countBytes(): Promise<number> {
    return (await this.list()).reduce((sum, entry) => sum + entry.storedBytes, 0);
  }
}

function entryOf(record: StoreRecord): StoredEntry {
  const { storedBytes, isComplete, lastUsedMs } = record;
  return { ...record.identity, storedBytes, isComplete, lastUsedMs };
}

/** Signed addresses change their query at each visit, and a query may hold a secret: neither belongs into the store. */
function stripped(url: string): string {
  return url.replace(/[?#].*$/, '');
}

async function keyOf(url: string): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(stripped(url)));
  return [...new Uint8Array(digest).subarray(0, 16)].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}
