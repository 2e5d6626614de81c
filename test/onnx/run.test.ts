// Files through ONNX Runtime in Node: tensors in and out, results that stay, external data, and what is said when something is wrong.

import assert from 'node:assert/strict';
import { after, before, describe, it, mock } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { DeviceTensor, LoadProgress, Model, Tensor } from '../../runtime/index.ts';
import { BackendPool } from '../../runtime/host/backend-pool.ts';
import { load } from '../../runtime/host/load.ts';
import { loadDirectly } from '../support/load-directly.ts';
import { assertClose, failsWith, fixture, withFolder, x, y } from './fixtures.ts';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

describe('an ONNX file', () => {
  let model: Model;
  before(async () => {
    model = await loadDirectly(fixture('products.onnx'), {});
  });
  after(() => model.dispose());

  it('says what it takes and gives, and how it runs', () => {
    assert.deepEqual(model.info.onnx, {
      // A folder named onnx/ is a repository's: what belongs to the model lies above it.
      file: 'onnx/products.onnx',
      producer: 'make.py',
      opset: 17,
      inputs: [{ name: 'x', type: 'float32', dims: ['batch', 72] }],
      outputs: [{ name: 'y', type: 'float32', dims: ['batch', 64] }],
      provider: 'wasm',
    });
    assert.equal(model.info.parameters, 72 * 40 + 24 * 40 + 24 + 24 * 64);
    const { backend, precision, reasons } = model.info.plan;
    assert.deepEqual([backend, precision], ['wasm', 'f32']);
    assert.ok(reasons.some(({ reason }) => /There is no WebGPU/.test(reason)));
  });

  it('computes what onnxruntime computes', async () => {
    const outputs = await model.run({ x });
    assert.deepEqual(Object.keys(outputs), ['y']);
    assert.deepEqual(outputs['y']!.dims, y.dims);
    assertClose(outputs['y']!.data as Float32Array, y.data, 1e-5);
  });

  const wrong: [string, Record<string, unknown>, RegExp][] = [
    ['no inputs', {}, /"x" is missing.*x: float32 \[batch, 72\]/],
    ['an unknown one', { x, z: x }, /no input "z"/],
    ['a wrong type', { x: { ...x, type: 'int32', data: new Int32Array(216) } }, /type "int32".*float32/],
    ['a wrong rank', { x: { ...x, dims: [216] } }, /shape \[216\].*\[batch, 72\]/],
    ['a wrong size', { x: { ...x, dims: [2, 108] } }, /shape \[2, 108\]/],
    ['too few numbers', { x: { ...x, data: new Float32Array(10) } }, /10 numbers.*216/],
    ['another array', { x: { ...x, data: new Float64Array(216) } }, /Float64Array.*Float32Array/],
    ['dims that are none', { x: { ...x, dims: [3, -72] } }, /dims \[3,-72\]/],
    ['no tensor', { x: null }, /type undefined/],
    ['a result of nobody', { x: { type: 'float32', dims: [1, 72], device: 99 } }, /another model/],
  ];
  for (const [what, inputs, message] of wrong) {
    it(`refuses ${what}`, () => assert.rejects(model.run(inputs as never), failsWith('invalid-argument', message)));
  }

  it('refuses an unknown output, and what only other models do', async () => {
    await assert.rejects(model.run({ x }, { outputs: ['z'] }), failsWith('invalid-argument', /has: y/));
    await assert.rejects(model.embed('a'), failsWith('unsupported-operation', /can run/));
    await assert.rejects(
      model.chat([{ role: 'user', content: 'a' }]).next(),
      failsWith('unsupported-operation', /run/),
    );
    await assert.rejects(model.tokenize('a'), failsWith('unsupported-operation'));
  });

  it('aborts', async () => {
    const isAbort = (error: unknown): boolean => error instanceof Error && error.name === 'AbortError';
    await assert.rejects(model.run({ x }, { signal: AbortSignal.abort() }), isAbort);
    const controller = new AbortController();
    const running = model.run({ x }, { signal: controller.signal });
    controller.abort();
    await assert.rejects(running, isAbort);
    assertClose((await model.run({ x }))['y']!.data as Float32Array, y.data, 1e-5);
  });

  it('memory is flat over a thousand runs', async () => {
    const batch = 64;
    const data = Float32Array.from({ length: batch * 72 }, (_, i) => Math.sin(i));
    const inputs = { x: { type: 'float32', dims: [batch, 72], data } } as const;
    const bytes = async (): Promise<number> => {
      for (let i = 0; i < 2; i++) {
        collectGarbage();
        await setTimeout(10);
      }
      return process.memoryUsage().external;
    };
    for (let i = 0; i < 50; i++) await model.run(inputs);
    const first = await bytes();
    const grow = mock.method(WebAssembly.Memory.prototype, 'grow');
    for (let i = 0; i < 1000; i++) await model.run(inputs);
    grow.mock.restore();
    // Inputs and results that stayed would be 35 MB, here or in the runtime's own memory.
    const more = (await bytes()) - first;
    assert.ok(more < 3e6, `${more} bytes more`);
    const pages = grow.mock.calls.reduce((sum, call) => sum + Number(call.arguments[0]), 0);
    assert.ok(pages < 50, `${pages} pages more`);
  });

  it('a disposed one says so, and frees nothing of another', async () => {
    const other = await loadDirectly(fixture('products.onnx'), {});
    await other.dispose();
    await assert.rejects(other.run({ x }), failsWith('disposed'));
    assertClose((await model.run({ x }))['y']!.data as Float32Array, y.data, 1e-5);
  });
});

