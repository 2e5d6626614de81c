import { existsSync, statSync } from 'node:fs';
import { resolve } from 'node:path';

/** A name that is a file or folder here is meant as that, whatever else it could be; other sources stay as they are. */
export function localSource(source: string): string {
  if (!/^[\w.-]/.test(source) || !existsSync(source)) return source;
  const path = resolve(source);
  return statSync(path).isDirectory() ? `${path}/` : path;
}
