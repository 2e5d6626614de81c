// Which provider and which published file: pure choices, each with its reason.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { detectCapabilities } from '../../runtime/capabilities/detect.ts';
import { readOnnxHeader } from '../../runtime/onnx/header.ts';
import { chooseProviders } from '../../runtime/onnx/providers.ts';
import { chooseVariants, variantOf } from '../../runtime/onnx/variants.ts';
import type { Capabilities } from '../../runtime/types.ts';
import { bytesOf, failsWith } from './fixtures.ts';

const node = await detectCapabilities();

function browser(features: readonly string[], isFallback = false, webnn = false): Capabilities {
  return {
    ...node,
    browser: { name: 'chrome', version: '150', mobile: false },
    webnn: { available: webnn, reason: 'navigator.ml.' },
    webgpu: {
      available: true,
      vendor: 'x',
      architecture: '',
      description: 'a GPU',
      isFallback,
      features,
      maxBufferBytes: 2 ** 31,
      maxStorageBindingBytes: 2 ** 31,
      maxWorkgroupInvocations: 256,
      maxWorkgroupStorageBytes: 16384,
    },
  };
}

const half = readOnnxHeader(bytesOf('half.onnx'), 'half.onnx');
const names = (...call: Parameters<typeof chooseProviders>): string[] =>
  chooseProviders(...call).map(({ provider }) => provider);

describe('providers', () => {
  it('the GPU first, the CPU after it', () => {
    assert.deepEqual(names(browser([]), 'auto', undefined), ['webgpu', 'wasm']);
    assert.deepEqual(names(browser([], true), 'auto', undefined), ['wasm']);
    assert.deepEqual(names(node, 'auto', undefined), ['wasm']);
  });
  it('a file of f16 needs a GPU that has it', () => {
    assert.deepEqual(names(browser(['shader-f16']), 'auto', half), ['webgpu', 'wasm']);
    assert.deepEqual(names(browser([]), 'auto', half), ['wasm']);
    assert.match(chooseProviders(browser([]), 'auto', half)[0]!.reason, /f16/);
    assert.throws(() => chooseProviders(browser([]), 'webgpu', half), failsWith('backend-unavailable', /f16/));
  });
  it('a wish is kept or refused; WebNN’s gives way', () => {
    assert.deepEqual(names(browser([], true), 'webgpu', undefined), ['webgpu']);
    assert.deepEqual(names(browser([]), 'wasm', undefined), ['wasm']);
    assert.throws(() => chooseProviders(node, 'webgpu', undefined), failsWith('backend-unavailable', /no WebGPU/));
    assert.deepEqual(names(browser([], false, true), 'webnn', undefined), ['webnn', 'webgpu', 'wasm']);
    const open = readOnnxHeader(bytesOf('embedder.onnx'), 'a.onnx');
    const [first] = chooseProviders(browser([], false, true), 'webnn', open);
    assert.match(first!.reason, /depends on batch, tokens is computed by WebAssembly/);
    assert.equal(chooseProviders(browser([], false, true), 'webnn', half)[0]!.reason, 'WebNN was asked for.');
    assert.match(chooseProviders(node, 'webnn', undefined)[0]!.reason, /WebNN was asked for/);
  });
});

describe('published variants', () => {
  const suffixes = (...call: Parameters<typeof chooseVariants>): string[] =>
    chooseVariants(...call).wanted.map(({ suffix }) => suffix);

  it('auto: 8 bits on a CPU, f16 or f32 on a GPU', () => {
    assert.equal(suffixes('auto', 'wasm', node)[0], '_quantized');
    assert.equal(suffixes('auto', 'webgpu', browser(['shader-f16']))[0], '_fp16');
    assert.equal(suffixes('auto', 'webgpu', browser([]))[0], '');
  });
  it('bits by name, or rewritten', () => {
    assert.deepEqual(suffixes('8bit', 'wasm', node), ['_quantized', '_int8', '_uint8', '_q8']);
    assert.deepEqual(suffixes('4bit', 'webgpu', browser(['shader-f16']))[0], '_q4f16');
    assert.deepEqual(suffixes('4bit', 'webgpu', browser([]))[0], '_q4');
    assert.equal(chooseVariants('2bit', 'wasm', node).rewriteBits, 2);
    assert.equal(chooseVariants('f16', 'wasm', node).rewriteBits, undefined);
  });
  it('a named file says its precision', () => {
    const precisions = ['onnx/model.onnx', 'model_q4f16.onnx', 'a_fp16.onnx', 'model_int8.onnx'].map(
      (file) => variantOf(file).precision,
    );
    assert.deepEqual(precisions, ['f32', '4bit', 'f16', '8bit']);
  });
});
