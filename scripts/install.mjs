// Installs the dependencies when they are missing or when the lock file changed since. Uses nothing but Node, because it
// runs before anything is installed.

import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './root.mjs';

const wantedMajor = 20;

/** Ends the process with one clear sentence when this Node is too old. */
export function checkNode() {
  const major = Number(process.versions.node.split('.')[0]);
  if (major >= wantedMajor) return;
  console.error(
    `wp-models needs Node ${wantedMajor} or newer, and this is Node ${process.versions.node}. Install it from https://nodejs.org and try again.`,
  );
  process.exit(1);
}

/** npm's own list of what it installed; it is older than the lock file when the lock file changed. */
function isCurrent(lockHash) {
  const marker = join(root, 'node_modules/.wp-lock');
  if (!existsSync(join(root, 'node_modules'))) return false;
  if (existsSync(marker)) return readFileSync(marker, 'utf8') === lockHash;
  // Installed by `npm install` or `npm ci` directly: trust npm's record when every locked package is in it.
  const installed = join(root, 'node_modules/.package-lock.json');
  if (!existsSync(installed)) return false;
  const { packages: have } = JSON.parse(readFileSync(installed, 'utf8'));
  const { packages: want } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'));
  return Object.entries(want).every(
    ([path, { version, optional, peer }]) => path === '' || optional || peer || have[path]?.version === version,
  );
}

/** @returns {boolean} whether it installed something */
export function ensureInstalled() {
  const lockHash = createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .digest('hex');
  if (isCurrent(lockHash)) return false;
  console.log('Installing the dependencies (npm ci) …');
  const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm';
  const { status, error } = spawnSync(npm, ['ci', '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: root,
    stdio: ['ignore', 'inherit', 'inherit'],
    shell: process.platform === 'win32',
    env: { ...process.env, PUPPETEER_SKIP_DOWNLOAD: '1' },
  });
  if (status !== 0) {
    console.error(
      `npm ci failed${error ? `: ${error.message}` : ` with exit code ${status}`}. Check the network and try again.`,
    );
    process.exit(1);
  }
  writeFileSync(join(root, 'node_modules/.wp-lock'), lockHash);
  return true;
}
