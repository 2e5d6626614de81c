// What a device can hold, and what of a plan does not fit. Found out before anything is downloaded.

import type { ActivationPlan } from '../graph/memory-plan.ts';
import { valueBytes } from '../graph/shapes.ts';
import type { Graph } from '../graph/types.ts';
import type { BackendName, Capabilities } from '../types.ts';
import type { MemoryEstimate } from './memory-estimate.ts';
import { describeBytes } from './reason.ts';
import { largestPlaneBytes, type Formats } from './weight-bytes.ts';

/** A 32-bit linear memory ends at 4 GiB; the kernels' own tables and stacks need a little of it. */
export const WASM_LIMIT_BYTES = 2 ** 32 - 64 * 2 ** 20;

/** Browsers round `navigator.deviceMemory` down to at most 8 GiB: from there on it says nothing. */
const DEVICE_MEMORY_CAP_BYTES = 8 * 2 ** 30;

/** The share of a device's memory that one page may hope for; phones end tabs early. */
const MEMORY_SHARE = { mobile: 0.5, desktop: 0.75 };

export interface MemoryLimit {
  bytes: number;
  /** Whose limit it is, to stand after "the limit is … ". */
  source: string;
}

/** The least of the limits that are known: the wish's, linear memory's, the device's. */
export function memoryLimit(
  backend: BackendName,
  capabilities: Capabilities,
  wishBytes: number | undefined,
): MemoryLimit | undefined {
  const limits: MemoryLimit[] = [];
  if (wishBytes !== undefined) limits.push({ bytes: wishBytes, source: 'memoryLimitBytes' });
  if (backend === 'wasm') limits.push({ bytes: WASM_LIMIT_BYTES, source: 'WebAssembly’s linear memory' });
  const { deviceMemoryBytes, browser } = capabilities;
  const isExact = browser.name === 'node';
  if (deviceMemoryBytes !== undefined && (isExact || deviceMemoryBytes < DEVICE_MEMORY_CAP_BYTES)) {
    const share = browser.mobile ? MEMORY_SHARE.mobile : MEMORY_SHARE.desktop;
    limits.push({
      bytes: deviceMemoryBytes * share,
      source: `${share * 100}% of this device’s ${describeBytes(deviceMemoryBytes)}`,
    });
  }
  return limits.sort((a, b) => a.bytes - b.bytes)[0];
}

/** Something that does not fit: what it is, the bytes it needs, the bytes there are. */
export interface Misfit {
  what: string;
  neededBytes: number;
  allowedBytes: number;
  source: string;
}

/** One choice of formats, context and chunk, with what it would take. */
export interface Candidate {
  graph: Graph;
  formats: Formats;
  contextLength: number;
  activations: ActivationPlan;
  memory: MemoryEstimate;
}

/** What of a candidate does not fit; undefined when all of it does. */
export function findMisfit(
  backend: BackendName,
  capabilities: Capabilities,
  { graph, formats, contextLength, activations, memory }: Candidate,
  limit: MemoryLimit | undefined,
): Misfit | undefined {
  if (limit && memory.total > limit.bytes) {
    return { what: 'The model', neededBytes: memory.total, allowedBytes: limit.bytes, source: limit.source };
  }
  if (backend !== 'webgpu' || !capabilities.webgpu.available) return undefined;
  const { maxBufferBytes, maxStorageBindingBytes } = capabilities.webgpu;
  const allowedBytes = Math.min(maxBufferBytes, maxStorageBindingBytes);
  const arrays = [
    ...graph.weights.map((weight) => ({
      what: `The weight ${weight.name}`,
      bytes: largestPlaneBytes(weight, formats),
    })),
    ...graph.states.map((state) => ({
      what: `The KV cache’s ${state.name}`,
      bytes: valueBytes(state, { context: contextLength }),
    })),
    ...activations.slots.map(({ bytes }) => ({ what: 'A buffer of activations', bytes })),
  ];
  const largest = arrays.reduce((most, array) => (array.bytes > most.bytes ? array : most), { what: '', bytes: 0 });
  if (largest.bytes <= allowedBytes) return undefined;
  return { what: largest.what, neededBytes: largest.bytes, allowedBytes, source: 'one buffer of this GPU' };
}
