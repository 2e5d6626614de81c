// The page's side of the worker, and the only file that spawns one (in Node through node-worker.ts). One worker serves all models of a page: its devices,
// its caches and its downloads are shared. Read protocol/messages.ts for what is said, remote-model.ts for what a model is on
// this side, host.ts for the other side.

import * as Comlink from 'comlink';
import { type Connection, onDeath, unwrap } from './connection.ts';
import { embeddedBase, workerUrl } from './environment.ts';
import { abortError, throwIfAborted, WpError } from './errors.ts';
import type { Model } from './model.ts';
import type { LoadEvent, LoadRequest, RuntimeService } from './protocol/messages.ts';
import { RemoteModel } from './remote-model.ts';
import type { SpawnedWorker } from './spawned-worker.ts';
import type { Capabilities, LoadOptions, ModelSource } from './types.ts';

let current: Promise<Connection> | undefined;

/** The page's one worker; started on first use, started anew after it died. */
export function connection(): Promise<Connection> {
  current ??= connect();
  return current;
}

async function connect(): Promise<Connection> {
  let reportDeath!: (error: WpError) => void;
  const died = new Promise<WpError>((resolve) => {
    reportDeath = (error) => {
      current = undefined;
      resolve(error);
    };
  });
  const worker = isNode()
    ? await (await import('./node-worker.ts')).spawnNodeWorker(reportDeath)
    : spawnBrowserWorker(reportDeath);
  const { port1, port2 } = new MessageChannel();
  worker.post({ type: 'wp-connect', port: port2 });
  const service = Comlink.wrap<RuntimeService>(port1);
  const nodePort = port1 as { ref?: () => void; unref?: () => void };
  let holds = 0;
  const update = (): void => {
    worker.keepAlive(holds > 0);
    if (holds > 0) nodePort.ref?.();
    else nodePort.unref?.();
  };
  update();
  return {
    service,
    died,
    hold() {
      let held = true;
      holds += 1;
      update();
      return () => {
        if (!held) return;
        held = false;
        holds -= 1;
        update();
      };
    },
  };
}

function isNode(): boolean {
  const { process: nodeProcess } = globalThis as { process?: { versions?: { node?: string } } };
  return nodeProcess?.versions?.node !== undefined && typeof Worker === 'undefined';
}

function spawnBrowserWorker(reportDeath: (error: WpError) => void): SpawnedWorker {
  const url = workerUrl();
  let worker: Worker;
  try {
    worker = new Worker(bootstrapUrl(url), { type: 'module', name: 'wp-models' });
  } catch (thrown) {
    throw new WpError(
      'worker-failed',
      `The model worker could not be started from ${url.href}: ${thrown instanceof Error ? thrown.message : String(thrown)}`,
      'Check that the page’s Content-Security-Policy allows it: worker-src must include the script’s origin (and blob: if that is another origin than the page’s).',
      { url: url.href },
      { cause: thrown },
    );
  }
  worker.addEventListener('error', (event) => {
    worker.terminate();
    reportDeath(
      new WpError(
        'worker-failed',
        `The model worker stopped: ${event.message || `its script could not be loaded from ${url.href}`}.`,
        'Check that model.worker.js lies beside the script, is served as JavaScript, and (on another origin) with CORS headers; then load the model again.',
        { url: url.href },
      ),
    );
  });
  return { post: (message) => worker.postMessage(message, [message.port]), keepAlive: () => undefined };
}

/** Workers cannot be constructed across origins; a module of this origin that imports the other can. */
function bootstrapUrl(url: URL): URL | string {
  if (url.origin === globalThis.location.origin) return url;
  const source = `import ${JSON.stringify(url.href)};`;
  return URL.createObjectURL(new Blob([source], { type: 'text/javascript' }));
}

/**
 * Loads a model and resolves when it can answer.
 *
 * @param source A Hugging Face id (`org/name`, `org/name@revision`, `org/name/file.gguf`), the URL of a folder with
 *   `config.json` and `model.safetensors` or of a `.gguf` or `.onnx` file, an embedded model (`wp:fable-25m`), or the Files of these.
 * @throws WpError with a stable code (see errors.ts); AbortError when `options.signal` aborts.
 */
export async function loadModel(source: ModelSource, options: LoadOptions = {}): Promise<Model> {
  throwIfAborted(options.signal);
  const link = await connection();
  const { port1: port, port2 } = new MessageChannel();
  const request = toRequest(source, options);
  const release = link.hold();
  let forget = (): void => undefined;
  const abort = (): void => port.postMessage({ type: 'abort' });
  try {
    options.signal?.addEventListener('abort', abort);
    const loaded = new Promise<Extract<LoadEvent, { type: 'loaded' }>>((resolve, reject) => {
      forget = onDeath(link, reject);
      port.onmessage = ({ data }: MessageEvent<LoadEvent>) => {
        if (data.type === 'progress') options.onProgress?.(data.progress);
        else if (data.type === 'loaded') resolve(data);
        else if (data.type === 'aborted') reject(abortError(options.signal?.reason));
        else reject(WpError.fromData(data.error));
      };
      // Answers come on the port; the call itself fails only when its arguments cannot be sent.
      link.service.load(request, Comlink.transfer(port2, [port2])).catch(reject);
    });
    const { model, info } = await loaded;
    return new RemoteModel(link, model, info);
  } finally {
    options.signal?.removeEventListener('abort', abort);
    port.close();
    forget();
    release();
  }
}

function toRequest(source: ModelSource, options: LoadOptions): LoadRequest {
  const text = typeof source === 'string' || source instanceof URL ? absolute(String(source)) : source;
  return {
    source: text,
    embeddedBase: embeddedBase(),
    precision: options.precision ?? 'auto',
    backend: options.backend ?? 'auto',
    contextLength: options.contextLength,
    threads: options.threads,
    memoryLimitBytes: options.memoryLimitBytes,
    webnnDevice: options.webnnDevice,
    headers: options.headers,
    tuning: options.tuning ?? 'auto',
  };
}

/** Relative addresses are relative to the page, which the worker does not know. */
function absolute(source: string): string {
  const { document } = globalThis as { document?: { baseURI: string } };
  if (document && /^(\.{0,2}\/|[^:]*\/$)/.test(source)) return new URL(source, document.baseURI).href;
  return source;
}

/** What models on this page can use: asked of the worker, since that is where they run. */
export async function detectCapabilities(): Promise<Capabilities> {
  const link = await connection();
  return unwrap(link, link.service.capabilities());
}
