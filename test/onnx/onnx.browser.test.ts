// ONNX files in a browser: the worker, the runtime that it fetches, WebAssembly and WebGPU, and what stays on the device.

import { expect } from '@esm-bundle/chai';
import { loadModel, WpError, type DeviceTensor, type Model, type Tensor } from '../../runtime/index.ts';
import { detectCapabilities } from '../../runtime/client.ts';
import { loadDirectly } from '../support/load-directly.ts';
import { skip } from '../support/skip.ts';

const folder = new URL('../fixtures/onnx/', import.meta.url).href;

interface Goldens {
  products: Record<'inputs' | 'outputs', Record<string, { dims: number[]; data: number[] }>>;
}

const readGoldens = async (): Promise<Goldens> => (await (await fetch(`${folder}goldens.json`)).json()) as Goldens;

async function runProducts(backend: 'webgpu' | 'wasm', precision: '2bit' | '4bit'): Promise<Float32Array> {
  const model = await loadModel(`${folder}products.onnx`, { backend, precision });
  expect([model.info.onnx!.provider, model.info.plan.precision]).to.deep.equal([backend, precision]);
  const { dims, data } = (await readGoldens()).products.inputs['x']!;
  const { y } = await model.run({ x: { type: 'float32', dims, data: Float32Array.from(data) } });
  await model.dispose();
  return y!.data as Float32Array;
}

/** products.onnx against what onnxruntime computed. */
async function expectProducts(model: Model, tolerance: number): Promise<void> {
  const { products } = await readGoldens();
  const { dims, data } = products.inputs['x']!;
  const { y } = await model.run({ x: { type: 'float32', dims, data: Float32Array.from(data) } });
  expect(y!.dims).to.deep.equal(products.outputs['y']!.dims);
  const numbers = y!.data as Float32Array;
  const largest = products.outputs['y']!.data.reduce(
    (most, number, i) => Math.max(most, Math.abs(number - numbers[i]!)),
    0,
  );
  expect(largest).to.be.below(tolerance);
}

/** The state of counter.onnx goes round twice without coming to the page. */
async function expectKept(model: Model): Promise<void> {
  const step: Tensor = { type: 'float32', dims: [2, 3], data: new Float32Array(6).fill(0.5) };
  const count: Tensor = { type: 'int64', dims: [], data: new BigInt64Array([40n]) };
  const first = await model.run({ state: step, step, count }, { keep: ['next'] });
  const state = first['next'] as DeviceTensor;
  expect(state).to.have.property('device');
  const second = await model.run({ state, step, count });
  await model.releaseTensor(state);
  expect([...(second['scaled']!.data as Float32Array)]).to.deep.equal(new Array(6).fill(3));
  expect([...(second['counted']!.data as BigInt64Array)]).to.deep.equal([41n]);
}

