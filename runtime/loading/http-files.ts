// A model's folder on a server, with what has been downloaded kept in a store. Opening a file asks the server for its
// version; when the server cannot be reached and the store has the whole file, the stored copy serves.

import { WpError, throwIfAborted } from '../errors.ts';
import { HttpConnection, type HttpOptions } from './http-connection.ts';
import { openRemote } from './http-probe.ts';
import { RangeFile, isOptionalFile, type ModelFile, type ModelFiles } from './model-files.ts';
import type { LoadProgressTracker } from './progress.ts';
import type { RemoteFile } from './remote-file.ts';
import { StoredDownload } from './stored-download.ts';
import type { FileStore, StoredEntry, StoredFile } from './store.ts';

export interface HttpFilesOptions {
  /** Ends with '/'. */
  folder: string;
  query: string;
  description: string;
  weightsName: string | undefined;
  store: FileStore;
  http?: HttpOptions | undefined;
  progress?: LoadProgressTracker | undefined;
}

/** Bytes that the first request asks for: the header of most checkpoints, and small files whole. */
const firstBytes = 256 * 1024;

export function httpFiles(options: HttpFilesOptions): ModelFiles {
  return new HttpFiles(options);
}

class HttpFiles implements ModelFiles {
  readonly description: string;
  readonly weightsName: string | undefined;
  private readonly connection: HttpConnection;
  private readonly opened = new Map<string, Promise<HttpFile | undefined>>();
  /** What the store knows, by address. */
  private readonly found = new Map<string, Promise<StoredEntry | undefined>>();
  private isClosed = false;
  /** The server could not be reached, and a stored copy served. */
  private isOffline = false;
  /** The server tells no version, so a stored copy could be an old one: nothing is kept. */
  private isUnversioned = false;

  constructor(private readonly options: HttpFilesOptions) {
    this.description = options.description;
    this.weightsName = options.weightsName;
    this.connection = new HttpConnection({
      ...options.http,
      cache: options.http?.cache ?? (options.store.reason === '' ? 'no-store' : 'default'),
    });
  }

  async open(name: string, signal?: AbortSignal): Promise<ModelFile | undefined> {
    throwIfAborted(signal);
    if (this.isClosed) throw new WpError('disposed', `${this.description} has been closed.`);
    let opening = this.opened.get(name);
    if (!opening) {
      opening = this.openFile(name, signal);
      this.opened.set(name, opening);
      // A failed or cancelled attempt is no answer for the next caller.
      opening.catch(() => this.opened.delete(name));
    }
    return opening;
  }

  anticipate(names: readonly string[], signal: AbortSignal): void {
    for (const name of names) {
      // Only what was there: each file that is not is an error in the page's console.
      void this.find(this.urlOf(name)).then((known) => {
        // Who needs the file hears of a failure, and tries again.
        if (known && !this.isClosed) this.open(name, signal).catch(() => undefined);
      });
    }
  }

  notes(): readonly { topic: string; reason: string }[] {
    const notes = [...this.options.store.notes()];
    if (this.isOffline) {
      notes.push({
        topic: 'network',
        reason: 'The server could not be reached; the copy of an earlier visit was used.',
      });
    }
    if (this.isUnversioned) {
      notes.push({
        topic: 'storage',
        reason: 'The server shows neither ETag nor Last-Modified, so the download is not kept.',
      });
    }
    return notes;
  }

  async close(): Promise<void> {
    this.isClosed = true;
    const files = await Promise.allSettled(this.opened.values());
    this.opened.clear();
    await Promise.all(files.map(async (result) => result.status === 'fulfilled' && (await result.value?.close())));
  }

