// Which kernel a matrix product of prefill gets: subgroup matrices, integer dot products, tiles of halves, tiles of floats.

import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { BROWSER_PROFILES } from '../../runtime/backends/webgpu/browser-profiles.ts';
import type { BufferLedger } from '../../runtime/backends/webgpu/buffers.ts';
import type { DeviceProfile } from '../../runtime/backends/webgpu/device-profile.ts';
import { integerKernels } from '../../runtime/backends/webgpu/integer-kernels.ts';
import { lowerOperations } from '../../runtime/backends/webgpu/lowering.ts';
import { matrixKernels } from '../../runtime/backends/webgpu/matrix-kernels.ts';
import { matvecIntegerKernels } from '../../runtime/backends/webgpu/matvec-integer-kernels.ts';
import { WeightStore } from '../../runtime/backends/webgpu/weight-store.ts';
import { lower } from '../../runtime/graph/passes/index.ts';
import { FORMATS, type FormatName } from '../../runtime/quantization/formats.ts';
import { tinyDecoder } from '../support/tiny-decoder.ts';

const PROFILE: DeviceProfile = {
  subgroups: undefined,
  shaderF16: true,
  subgroupMatrix: true,
  integerDots: true,
  timestamps: false,
  isSoftware: false,
  maxStorageBindingBytes: 2 ** 27,
  maxBufferBytes: 2 ** 28,
  maxWorkgroupStorageBytes: 16 * 1024,
  maxStorageBuffers: 10,
  maxInvocationsPerWorkgroup: 256,
  maxWorkgroupsPerDimension: 65_535,
  browser: BROWSER_PROFILES.chromium,
};

before(async () => {
  await matrixKernels.load();
  await integerKernels.load();
  await matvecIntegerKernels.load();
});

/** The kernels, with the type of their tiles, of a decoder's linear layers for a step of 100 tokens. */
function kernels(format: FormatName, without: Partial<DeviceProfile> = {}): string[] {
  const graph = lower(tinyDecoder());
  const formats = new Map(graph.weights.map(({ name }) => [name, FORMATS[format]]));
  const profile = { ...PROFILE, ...without };
  const weights = new WeightStore({} as BufferLedger, graph.weights, formats, profile); // nothing is uploaded
  const lowered = lowerOperations({ graph, profile, weights, contextLength: 128, step: 'general' });
  const sizes = { tokens: 100, past: 0, outputs: 2 };
  const names = lowered
    .filter(({ operation }) => operation === 'linear')
    .flatMap(({ alternatives }) => alternatives.find(({ serves }) => serves(sizes))!.calls)
    .map(({ kernel: { key } }) => key.replace(/ .*tileType=(\w+).*/, ' $1').replace(/(matmul\w+) .*/, '$1'));
  return [...new Set(names)];
}

test('each rung falls to the next where the device lacks what it needs', () => {
  assert.deepEqual(kernels('q4g32'), ['matmulMatrix']);
  assert.deepEqual(kernels('q4g32', { subgroupMatrix: false }), ['matmulInteger']);
  assert.deepEqual(kernels('q4g32', { subgroupMatrix: false, integerDots: false }), ['matmul f16']);
  const least = { subgroupMatrix: false, integerDots: false, shaderF16: false };
  assert.deepEqual(kernels('q4g32', least), ['matmul f32']);
});

test('integers are for quantised weights, and for hardware', () => {
  assert.deepEqual(kernels('f16', { subgroupMatrix: false }), ['matmul f16']);
  assert.deepEqual(kernels('f32', { subgroupMatrix: false }), ['matmul f16']);
  assert.deepEqual(kernels('q8g32', { subgroupMatrix: false, isSoftware: true }), ['matmul f32']);
  assert.deepEqual(kernels('q8g32', { subgroupMatrix: false, maxInvocationsPerWorkgroup: 64 }), ['matmul f32']);
});
