// From a parsed source to its files. The one place that knows all kinds of sources.

import { blobFiles } from './blob-files.ts';
import type { HttpOptions } from './http-connection.ts';
import { httpFiles } from './http-files.ts';
import { RangeFile, type ModelFile, type ModelFiles } from './model-files.ts';
import { nodeFiles } from './node-files.ts';
import type { LoadProgressTracker } from './progress.ts';
import type { ParsedSource } from './source.ts';
import { noStore, type FileStore } from './store.ts';

export interface OpenFilesOptions {
  /** Default: nothing is kept. See `openStore` in opfs-store.ts. */
  store?: FileStore | undefined;
  progress?: LoadProgressTracker | undefined;
  http?: HttpOptions | undefined;
}

/** Nothing is fetched before the first `open`. The caller closes the files, after success and failure alike. */
export function openModelFiles(source: ParsedSource, options: OpenFilesOptions = {}): ModelFiles {
  switch (source.kind) {
    case 'files':
      return withProgress(blobFiles(source.files, source.description), options.progress);
    case 'path':
      return withProgress(nodeFiles(source.folder, source), options.progress);
    case 'http':
      return httpFiles({
        ...source,
        store: options.store ?? noStore('No store was given: files are downloaded at each visit.'),
        http: options.http,
        progress: options.progress,
      });
  }
}

/** Files of this machine count as they are read; downloads count for themselves, by the byte. */
function withProgress(files: ModelFiles, progress: LoadProgressTracker | undefined): ModelFiles {
  if (!progress) return files;
  return {
    description: files.description,
    weightsName: files.weightsName,
    notes: () => files.notes(),
    close: () => files.close(),
    async open(name, signal) {
      const file = await files.open(name, signal);
      if (!file) return undefined;
      progress.expect(name, file.size);
      return new CountedFile(file, progress);
    },
  };
}

class CountedFile extends RangeFile {
  override readonly url: string | undefined;

  constructor(
    private readonly file: ModelFile,
    private readonly progress: LoadProgressTracker,
  ) {
    super(file.name, file.size);
    this.url = file.url;
  }

  protected override async fetchRange(
    start: number,
    end: number,
    signal: AbortSignal | undefined,
  ): Promise<Uint8Array> {
    const bytes = await this.file.readRange(start, end, signal);
    this.progress.downloaded(this.name, bytes.length);
    return bytes;
  }
}
