// A trained auto-encoder, image to latents and back, against torch (test/fixtures/encoders/taesd).

import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { createWasmBackend } from '../../runtime/backends/wasm/index.ts';
import { packWeights, readTensors, relativeError } from '../support/encoder-goldens.ts';
import { runEncoder } from '../support/run-encoder.ts';
import { taesdDecoder, taesdEncoder } from '../support/taesd.ts';

const models = new URL('../../../shared/models/taesd/', import.meta.url);
const missing = existsSync(models) ? false : '../shared/models/taesd is not there';
const SIZE = 48;

describe('WASM: a trained auto-encoder', () => {
  it('gives the latents and the image that torch gives', { skip: missing }, async () => {
    const bytes = readFileSync(new URL('../fixtures/encoders/taesd/goldens.bin', import.meta.url));
    const numbers = new Float32Array(
      bytes.buffer.slice(bytes.byteOffset + SIZE * SIZE * 3, bytes.byteOffset + bytes.length),
    );
    const pixels = Float32Array.from(bytes.subarray(0, SIZE * SIZE * 3), (byte) => byte / 255);
    const latents = numbers.slice(0, 36 * 32);
    const decoded = numbers.slice(36 * 32);

    const backend = await createWasmBackend({ threads: 1 });
    const run = async (graph: ReturnType<typeof taesdEncoder>, name: string, input: Float32Array<ArrayBuffer>) => {
      const tensors = readTensors(readFileSync(new URL(`${name}.safetensors`, models)));
      const weights = packWeights(graph, tensors, 'f16');
      return (await runEncoder(backend, graph, weights, { pixels: input }))['image'];
    };
    const encodedHere = await run(taesdEncoder(SIZE), 'taef2_encoder', pixels);
    assert.ok(relativeError(encodedHere, latents) <= 1e-5, String(relativeError(encodedHere, latents)));
    const decodedHere = await run(taesdDecoder(SIZE / 8), 'taef2_decoder', latents);
    assert.ok(relativeError(decodedHere, decoded) <= 1e-5, String(relativeError(decodedHere, decoded)));
    backend.dispose();
  });
});
