// The backend as its callers see it: whole programs against the reference interpreter, threads, refusals, memory.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createWasmBackend } from '../../runtime/backends/wasm/index.ts';
import { Arena } from '../../runtime/backends/wasm/arena.ts';
import { WpError } from '../../runtime/errors.ts';
import { FORMATS } from '../../runtime/quantization/formats.ts';
import { expectSameLogits, prepareCase, PROGRAM_CASES, runOnReference, runOnWasm } from './program-cases.ts';

const failsWith = (code: string) => (error: unknown) => error instanceof WpError && error.code === code;

describe('WASM programs', () => {
  for (const programCase of PROGRAM_CASES) {
    it(`${programCase.name}: the reference's logits, the same bits on one, two and three threads`, async () => {
      const prepared = prepareCase(programCase);
      const one = await runOnWasm(prepared, { threads: 1 });
      expectSameLogits(one, await runOnReference(prepared), programCase.format);
      for (const threads of [2, 3]) assert.deepEqual(await runOnWasm(prepared, { threads }), one);
    });
  }

  it('runs on one thread when workers cannot be made, and says so', async () => {
    const backend = await createWasmBackend({
      threads: 2,
      spawnThread: () => Promise.reject(new Error('blocked by a content security policy')),
    });
    const { graph, options } = prepareCase(PROGRAM_CASES[0]!);
    await backend.compile(graph, options);
    assert.match(backend.description, /on 1 thread, since .*content security policy/);
    backend.dispose();
  });
});

describe('WASM program: what it refuses', () => {
  const prepared = prepareCase(PROGRAM_CASES[3]!);
  const step = prepared.steps[2]!;

  async function program() {
    const backend = await createWasmBackend({ threads: 1 });
    const compiled = await backend.compile(prepared.graph, prepared.options);
    for (const [name, matrix] of prepared.weights) await compiled.setWeight(name, matrix);
    return compiled;
  }

  it('no threads, or a part of one', async () => {
    for (const threads of [0, -1, 1.5, NaN]) {
      await assert.rejects(createWasmBackend({ threads }), failsWith('invalid-argument'));
    }
  });

  it('steps of sizes that were not compiled for', async () => {
    const compiled = await program();
    const many = new Int32Array(21);
    await assert.rejects(compiled.run({ ...step, tokenIds: new Int32Array(0) }), failsWith('invalid-argument'));
    await assert.rejects(compiled.run({ ...step, tokenIds: many }), failsWith('invalid-argument'));
    await assert.rejects(compiled.run({ ...step, outputRows: many }), failsWith('invalid-argument'));
    await assert.rejects(compiled.run({ ...step, rotary: new Float32Array(3) }), failsWith('invalid-argument'));
    await assert.rejects(compiled.run({ ...step, outputRows: Int32Array.of(1) }), failsWith('invalid-argument'));
    await assert.rejects(compiled.run({ ...step, tokenIds: Int32Array.of(50) }), failsWith('invalid-argument'));
    await assert.rejects(compiled.run({ ...step, tokenIds: Int32Array.of(-1) }), failsWith('invalid-argument'));
    await assert.rejects(compiled.run({ ...step, past: 40 }), failsWith('context-overflow'));
  });

  it('weights that are not the planned ones', async () => {
    const compiled = await program();
    const [name, matrix] = [...prepared.weights].find(([, { rows }]) => rows > 1)!;
    await assert.rejects(compiled.setWeight('none', matrix), failsWith('invalid-argument'));
    await assert.rejects(compiled.setWeight(name, { ...matrix, rows: matrix.rows - 1 }), failsWith('invalid-argument'));
    await assert.rejects(compiled.setWeight(name, { ...matrix, format: FORMATS.f16 }), failsWith('invalid-argument'));
    const planes = [matrix.planes[0]!.subarray(1)];
    await assert.rejects(compiled.setWeight(name, { ...matrix, planes }), failsWith('invalid-argument'));
  });

  it('to be ready without all weights, and names one', async () => {
    const backend = await createWasmBackend({ threads: 1 });
    const compiled = await backend.compile(prepared.graph, prepared.options);
    await assert.rejects(compiled.ready(), failsWith('missing-tensor'));
  });

  it('to run after it was disposed; disposing twice is allowed', async () => {
    const compiled = await program();
    compiled.dispose();
    compiled.dispose();
    await assert.rejects(compiled.run(step), failsWith('disposed'));
    assert.deepEqual(compiled.memory(), { weights: 0, keyValueCache: 0, activations: 0, other: 0 });
  });

  it('more memory than there is, with the numbers', async () => {
    const backend = await createWasmBackend({ threads: 1 });
    const options = { ...prepared.options, contextLength: 2 ** 28 };
    await assert.rejects(backend.compile(prepared.graph, options), (error: unknown) => {
      assert.ok(error instanceof WpError);
      assert.equal(error.code, 'out-of-memory');
      // Two layers, keys and values, two heads of 16 halves.
      assert.equal(error.details['keyValueCache'], 2 ** 28 * 2 * 2 * 2 * 16 * 2);
      return true;
    });
  });

  it('what the engine refuses, as out-of-memory', () => {
    const { Memory } = WebAssembly;
    const arena = new Arena(0);
    arena.take(1000, 'weights');
    try {
      WebAssembly.Memory = class {
        constructor() {
          throw new RangeError('could not allocate memory');
        }
      } as unknown as typeof Memory;
      assert.throws(() => arena.allocate(false), failsWith('out-of-memory'));
    } finally {
      WebAssembly.Memory = Memory;
    }
  });
});

describe('WASM program: what it reports', () => {
  it('memory, to the byte', async () => {
    const prepared = prepareCase(PROGRAM_CASES[3]!);
    const backend = await createWasmBackend({ threads: 1 });
    const program = await backend.compile(prepared.graph, prepared.options);
    const memory = program.memory();
    const total = memory.weights + memory.keyValueCache + memory.activations + memory.other;
    assert.equal(total % 65536, 0);
    // 40 positions are rounded up to 64.
    assert.equal(memory.keyValueCache, 2 * 2 * 2 * 64 * 16 * 2);
  });

  it('a decode step: calls, bytes of weights, variants', async () => {
    const prepared = prepareCase(PROGRAM_CASES[3]!);
    const backend = await createWasmBackend({ threads: 1 });
    const profile = (await backend.compile(prepared.graph, prepared.options)).profile();
    assert.equal(profile.dispatchesPerToken, profile.kernels.length);
    assert.ok(profile.kernels.some(({ variant }) => variant.startsWith('linearQ4')));
    // Per layer: qkv 128 × 64, o 64 × 64, gate and up 192 × 64, down 64 × 96; the tied table 50 × 64; at 4.5 bits.
    const matrices = 2 * (128 * 64 + 64 * 64 + 192 * 64 + 64 * 96) + 50 * 64;
    const norms = 5 * 64 * 4;
    const embeddingRow = (64 * 4.5) / 8;
    assert.equal(profile.weightBytesPerToken, (matrices * 4.5) / 8 + norms + embeddingRow);
  });
});
