// A model that the person chose or dropped: Files stay where they are, and only the asked-for slices are read.

import { WpError, throwIfAborted } from '../errors.ts';
import { RangeFile, type ModelFile, type ModelFiles } from './model-files.ts';

export class BlobFile extends RangeFile {
  override readonly url = undefined;

  constructor(
    name: string,
    private readonly blob: Blob,
  ) {
    super(name, blob.size);
  }

  protected override async fetchRange(
    start: number,
    end: number,
    signal: AbortSignal | undefined,
  ): Promise<Uint8Array> {
    throwIfAborted(signal);
    try {
      const buffer = await this.blob.slice(start, end).arrayBuffer();
      throwIfAborted(signal);
      return new Uint8Array(buffer);
    } catch (cause) {
      if (signal?.aborted) throw cause;
      throw new WpError(
        'not-found',
        `${this.name} can no longer be read: ${cause instanceof Error ? cause.message : String(cause)}`,
        'The file was moved or changed after it was chosen: choose it again.',
        { file: this.name },
        { cause },
      );
    }
  }
}

/** Finds files by their path inside the dropped folder, whose own name is not part of it. */
export function blobFiles(files: readonly File[], description: string): ModelFiles {
  const paths = files.map((file) => ({ file, path: relativePath(file) }));
  const root = commonFolder(paths.map(({ path }) => path));
  const byName = new Map(paths.map(({ file, path }) => [path.slice(root.length), file]));
  const weights = [...byName.keys()].filter((name) => /^[^/]*\.safetensors$/.test(name));
  const gguf = [...byName.keys()].filter((name) => /^[^/]*\.gguf$/i.test(name)).sort()[0];
  const onnx = [...byName.keys()].filter((name) => /\.onnx$/i.test(name));
  const only =
    weights.length === 0
      ? (gguf ?? (onnx.length === 1 ? onnx[0] : undefined))
      : weights.length === 1 && !byName.has('model.safetensors.index.json')
        ? weights[0]
        : undefined;
  return {
    description,
    weightsName: only,
    open(name: string): Promise<ModelFile | undefined> {
      const file = byName.get(name);
      return Promise.resolve(file && new BlobFile(name, file));
    },
    notes: () => [],
    close: () => Promise.resolve(),
  };
}

/** Where the file stood in the chosen folder; structured cloning keeps `name` but drops `webkitRelativePath`. */
function relativePath(file: File): string {
  return (file as { webkitRelativePath?: string }).webkitRelativePath || file.name;
}

/** The folder of config.json when there is one, else of a GGUF file, else of the first. */
function commonFolder(paths: readonly string[]): string {
  const configs = paths.filter((path) => /(^|\/)config\.json$/.test(path)).sort((a, b) => a.length - b.length);
  const anchor = configs[0] ?? paths.find((path) => /\.gguf$/i.test(path)) ?? paths[0] ?? '';
  const folder = anchor.slice(0, anchor.lastIndexOf('/') + 1);
  return folder;
}
