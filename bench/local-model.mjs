// A model on this machine's disk, wherever it lies, for the server of ./serve-files.mjs: a file, or a folder of files.

import { closeSync, openSync, readSync } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';

/** Read by range as it is asked for: a model need not fit memory. */
export class DiskFile {
  constructor(path, size) {
    this.path = path;
    this.size = size;
  }

  /** @returns {Uint8Array} the bytes [from, to) @throws {Error} when the file ends before */
  read(from, to) {
    const out = new Uint8Array(to - from);
    const descriptor = openSync(this.path, 'r');
    try {
      for (let at = 0; at < out.length;) {
        const count = readSync(descriptor, out, at, out.length - at, from + at);
        if (count === 0) throw new Error(`${this.path} became shorter while it was read.`);
        at += count;
      }
      return out;
    } finally {
      closeSync(descriptor);
    }
  }
}

/**
 * @param {string} path of a file, or of a folder, whose sub-folders come too
 * @returns {Promise<{ files: Record<string, DiskFile>, address: string }>} `address`: what to ask the server for; '' is the folder
 */
export async function localModel(path) {
  const info = await stat(path);
  if (info.isFile()) {
    const name = basename(path);
    return { files: { [name]: new DiskFile(path, info.size) }, address: encodeURIComponent(name) };
  }
  const files = {};
  for (const entry of await readdir(path, { recursive: true })) {
    const file = await stat(join(path, entry));
    if (file.isFile()) files[entry.replaceAll('\\', '/')] = new DiskFile(join(path, entry), file.size);
  }
  return { files, address: '' };
}
