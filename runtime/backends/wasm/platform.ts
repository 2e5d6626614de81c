// What differs between browsers and Node: how many cores there are, and how a worker is made. Workers come from a script in a
// string: in a browser by Blob URL, which a bundle from another origin may use too (a content security policy without
// `worker-src blob:` forbids it: backend.ts then runs one thread), in Node by `eval`.

import type { SpawnThread, Thread } from './threads.ts';
import type { ThreadMessage } from './thread.ts';

function isNode(): boolean {
  const { process } = globalThis as { process?: { versions?: { node?: string } } };
  return process?.versions?.node !== undefined;
}

/** Imports a module of Node's; the name is in a variable, so that no bundler for browsers goes looking for it. */
function importFromNode<T>(specifier: string): Promise<T> {
  return import(/* @vite-ignore */ specifier) as Promise<T>;
}

/** Logical cores that the platform admits to. */
export async function countCores(): Promise<number> {
  if (!isNode()) return navigator.hardwareConcurrency;
  return (await importFromNode<{ availableParallelism(): number }>('node:os')).availableParallelism();
}

/** Node's worker_threads, as far as they are used here. */
interface NodeWorkers {
  Worker: new (
    script: string,
    options: { eval: true },
  ) => {
    on(event: 'message' | 'error', listener: (data: unknown) => void): void;
    postMessage(data: unknown): void;
    terminate(): Promise<number>;
    unref(): void;
  };
}

/** Workers of the platform: see the head of this file. */
export const spawnPlatformThread: SpawnThread = async (script) => {
  if (!isNode()) return spawnInBrowser(script);
  return spawnInNode(await importFromNode<NodeWorkers>('node:worker_threads'), script);
};

function spawnInNode({ Worker }: NodeWorkers, script: string): Thread {
  const connect = `const { parentPort } = require('node:worker_threads');
    parentPort.once('message', (given) => startThread(given, (message) => parentPort.postMessage(message)));`;
  const worker = new Worker(`${script}\n${connect}`, { eval: true });
  worker.on('message', (message) => {
    thread.onMessage?.(message as ThreadMessage);
    // From here on it only waits for steps: a model that was not disposed does not keep the process alive.
    worker.unref();
  });
  worker.on('error', (error) => thread.onError?.(error));
  const thread: Thread = {
    start: (given) => worker.postMessage(given),
    onMessage: undefined,
    onError: undefined,
    terminate: () => void worker.terminate(),
  };
  return thread;
}

function spawnInBrowser(script: string): Thread {
  const connect = 'onmessage = (event) => startThread(event.data, (message) => postMessage(message));';
  const url = URL.createObjectURL(new Blob([`${script}\n${connect}`], { type: 'text/javascript' }));
  const worker = new Worker(url, { name: 'wp-models thread' });
  worker.onmessage = (event) => {
    URL.revokeObjectURL(url);
    thread.onMessage?.(event.data as ThreadMessage);
  };
  worker.onerror = (event) => {
    URL.revokeObjectURL(url);
    thread.onError?.(event.message || 'the worker did not start');
  };
  const thread: Thread = {
    start: (given) => worker.postMessage(given),
    onMessage: undefined,
    onError: undefined,
    terminate: () => worker.terminate(),
  };
  return thread;
}