describe('ONNX files', () => {
  it('WebAssembly: tensors, external data, fewer bits, kept results', async () => {
    const model = await loadModel(`${folder}external.onnx`, { backend: 'wasm' });
    expect(model.info.onnx!.provider).to.equal('wasm');
    await expectProducts(model, 1e-5);
    await model.dispose();
    const small = await loadModel(`${folder}products.onnx`, { backend: 'wasm', precision: '8bit' });
    expect(small.info.plan.precision).to.equal('8bit');
    await expectProducts(small, 0.05);
    await small.dispose();
    const counter = await loadModel(`${folder}counter.onnx`, { backend: 'wasm' });
    await expectKept(counter);
    await counter.dispose();
  });

  it('files that a person dropped: classes of a picture', async () => {
    const read = async (path: string, name: string): Promise<File> =>
      new File([await (await fetch(new URL(path, folder))).blob()], name);
    const model = await loadModel(
      await Promise.all([
        read('vit.onnx', 'model.onnx'),
        read('../vision/vit/config.json', 'config.json'),
        read('../vision/vit/preprocessor_config.json', 'preprocessor_config.json'),
      ]),
      { backend: 'wasm' },
    );
    const [classes] = await model.classify({ data: new Uint8Array(16 * 16 * 3).fill(90), width: 16, height: 16 });
    expect(classes!.map(({ label }) => label)).to.have.members(['harbour', 'loaf of bread', 'violin']);
    expect(classes!.reduce((sum, { score }) => sum + score, 0)).to.be.closeTo(1, 1e-5);
    await model.dispose();
  });

  it('wrong inputs and files reach the page as WpErrors', async () => {
    const fails = async (work: Promise<unknown>, code: string): Promise<void> => {
      const error: unknown = await work.catch((thrown: unknown) => thrown);
      expect(error).to.be.instanceOf(WpError);
      expect((error as WpError).code).to.equal(code);
    };
    const model = await loadModel(`${folder}counter.onnx`, { backend: 'wasm' });
    await fails(model.run({}), 'invalid-argument');
    await fails(model.run({ state: (() => 1) as never }), 'invalid-argument');
    await model.dispose();
    await fails(loadModel(`${folder}nothing.onnx`), 'not-found');
    const { webgpu } = await detectCapabilities();
    if (webgpu.available && !webgpu.features.includes('shader-f16')) {
      await fails(loadModel(`${folder}half.onnx`, { backend: 'webgpu' }), 'backend-unavailable');
    }
  });

  it('WebGPU: products of f32, 2 and 4 bits, results that stay in its memory', async function () {
    this.timeout(180_000);
    const { webgpu } = await detectCapabilities();
    if (!webgpu.available) skip(this, webgpu.reason);
    const model = await loadModel(`${folder}products.onnx`, { backend: 'webgpu' });
    expect(model.info.onnx!.provider).to.equal('webgpu');
    await expectProducts(model, 1e-4);
    await model.dispose();
    for (const precision of ['2bit', '4bit'] as const) {
      // The same codes: no more between them than between two ways to add.
      const [onGpu, onCpu] = [await runProducts('webgpu', precision), await runProducts('wasm', precision)];
      const furthest = onGpu.reduce((most, number, i) => Math.max(most, Math.abs(number - onCpu[i]!)), 0);
      expect(furthest, precision).to.be.below(1e-4);
    }
    const counter = await loadModel(`${folder}counter.onnx`, { backend: 'webgpu' });
    await expectKept(counter);
    await counter.dispose();
  });

  it('WebGPU: runs leave no buffers behind, a disposed model none at all', async function () {
    this.timeout(120_000);
    const { webgpu } = await detectCapabilities();
    if (!webgpu.available) skip(this, webgpu.reason);
    const sizes = new Map<GPUBuffer, number>();
    const bytes = (): number => [...sizes.values()].reduce((sum, size) => sum + size, 0);
    const { createBuffer } = GPUDevice.prototype;
    const { destroy } = GPUBuffer.prototype;
    GPUDevice.prototype.createBuffer = function (descriptor) {
      const buffer = createBuffer.call(this, descriptor);
      sizes.set(buffer, descriptor.size);
      return buffer;
    };
    GPUBuffer.prototype.destroy = function () {
      sizes.delete(this);
      return destroy.call(this);
    };
    try {
      const model = await loadDirectly(`${folder}products.onnx`, { backend: 'webgpu' });
      const x: Tensor = { type: 'float32', dims: [64, 72], data: new Float32Array(64 * 72).fill(0.1) };
      for (let i = 0; i < 20; i++) await model.run({ x });
      const before = bytes();
      expect(before).to.be.above(0);
      for (let i = 0; i < 200; i++) await model.run({ x });
      expect(bytes()).to.equal(before);
      await model.dispose();
      expect(bytes()).to.equal(0);
    } finally {
      GPUDevice.prototype.createBuffer = createBuffer;
      GPUBuffer.prototype.destroy = destroy;
    }
  });
});
