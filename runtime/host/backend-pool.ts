// One backend of each kind for all models of the worker: models share a GPU device and a thread pool. A lost device leaves
// the pool at once, so whoever asks next gets a new one.

import type { Backend } from '../backends/backend.ts';
import { WpError } from '../errors.ts';
import type { BackendName, WebNnDevice } from '../types.ts';

export interface BackendWish {
  name: BackendName;
  /** Of the WASM backend. */
  threads: number;
  /** Of the WebNN backend. */
  device?: WebNnDevice | undefined;
}

export class BackendPool {
  readonly #backends = new Map<string, Promise<Backend>>();

  /** The backend of this kind; created on first use, anew after it was lost. */
  get(wish: BackendWish): Promise<Backend> {
    const { name, threads, device } = wish;
    const key = name === 'wasm' ? `wasm:${threads}` : name === 'webnn' ? `webnn:${device}` : name;
    const existing = this.#backends.get(key);
    if (existing) return existing;
    const created = create(wish);
    const forget = (): void => {
      if (this.#backends.get(key) === created) this.#backends.delete(key);
    };
    this.#backends.set(key, created);
    created.then((backend) => void backend.lost.then(forget), forget);
    return created;
  }
}

/** Only the chosen backend's code, and its kernels, are downloaded. */
async function create({ name, threads, device = 'cpu' }: BackendWish): Promise<Backend> {
  if (name === 'wasm') {
    const { createWasmBackend } = await import('../backends/wasm/index.ts').catch(missingCode);
    return createWasmBackend({ threads });
  }
  if (name === 'webnn') {
    const { createWebNnBackend } = await import('../backends/webnn/index.ts').catch(missingCode);
    return createWebNnBackend({ device });
  }
  const { createWebGpuBackend } = await import('../backends/webgpu/index.ts').catch(missingCode);
  return createWebGpuBackend();
}

/** A server that has the worker and not the files beside it: a new version was put there, or not all was copied. */
function missingCode(cause: unknown): never {
  throw new WpError(
    'worker-failed',
    `A part of the runtime could not be loaded: ${cause instanceof Error ? cause.message : String(cause)}.`,
    'Reload the page. If it happens again, check that all files of the package’s dist/ lie beside model.worker.js, of one version.',
    {},
    { cause },
  );
}
