// Which tiles the matrix units get, and what their shader must keep, without a GPU: no software adapter has subgroup matrices.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BROWSER_PROFILES } from '../../runtime/backends/webgpu/browser-profiles.ts';
import type { DeviceProfile } from '../../runtime/backends/webgpu/device-profile.ts';
import { matrixProbe } from '../../runtime/backends/webgpu/kernels/matmul-matrix.ts';
import { matmulMatrixConfiguration } from '../../runtime/backends/webgpu/ladder.ts';

const PROFILE: DeviceProfile = {
  subgroups: { min: 32, max: 32 },
  shaderF16: true,
  subgroupMatrix: true,
  integerDots: true,
  timestamps: false,
  isSoftware: false,
  maxStorageBindingBytes: 2 ** 31,
  maxBufferBytes: 2 ** 31,
  maxWorkgroupStorageBytes: 48 * 1024,
  maxStorageBuffers: 10,
  maxInvocationsPerWorkgroup: 1024,
  maxWorkgroupsPerDimension: 65_535,
  browser: BROWSER_PROFILES.chromium,
};

function tile(matrix: Partial<Parameters<typeof matmulMatrixConfiguration>[1]>, profile: Partial<DeviceProfile> = {}) {
  const shape = { format: 'q4g32', rows: 4096, columns: 4096, tokens: Infinity, ...matrix } as const;
  const found = matmulMatrixConfiguration({ ...PROFILE, ...profile }, shape);
  return found && [found.tileTokens, found.tileRows, found.tileColumns];
}

test('large tiles for many tokens and rows, small ones for few', () => {
  assert.deepEqual(tile({}), [64, 128, 64]);
  assert.deepEqual(tile({ tokens: 128 }), [32, 64, 64]);
  assert.deepEqual(tile({ rows: 128 }), [32, 64, 64]);
});

test('columns that are no multiple of 64, and little workgroup memory, get narrower tiles', () => {
  assert.deepEqual(tile({ columns: 288 }), [64, 128, 32]);
  assert.deepEqual(tile({ columns: 288, tokens: 1 }), [32, 64, 32]);
  assert.deepEqual(tile({}, { maxWorkgroupStorageBytes: 32 * 1024 }), [64, 128, 32]);
  assert.deepEqual(tile({}, { maxWorkgroupStorageBytes: 16 * 1024 }), [32, 64, 32]);
});

test('what the matrix units cannot do falls to the tiles of other kernels', () => {
  assert.equal(tile({}, { subgroupMatrix: false }), undefined);
  assert.equal(tile({ format: 'f32' }), undefined);
  assert.equal(tile({ format: 'f16', columns: 44 }), undefined);
  assert.equal(tile({}, { maxWorkgroupStorageBytes: 4096 }), undefined);
});

test('subgroups load from constant offsets, which need no check of bounds', () => {
  const loads = [...matrixProbe().matchAll(/subgroupMatrixLoad<[^(]*\(([^)]*)\)/g)].map(([, operands]) => operands!);
  assert.equal(loads.length, 4);
  for (const operands of loads) assert.match(operands, /^&\w+\[\w+\], \d+u, STRIDE$/);
});
