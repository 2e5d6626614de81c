// Keeping downloaded files between visits. A store keeps blocks, not files, so that a download which was interrupted goes
// on where it stopped. opfs-store.ts is the store of browsers; where there is none (WebKitGTK, private windows, Node,
// SharedWorkers) everything is loaded from the network, and `reason` says so.

/** One version of one file. */
export interface FileIdentity {
  url: string;
  /** In bytes. */
  size: number;
  /** ETag or date; never ''. */
  validator: string;
}

export interface StoredEntry extends FileIdentity {
  storedBytes: number;
  isComplete: boolean;
  /** Milliseconds since 1970. */
  lastUsedMs: number;
}

/** The stored blocks of an open file. Block i holds bytes [i × blockBytes, (i + 1) × blockBytes) of it; the last is shorter. */
export interface StoredFile {
  readonly blockBytes: number;
  /** False once nothing more can be written: the storage is full, say. What is stored can still be read. */
  readonly isWritable: boolean;
  has(block: number): boolean;
  /** Resolves to undefined when the block is missing or its checksum is wrong; it is forgotten in the latter case. */
  read(block: number): Promise<Uint8Array | undefined>;
  /** Keeps a block if it can; `bytes` may be reused after the promise resolved. Never rejects for lack of space. */
  write(block: number, bytes: Uint8Array): Promise<void>;
  close(): Promise<void>;
}

export interface FileStore {
  /** Why nothing is kept, for people; '' when the store works. */
  readonly reason: string;
  /** What could not be done while storing, for people. */
  notes(): readonly { topic: string; reason: string }[];
  /**
   * Opens the stored blocks of this version; blocks of another version are dropped. Resolves to undefined when another tab
   * is writing the same file, or when the store cannot be used. `isComplete`: as `find` told; such a file is opened faster.
   */
  open(identity: FileIdentity, isComplete?: boolean): Promise<StoredFile | undefined>;
  /** What is known of a URL from an earlier visit. */
  find(url: string): Promise<StoredEntry | undefined>;
  list(): Promise<StoredEntry[]>;
  /** Removes the blocks of a URL, or of all. Files in use stay; resolves to the bytes that were freed. */
  remove(url?: string): Promise<number>;
}

/** The store that keeps nothing. */
export function noStore(reason: string): FileStore {
  return {
    reason,
    notes: () => [{ topic: 'storage', reason }],
    open: () => Promise.resolve(undefined),
    find: () => Promise.resolve(undefined),
    list: () => Promise.resolve([]),
    remove: () => Promise.resolve(0),
  };
}
