// The corner of the origin private file system that the store uses: two files a key, a lock a key. Types of what
// TypeScript's DOM library does not declare outside workers are here.

/** Of https://fs.spec.whatwg.org/#api-filesystemsyncaccesshandle; only workers have it. */
export interface SyncAccessHandle {
  read(target: Uint8Array, options: { at: number }): number;
  write(source: Uint8Array, options: { at: number }): number;
  truncate(size: number): void;
  getSize(): number;
  flush(): void;
  close(): void;
}

export type Release = () => Promise<void>;

export class OpfsFolder {
  private constructor(
    private readonly folder: FileSystemDirectoryHandle,
    private readonly lockPrefix: string,
  ) {}

  /** Why this environment has no such files, or the folder, created if need be. */
  static async open(name: string): Promise<OpfsFolder | string> {
    if (typeof navigator === 'undefined' || !navigator.storage?.getDirectory) {
      return 'This browser has no private file system (or the page is not served over HTTPS), so downloads are not kept.';
    }
    if (!navigator.locks) return 'This browser has no Web Locks, so downloads are not kept.';
    if (typeof FileSystemFileHandle === 'undefined' || !('createSyncAccessHandle' in FileSystemFileHandle.prototype)) {
      return 'Files can be kept only by a dedicated worker of a recent browser, so downloads are not kept.';
    }
    try {
      const root = await navigator.storage.getDirectory();
      const folder = await root.getDirectoryHandle(name, { create: true });
      return new OpfsFolder(folder, `wp-models/${name}/`);
    } catch (thrown) {
      // Private windows refuse with a SecurityError, full or broken profiles with others.
      return `The browser refused its private file system (${thrown instanceof Error ? thrown.message : String(thrown)}), so downloads are not kept.`;
    }
  }

  /** The lock of a key if it is free now. It is free for others when the promise of `Release` resolves. */
  lock(key: string, mode: 'exclusive' | 'shared'): Promise<Release | undefined> {
    return new Promise((resolve, reject) => {
      const held: Promise<unknown> = navigator.locks.request(
        this.lockPrefix + key,
        { mode, ifAvailable: true },
        (lock) => {
          if (!lock) {
            resolve(undefined);
            return undefined;
          }
          return new Promise<void>((release) => {
            resolve(async () => {
              release();
              await held;
            });
          });
        },
      );
      held.catch(reject);
    });
  }

  async read(name: string): Promise<File | undefined> {
    try {
      return await (await this.folder.getFileHandle(name)).getFile();
    } catch (thrown) {
      if (isNotFound(thrown)) return undefined;
      throw thrown;
    }
  }

  /** Throws while another context has the file open. */
  async openForWriting(name: string): Promise<SyncAccessHandle> {
    return this.handle(name, { create: true });
  }

  /** `mode`: see https://fs.spec.whatwg.org/#api-filesystemfilehandle-createsyncaccesshandle; not every engine knows modes. */
  async handle(name: string, options: { create?: boolean; mode?: string }): Promise<SyncAccessHandle> {
    const file = (await this.folder.getFileHandle(name, options)) as unknown as {
      createSyncAccessHandle(options: { mode?: string }): Promise<SyncAccessHandle>;
    };
    return file.createSyncAccessHandle(options);
  }

  async remove(name: string): Promise<void> {
    try {
      await this.folder.removeEntry(name);
    } catch (thrown) {
      if (!isNotFound(thrown)) throw thrown;
    }
  }

  async names(): Promise<string[]> {
    const names: string[] = [];
    const folder = this.folder as unknown as { keys(): AsyncIterable<string> };
    for await (const name of folder.keys()) names.push(name);
    return names;
  }
}

function isNotFound(thrown: unknown): boolean {
  return thrown instanceof DOMException && thrown.name === 'NotFoundError';
}
