// What makes the build quick: a step is skipped when its inputs' contents are those of its last success and its outputs
// are still there. The stamps lie in build/, which git ignores.

import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './root.mjs';

const stampFile = join(root, 'build/stamps.json');

/** Every file under a file or folder, in a fixed order; hidden folders and node_modules are left out. */
export function filesUnder(path) {
  if (!existsSync(path)) return [];
  if (statSync(path).isFile()) return [path];
  return readdirSync(path, { withFileTypes: true })
    .filter((entry) => !entry.name.startsWith('.') && entry.name !== 'node_modules')
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => filesUnder(join(path, entry.name)));
}

/** A hash of the names and contents of `paths` (files or folders, relative to the root). */
export function fingerprint(paths) {
  const hash = createHash('sha256');
  for (const path of paths) {
    for (const file of filesUnder(join(root, path))) {
      hash.update(file.slice(root.length)).update('\0').update(readFileSync(file)).update('\0');
    }
  }
  return hash.digest('hex');
}

function readStamps() {
  return existsSync(stampFile) ? JSON.parse(readFileSync(stampFile, 'utf8')) : {};
}

/**
 * Runs `action` unless nothing changed since it last succeeded.
 * @returns {Promise<boolean>} whether it ran
 */
export async function step(name, { inputs, outputs, force = false }, action) {
  const current = fingerprint([...inputs, 'package-lock.json']);
  const present = outputs.every((path) => existsSync(join(root, path)));
  if (!force && present && readStamps()[name] === current) return false;
  await action();
  const missing = outputs.filter((path) => !existsSync(join(root, path)));
  if (missing.length > 0) throw new Error(`The step “${name}” did not make ${missing.join(', ')}.`);
  mkdirSync(join(root, 'build'), { recursive: true });
  // Taken again: a step may write one of its own inputs (a generated source file).
  writeFileSync(
    stampFile,
    JSON.stringify({ ...readStamps(), [name]: fingerprint([...inputs, 'package-lock.json']) }, null, 2),
  );
  return true;
}
