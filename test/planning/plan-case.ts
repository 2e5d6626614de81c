// What a plan is asked in tests: a page, a GPU, a model large enough for memory to matter.

import { lower } from '../../runtime/graph/passes/index.ts';
import type { PlanRequest, PlanWishes, StoredFormat } from '../../runtime/planning/plan.ts';
import type { Capabilities } from '../../runtime/types.ts';
import { TINY_DECODER, tinyDecoder, type TinyDecoderOptions } from '../support/tiny-decoder.ts';

export const GPU: Capabilities['webgpu'] = {
  available: true,
  vendor: 'acme',
  architecture: 'one',
  description: 'Acme One',
  isFallback: false,
  features: [],
  maxBufferBytes: 2 ** 31,
  maxStorageBindingBytes: 2 ** 31,
  maxWorkgroupInvocations: 256,
  maxWorkgroupStorageBytes: 16384,
};
export const NO_GPU: Capabilities['webgpu'] = { available: false, reason: 'This browser has no WebGPU.' };
export const SOFTWARE_GPU = { ...GPU, description: 'SwiftShader', isFallback: true };

export const PLAIN_PAGE: Capabilities = {
  webgpu: GPU,
  webnn: { available: false, reason: '' },
  wasm: { available: true, simd: true, relaxedSimd: true, threads: true, reason: 'WebAssembly with SIMD.' },
  crossOriginIsolated: false,
  cores: 8,
  deviceMemoryBytes: 8 * 2 ** 30,
  storage: { opfs: true, quotaBytes: undefined, usedBytes: undefined },
  browser: { name: 'chrome', version: '150', mobile: false },
};
export const NO_WASM = { ...PLAIN_PAGE.wasm, available: false, reason: 'The page forbids WebAssembly.' };

/** 1024 wide, 4 layers, 32,000 tokens: 94 million parameters. */
export const LARGE: TinyDecoderOptions = {
  ...TINY_DECODER,
  layers: 4,
  vocabulary: 32000,
  columns: 1024,
  width: 4096,
  heads: 16,
  keyValueHeads: 4,
  headDim: 64,
};

export interface Case {
  wishes?: PlanWishes;
  capabilities?: Partial<Capabilities>;
  options?: TinyDecoderOptions;
  maxContextLength?: number;
  stored?: (weight: string) => StoredFormat;
}

export function request({
  wishes = {},
  capabilities = {},
  options = TINY_DECODER,
  maxContextLength = 8192,
  stored,
}: Case): PlanRequest {
  const graph = lower(tinyDecoder(options));
  const storedFormats = new Map(graph.weights.map(({ name }) => [name, stored?.(name) ?? 'bf16']));
  return {
    graph,
    capabilities: { ...PLAIN_PAGE, ...capabilities },
    wishes,
    model: { maxContextLength, storedFormats },
  };
}