describe('results that stay on the device', () => {
  it('are inputs of the next run, can be read, and are freed', async () => {
    const model = await loadDirectly(fixture('counter.onnx'), {});
    const step: Tensor = { type: 'float32', dims: [2, 3], data: new Float32Array(6).fill(0.5) };
    let state: Tensor | DeviceTensor = { ...step, data: new Float32Array(6) };
    let count: Tensor = { type: 'int64', dims: [], data: new BigInt64Array([40n]) };
    let scaled: Tensor | DeviceTensor | undefined;
    for (let i = 0; i < 3; i++) {
      const result: Record<string, Tensor | DeviceTensor> = await model.run({ state, step, count }, { keep: ['next'] });
      if ('device' in state) await model.releaseTensor(state);
      state = result['next']!;
      count = result['counted'] as Tensor;
      scaled = result['scaled'];
    }
    assert.ok('device' in state);
    assert.deepEqual([state.type, state.dims], ['float32', [2, 3]]);
    assert.deepEqual([...((await model.readTensor(state)).data as Float32Array)], new Array(6).fill(1.5));
    assert.deepEqual([...((scaled as Tensor).data as Float32Array)], new Array(6).fill(3));
    assert.deepEqual([...(count.data as BigInt64Array)], [43n]);
    assert.equal((await model.memory()).actual.activations, 24);
    await model.releaseTensor(state);
    await model.releaseTensor(state);
    assert.equal((await model.memory()).actual.activations, 0);
    await assert.rejects(model.readTensor(state), failsWith('invalid-argument', /released/));
    // Each fits what the file declares; together they do not fit.
    const wider: Tensor = { type: 'float32', dims: [2, 4], data: new Float32Array(8) };
    await assert.rejects(model.run({ state: step, step: wider, count }), failsWith('invalid-argument', /each other/));
    await model.dispose();
  });
});

it('float16 goes in and comes out as its bits', async () => {
  const model = await loadDirectly(fixture('half.onnx'), {});
  const { wide } = await model.run({
    half: { type: 'float16', dims: [3], data: new Uint16Array([0x3c00, 0xc000, 0x3555]) },
  });
  assert.deepEqual([...(wide!.data as Float32Array)], [1, -2, Math.fround(0x555 / 0x1000)]);
  await model.dispose();
});

describe('weights in another file', () => {
  it('are found beside the model', async () => {
    const model = await loadDirectly(fixture('external.onnx'), {});
    assertClose((await model.run({ x }))['y']!.data as Float32Array, y.data, 1e-5);
    await model.dispose();
    assert.ok(model.info.plan.downloadBytes > 21_000);
  });

  it('missing, truncated or outside: it is said which', async () => {
    const files = { 'a.onnx': fixture('external.onnx') };
    await withFolder(files, (folder) =>
      assert.rejects(loadDirectly(`${folder}a.onnx`, {}), failsWith('not-found', /external\.onnx_data/)),
    );
    await withFolder({ ...files, 'external.onnx_data': fixture('counter.onnx') }, (folder) =>
      assert.rejects(loadDirectly(`${folder}a.onnx`, {}), failsWith('corrupt-file', /\d bytes.*needs 21/)),
    );
  });
});

describe('loading', () => {
  it('refuses what is not there, what is no ONNX file, and what does not fit', async () => {
    await assert.rejects(loadDirectly(fixture('nothing.onnx'), {}), failsWith('not-found', /nothing\.onnx/));
    await withFolder({ 'a.onnx': fixture('goldens.json') }, (folder) =>
      assert.rejects(loadDirectly(`${folder}a.onnx`, {}), failsWith('corrupt-file', /a\.onnx/)),
    );
    await assert.rejects(
      loadDirectly(fixture('products.onnx'), { memoryLimitBytes: 1000 }),
      failsWith('out-of-memory', /memoryLimitBytes/),
    );
    await assert.rejects(
      loadDirectly(fixture('products.onnx'), { backend: 'webgpu' }),
      failsWith('backend-unavailable', /WebGPU|webgpu/),
    );
  });

  it('says how far it is, and aborts between any two steps', async () => {
    const unsaid = { contextLength: undefined, threads: undefined, memoryLimitBytes: undefined, headers: undefined };
    const wishes = { embeddedBase: '', precision: 'auto', backend: 'auto', tuning: 'off', ...unsaid } as const;
    const request = { source: fixture('external.onnx'), ...wishes };
    const phases: string[] = [];
    const attempt = (abortAt: string): ReturnType<typeof load> => {
      const controller = new AbortController();
      const onProgress = (progress: LoadProgress): void => {
        if (phases.at(-1) !== progress.phase) phases.push(progress.phase);
        if (progress.phase === abortAt) controller.abort();
      };
      const backends = new BackendPool();
      return load(request, { backends, signal: controller.signal, onProgress });
    };
    const model = await attempt('never');
    assert.deepEqual(phases, ['resolving', 'downloading', 'compiling', 'ready']);
    await model.dispose();
    for (const phase of ['resolving', 'downloading', 'compiling'])
      await assert.rejects(attempt(phase), { name: 'AbortError' }, phase);
  });

  it('a folder of neither kind says what it lacked first', () =>
    withFolder({ 'config.json': fixture('../sentences/embedder/config.json') }, (folder) =>
      assert.rejects(loadDirectly(folder, {}), failsWith('not-found', /model\.safetensors/)),
    ));
});
