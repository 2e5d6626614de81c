// What this browser and device can do, as plain data that planning/ decides on. Runs where models run (the worker), since
// a worker may have less than its page. Nothing here allocates on a device or keeps one.

import type { Capabilities } from '../types.ts';
import { identifyBrowser } from './browser.ts';
import { supportsRelaxedSimd, supportsSimd, supportsThreads } from './wasm-features.ts';

/** Detects the capabilities of this thread's environment. Never throws: what is missing comes with its reason. */
export async function detectCapabilities(): Promise<Capabilities> {
  const navigator = (globalThis as { navigator?: Partial<Navigator> }).navigator;
  const { process: nodeProcess } = globalThis as { process?: { versions?: { node?: string } } };
  const node = nodeProcess?.versions?.node;
  const userAgent = node ? `Node.js/${node}` : (navigator?.userAgent ?? '');
  const simd = supportsSimd();
  return {
    webgpu: await detectWebGpu(navigator?.gpu),
    webnn:
      navigator && 'ml' in navigator
        ? { available: true, reason: 'navigator.ml exists.' }
        : { available: false, reason: 'This browser has no navigator.ml.' },
    wasm: {
      available: simd,
      simd,
      relaxedSimd: supportsRelaxedSimd(),
      threads: supportsThreads(),
      reason: wasmReason(simd),
    },
    crossOriginIsolated: (globalThis as { crossOriginIsolated?: boolean }).crossOriginIsolated ?? node !== undefined,
    cores: await countCores(navigator, node !== undefined),
    deviceMemoryBytes: await deviceMemoryBytes(navigator, node !== undefined),
    storage: await detectStorage(navigator?.storage),
    browser: identifyBrowser(userAgent),
  };
}

function wasmReason(simd: boolean): string {
  if (typeof WebAssembly !== 'object') return 'This browser has no WebAssembly, or the page forbids it.';
  return simd ? 'WebAssembly with SIMD.' : 'This browser’s WebAssembly has no SIMD (all current browsers do).';
}

async function detectWebGpu(gpu: GPU | undefined): Promise<Capabilities['webgpu']> {
  if (!gpu)
    return {
      available: false,
      reason: 'This browser has no WebGPU (navigator.gpu is missing), or the page is not secure.',
    };
  try {
    const adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' });
    if (!adapter)
      return { available: false, reason: 'WebGPU is there, but no adapter: the GPU or its driver is not supported.' };
    const { info, limits } = adapter;
    return {
      available: true,
      vendor: info.vendor,
      architecture: info.architecture,
      description: info.description || info.device || info.architecture || info.vendor,
      isFallback: isSoftwareAdapter(adapter),
      features: [...adapter.features].sort(),
      maxBufferBytes: limits.maxBufferSize,
      maxStorageBindingBytes: limits.maxStorageBufferBindingSize,
      maxWorkgroupInvocations: limits.maxComputeInvocationsPerWorkgroup,
      maxWorkgroupStorageBytes: limits.maxComputeWorkgroupStorageSize,
    };
  } catch (thrown) {
    return {
      available: false,
      reason: `WebGPU failed to give an adapter: ${thrown instanceof Error ? thrown.message : String(thrown)}`,
    };
  }
}

/** Software renderers run WGSL on the CPU, several times slower than our WASM kernels. Browsers do not always say so. */
function isSoftwareAdapter(adapter: GPUAdapter): boolean {
  const { info } = adapter;
  const legacy = adapter as { isFallbackAdapter?: boolean };
  if (info.isFallbackAdapter || legacy.isFallbackAdapter) return true;
  return /swiftshader|llvmpipe|lavapipe|softpipe|basic render/i.test(
    `${info.vendor} ${info.architecture} ${info.device} ${info.description}`,
  );
}

async function countCores(navigator: Partial<Navigator> | undefined, isNode: boolean): Promise<number> {
  if (isNode) return (await import('node:os')).availableParallelism();
  return navigator?.hardwareConcurrency ?? 1;
}

async function deviceMemoryBytes(
  navigator: Partial<Navigator> | undefined,
  isNode: boolean,
): Promise<number | undefined> {
  if (isNode) return (await import('node:os')).totalmem();
  const gibibytes = (navigator as { deviceMemory?: number } | undefined)?.deviceMemory;
  return gibibytes === undefined ? undefined : gibibytes * 2 ** 30;
}

async function detectStorage(storage: StorageManager | undefined): Promise<Capabilities['storage']> {
  const none = { opfs: false, quotaBytes: undefined, usedBytes: undefined };
  if (!storage || typeof storage.getDirectory !== 'function') return none;
  try {
    await storage.getDirectory();
    const { quota, usage } = await storage.estimate();
    return { opfs: true, quotaBytes: quota, usedBytes: usage };
  } catch {
    // Private windows of some browsers have the method and refuse the call.
    return none;
  }
}
