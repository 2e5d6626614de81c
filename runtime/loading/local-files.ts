// Files that are already on this machine: dropped ones, and a folder in Node. Most pages never open any, so open-files.ts
// fetches this module when the first one does.

import { blobFiles } from './blob-files.ts';
import { RangeFile, type ModelFile, type ModelFiles } from './model-files.ts';
import { nodeFiles } from './node-files.ts';
import type { LoadProgressTracker } from './progress.ts';
import type { ParsedSource } from './source.ts';

export function localFiles(
  source: Exclude<ParsedSource, { kind: 'http' }>,
  progress: LoadProgressTracker | undefined,
): ModelFiles {
  const files =
    source.kind === 'files' ? blobFiles(source.files, source.description) : nodeFiles(source.folder, source);
  return withProgress(files, progress);
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
