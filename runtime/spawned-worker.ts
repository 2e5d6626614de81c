// A worker as client.ts wants it, in a browser or in Node.

import type { ConnectMessage } from './protocol/connect.ts';

export interface SpawnedWorker {
  post(message: ConnectMessage): void;
  /** Node only: whether the worker keeps the process alive. */
  keepAlive(alive: boolean): void;
}
