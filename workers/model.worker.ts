// Entry point of the model worker: a port in, a runtime out. The same file starts in browsers (Worker) and in Node
// (worker_threads).

import * as Comlink from 'comlink';
import { RuntimeHost } from '../runtime/host.ts';
import { isConnectMessage } from '../runtime/protocol/connect.ts';

const host = new RuntimeHost();

function connect(data: unknown): void {
  if (isConnectMessage(data)) Comlink.expose(host, data.port);
}

if (typeof addEventListener === 'function' && typeof postMessage === 'function') {
  addEventListener('message', (event) => connect(event.data));
} else {
  const { parentPort } = await import('node:worker_threads');
  parentPort?.on('message', connect);
}
