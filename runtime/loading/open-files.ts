// From a parsed source to its files. The one place that knows all kinds of sources.

import type { HttpOptions } from './http-connection.ts';
import { httpFiles } from './http-files.ts';
import type { ModelFiles } from './model-files.ts';
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
export async function openModelFiles(source: ParsedSource, options: OpenFilesOptions = {}): Promise<ModelFiles> {
  if (source.kind !== 'http') {
    const { localFiles } = await import('./local-files.ts');
    return localFiles(source, options.progress);
  }
  return httpFiles({
    ...source,
    store: options.store ?? noStore('No store was given: files are downloaded at each visit.'),
    http: options.http,
    progress: options.progress,
  });
}