  private async openFile(name: string, signal: AbortSignal | undefined): Promise<HttpFile | undefined> {
    const { store, progress } = this.options;
    const url = this.urlOf(name);
    const known = await this.find(url);
    // While the server is asked whether it still stands.
    const opening = known?.isComplete ? store.open(known, true) : undefined;
    let stored: StoredFile | undefined;
    let remote: RemoteFile | undefined;
    try {
      remote = await this.openRemote({ name, url }, known, signal);
    } finally {
      stored = await opening;
      if (stored && !(remote?.size === known!.size && remote.validator === known!.validator)) {
        await stored.close();
        stored = undefined;
      }
    }
    if (!remote) return undefined;
    progress?.expect(name, remote.size);
    if (remote.validator === '') this.isUnversioned = true;
    else stored ??= await store.open({ url, size: remote.size, validator: remote.validator });
    const file = new HttpFile(remote, progress);
    if (stored) file.through(stored);
    return file;
  }

  private find(url: string): Promise<StoredEntry | undefined> {
    let finding = this.found.get(url);
    if (!finding) this.found.set(url, (finding = this.options.store.find(url)));
    return finding;
  }

  private urlOf(name: string): string {
    const { folder, query } = this.options;
    return folder + name.split('/').map(encodeURIComponent).join('/') + query;
  }

  private async openRemote(
    file: { name: string; url: string },
    known: StoredEntry | undefined,
    signal: AbortSignal | undefined,
  ): Promise<RemoteFile | undefined> {
    if (this.isOffline) return known?.isComplete ? storedOnly(file, known) : this.missingOffline(file);
    try {
      return await openRemote(this.connection, file, known ? 1 : firstBytes, signal);
    } catch (thrown) {
      if (!(thrown instanceof WpError)) throw thrown;
      const wasUnreachable = thrown.code === 'network' && thrown.details['status'] === undefined;
      if (wasUnreachable && known?.isComplete) {
        this.isOffline = true;
        return storedOnly(file, known);
      }
      // A store of objects answers 403, a single-page server its page, for what does not exist.
      const isNoFile = thrown.code === 'not-a-model' || thrown.details['status'] === 403;
      if (isNoFile && isOptionalFile(file.name)) return undefined;
      throw thrown;
    }
  }

  /** Offline, an optional file that was never stored counts as one that does not exist. */
  private missingOffline(file: { name: string; url: string }): undefined {
    if (isOptionalFile(file.name)) return undefined;
    throw new WpError(
      'network',
      `${file.name} is not stored, and the server cannot be reached.`,
      'Check the connection.',
      {
        url: file.url,
        file: file.name,
      },
    );
  }
}

class HttpFile extends RangeFile {
  override readonly url: string;
  private stored: StoredDownload | undefined;

  constructor(
    private readonly remote: RemoteFile,
    private readonly progress: LoadProgressTracker | undefined,
  ) {
    super(remote.name, remote.size);
    this.url = remote.url;
  }

  through(stored: ConstructorParameters<typeof StoredDownload>[1]): void {
    this.stored = new StoredDownload(this.remote, stored, {
      downloaded: (bytes) => this.progress?.downloaded(this.name, bytes),
      cached: (bytes) => this.progress?.cached(this.name, bytes),
    });
  }

  protected override fetchRange(start: number, end: number, signal: AbortSignal | undefined): Promise<Uint8Array> {
    if (this.stored) return this.stored.fetch(start, end, signal);
    return this.remote.fetch(start, end, signal, (_, bytes) => this.progress?.downloaded(this.name, bytes.length));
  }

  async close(): Promise<void> {
    if (this.stored) await this.stored.close();
    else this.remote.close();
  }
}

/** A file of which the store has every block; only a block that turns out corrupt needs the server. */
function storedOnly(file: { name: string; url: string }, entry: StoredEntry): RemoteFile {
  return {
    ...file,
    size: entry.size,
    validator: entry.validator,
    fetch: () =>
      Promise.reject(
        new WpError(
          'network',
          `The stored copy of ${file.name} is damaged, and the server cannot be reached.`,
          'Load the model again when there is a connection.',
          { url: file.url, file: file.name },
        ),
      ),
    close: () => undefined,
  };
}
