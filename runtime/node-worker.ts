// The worker of a Node process: a thread. Browsers never fetch this file.

import { workerUrl } from './environment.ts';
import { WpError } from './errors.ts';
import type { SpawnedWorker } from './spawned-worker.ts';

export async function spawnNodeWorker(reportDeath: (error: WpError) => void): Promise<SpawnedWorker> {
  const { Worker } = await import('node:worker_threads');
  // Flags of the host (`--input-type`, loaders) are about its own entry file.
  const worker = new Worker(workerUrl(), { execArgv: [] });
  const dead = (message: string): void =>
    reportDeath(new WpError('worker-failed', `The model worker stopped: ${message}.`, 'Load the model again.'));
  worker.on('error', (error) => dead(error instanceof Error ? error.message : String(error)));
  worker.on('exit', (code) => dead(`it exited with code ${code}`));
  return {
    post: (message) => worker.postMessage(message, [message.port as never]),
    keepAlive: (alive) => (alive ? worker.ref() : worker.unref()),
  };
}
