// Fetches a peer that no checkout should carry: it goes to build/peers, which git ignores, and only when it is asked for.

import { spawn } from 'node:child_process';
import { mkdir, readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

const FOLDER = fileURLToPath(new URL('../build/peers/', import.meta.url));

/** Peers by the name that `--peer` has for them, of the versions that were measured. */
export const FETCHED_PEERS = { 'transformers.js': { name: '@huggingface/transformers', version: '4.3.1' } };

/**
 * Leaves out what only Node needs, as far as npm can: no install scripts, no optional packages.
 *
 * @param {keyof typeof FETCHED_PEERS} peer
 * @throws {Error} when npm failed
 */
export async function fetchPeer(peer, log = console.log) {
  const { name, version } = FETCHED_PEERS[peer];
  if ((await installedVersion(name)) === version) return;
  await mkdir(FOLDER, { recursive: true });
  const args = ['install', '--no-save', '--ignore-scripts', '--omit=optional', '--no-audit', '--no-fund'];
  log(`Fetching ${name} ${version} into build/peers …`);
  await run('npm', [...args, '--prefix', FOLDER, `${name}@${version}`]);
}

async function installedVersion(name) {
  try {
    return JSON.parse(await readFile(`${FOLDER}node_modules/${name}/package.json`, 'utf8')).version;
  } catch (error) {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  }
}

function run(command, args) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'inherit'], shell: process.platform === 'win32' });
    child.once('error', reject);
    child.once('exit', (status) =>
      status === 0 ? resolve() : reject(new Error(`${command} ${args.join(' ')} ended with status ${status}.`)),
    );
  });
}
