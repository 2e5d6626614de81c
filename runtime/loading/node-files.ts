// A model in a folder of this machine, for the CLI and for tests. Browsers never see `node:fs`: it is asked of the
// running process and not imported, so that no bundler has to resolve it.

import { WpError, throwIfAborted } from '../errors.ts';
import { RangeFile, type ModelFile, type ModelFiles } from './model-files.ts';

type FileSystem = typeof import('node:fs/promises');
type FileHandle = import('node:fs/promises').FileHandle;

class NodeFile extends RangeFile {
  override readonly url: string;

  constructor(
    name: string,
    size: number,
    private readonly handle: FileHandle,
    path: string,
  ) {
    super(name, size);
    this.url = path;
  }

  protected override async fetchRange(
    start: number,
    end: number,
    signal: AbortSignal | undefined,
  ): Promise<Uint8Array> {
    const bytes = new Uint8Array(end - start);
    let done = 0;
    while (done < bytes.length) {
      throwIfAborted(signal);
      // Pieces, so that an abort is noticed while a large tensor is being read.
      const length = Math.min(bytes.length - done, 16 * 2 ** 20);
      const { bytesRead } = await this.handle.read(bytes, done, length, start + done);
      if (bytesRead === 0) {
        throw new WpError('corrupt-file', `${this.name} became shorter while it was read.`, 'Load the model again.', {
          file: this.name,
          actual: start + done,
          needed: end,
        });
      }
      done += bytesRead;
    }
    throwIfAborted(signal);
    return bytes;
  }
}

/** `folder`: a path or a `file:` URL. */
export function nodeFiles(
  folder: string,
  options: { description: string; weightsName: string | undefined },
): ModelFiles {
  const handles = new Map<string, Promise<NodeOpened | undefined>>();
  const fileSystem = nodeFileSystem(folder);
  const base = folder.endsWith('/') ? folder : `${folder}/`;
  let closed = false;
  return {
    description: options.description,
    weightsName: options.weightsName,
    async open(name: string, signal?: AbortSignal): Promise<ModelFile | undefined> {
      throwIfAborted(signal);
      if (closed) throw new WpError('disposed', `${options.description} has been closed.`);
      let opening = handles.get(name);
      if (!opening) handles.set(name, (opening = openFile(fileSystem, base, name)));
      return (await opening)?.file;
    },
    notes: () => [],
    async close(): Promise<void> {
      closed = true;
      const opened = await Promise.allSettled(handles.values());
      handles.clear();
      for (const result of opened) if (result.status === 'fulfilled') await result.value?.handle.close();
    },
  };
}

interface NodeOpened {
  file: NodeFile;
  handle: FileHandle;
}

async function openFile(fileSystem: FileSystem, base: string, name: string): Promise<NodeOpened | undefined> {
  const path = base.startsWith('file:')
    ? new URL(name.split('/').map(encodeURIComponent).join('/'), base)
    : base + name;
  let handle: FileHandle;
  try {
    handle = await fileSystem.open(path, 'r');
  } catch (cause) {
    const code = (cause as { code?: string }).code;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw new WpError(
      'not-found',
      `${String(path)} cannot be opened: ${cause instanceof Error ? cause.message : String(cause)}`,
      'Check the path and its permissions.',
      { path: String(path), code },
      { cause },
    );
  }
  const stat = await handle.stat();
  if (!stat.isFile()) {
    await handle.close();
    return undefined;
  }
  return { file: new NodeFile(name, stat.size, handle, String(path)), handle };
}

function nodeFileSystem(folder: string): FileSystem {
  const host = (globalThis as { process?: { getBuiltinModule?: (name: string) => unknown } }).process;
  const fileSystem = host?.getBuiltinModule?.('node:fs/promises');
  if (fileSystem) return fileSystem as FileSystem;
  throw new WpError(
    'invalid-source',
    `"${folder}" is a path of the file system, which this environment cannot read.`,
    'In a browser, use an http(s) URL or let the person choose the files; in Node, use version 20.16 or later.',
    { actual: folder },
  );
}
