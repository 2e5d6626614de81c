// What a decode step is fused to, without a GPU: the numbers of dispatches are promises that speed depends on.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fuseDecode, type FusionLimits } from '../../runtime/backends/webgpu/fuse-decode.ts';
import { lower } from '../../runtime/graph/passes/index.ts';
import { TINY_DECODER, tinyDecoder, type TinyDecoderOptions } from '../support/tiny-decoder.ts';

const LIMITS: FusionLimits = { maxStorageBuffers: 10, matrixBuffers: () => 2, isCut: () => false };

function fuse(options: Partial<TinyDecoderOptions> = {}, limits: Partial<FusionLimits> = {}): string[] {
  const graph = lower(tinyDecoder({ ...TINY_DECODER, layers: 2, ...options }));
  return fuseDecode(graph, { ...LIMITS, ...limits }).map(({ operation, fused }) => {
    const taken = Object.entries(fused ?? {}).filter(([, value]) => value !== undefined);
    return [operation.op, ...taken.map(([name]) => name)].join('+');
  });
}

const LAYER = ['linear+norm+rotaryCache', 'attention', 'linear+residual', 'linear+norm+activation', 'linear+residual'];

test('a layer is five operations', () => {
  assert.deepEqual(fuse(), ['embed', ...LAYER, ...LAYER, 'linear+norm']);
});

test('heads that are normed are rotated by themselves', () => {
  const layer = ['linear+norm', 'rotaryCache', ...LAYER.slice(1)];
  assert.deepEqual(fuse({ hasQueryKeyNorm: true }), ['embed', ...layer, ...layer, 'linear+norm']);
});

test('a device with eight storage buffers rotates by itself', () => {
  assert.equal(fuse({}, { maxStorageBuffers: 8 }).filter((name) => name === 'rotaryCache').length, 2);
});

test('rows of a matrix in pieces do not meet: activation and rotation stay apart, residuals do not', () => {
  const layer = [
    'linear+norm',
    'rotaryCache',
    'attention',
    'linear+residual',
    'linear+norm',
    'gatedActivation',
    'linear+residual',
  ];
  assert.deepEqual(fuse({}, { isCut: () => true }), ['embed', ...layer, ...layer, 'linear+norm']);
});

test('every value that is read was made before, and none is made twice', () => {
  for (const options of [{}, { hasBias: true, isTied: false }, { hasQueryKeyNorm: true }]) {
    const graph = lower(tinyDecoder({ ...TINY_DECODER, ...options }));
    const made = new Set(Object.values(graph.inputs));
    for (const { operation, inputs, outputs } of fuseDecode(graph, LIMITS)) {
      for (const id of inputs) assert.ok(made.has(id), `${operation.op} reads ${graph.values[id]!.name} too early`);
      for (const id of outputs) {
        assert.ok(!made.has(id), `${graph.values[id]!.name} is made twice`);
        made.add(id);
      }
    }
    for (const id of Object.values(graph.outputs)) assert.ok(made.has(id));
  }
});
