// ONNX Runtime itself: fetched with the first model that needs it, in one of two editions. The small one computes on the CPU, the
// large one also on WebGPU and WebNN. Both are whole files of the package, which fetch their .wasm from beside themselves.

import { WpError } from '../errors.ts';
import type { Provider } from './providers.ts';

export type Ort = typeof import('onnxruntime-web');
export type OrtTensor = import('onnxruntime-web').Tensor;
export type OrtSession = import('onnxruntime-web').InferenceSession;

let cpuEdition: Promise<Ort> | undefined;
let gpuEdition: Promise<Ort> | undefined;

/** Rejects with `worker-failed` when the files are not there. `threads` counts at the first call only. */
export function loadOrt(provider: Provider, threads: number): Promise<Ort> {
  const configure = (ort: Ort): Ort => {
    ort.env.logLevel = 'error';
    ort.env.wasm.numThreads = threads;
    return ort;
  };
  if (provider === 'wasm') return (cpuEdition ??= import('onnxruntime-web/wasm').then(configure).catch(missing));
  return (gpuEdition ??= import('onnxruntime-web/webgpu').then(configure).catch(missing));
}

function missing(cause: unknown): never {
  cpuEdition = gpuEdition = undefined;
  throw new WpError(
    'worker-failed',
    `ONNX Runtime could not be loaded: ${cause instanceof Error ? cause.message : String(cause)}.`,
    'Check that the folder onnx/ of the package’s dist/ lies beside model.worker.js, of one version.',
    {},
    { cause },
  );
}

/**
 * ONNX Runtime starts its threads from its own file, which browsers allow on the page's origin only; Node's threads cannot read
 * it. Undefined where threads are possible.
 */
export function whyOneThread(): string | undefined {
  const { location, process } = globalThis as {
    location?: { origin?: string };
    process?: { versions?: { node?: string } };
  };
  if (process?.versions?.node) return 'ONNX Runtime’s web edition starts no threads in Node';
  if (location?.origin !== new URL(import.meta.url).origin) return 'the scripts come from another origin than the page';
  return undefined;
}
