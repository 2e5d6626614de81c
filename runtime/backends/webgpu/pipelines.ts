// Compiled pipelines, one for each distinct variant, all compiling at the same time. A pipeline belongs to the device, so
// programs of the same backend share them: a second model of the same shape compiles nothing.

import { WpError } from '../../errors.ts';
import type { Binding, KernelInstance } from './kernels/kernel.ts';

export class PipelineCache {
  readonly #device: GPUDevice;
  readonly #pipelines = new Map<string, Promise<GPUComputePipeline>>();
  readonly #layouts = new Map<string, GPUBindGroupLayout>();

  constructor(device: GPUDevice) {
    this.#device = device;
  }

  /** Rejects with `shader-compilation`, or `device-lost`'s cause from the browser. */
  get(kernel: KernelInstance): Promise<GPUComputePipeline> {
    let pipeline = this.#pipelines.get(kernel.key);
    if (!pipeline) {
      pipeline = this.#compile(kernel);
      this.#pipelines.set(kernel.key, pipeline);
    }
    return pipeline;
  }

  /** Those that hold the pipeline keep it. */
  forget({ key }: KernelInstance): void {
    this.#pipelines.delete(key);
  }

  /** Explicit layouts, so that a binding which a variant happens not to use still has its place. */
  layout(bindings: readonly Binding[]): GPUBindGroupLayout {
    const key = bindings.map(({ access }) => access).join(' ');
    let layout = this.#layouts.get(key);
    if (!layout) {
      layout = this.#device.createBindGroupLayout({
        label: key,
        entries: bindings.map(({ access }, binding) => ({
          binding,
          visibility: GPUShaderStage.COMPUTE,
          buffer: { type: BUFFER_TYPES[access] },
        })),
      });
      this.#layouts.set(key, layout);
    }
    return layout;
  }

  async #compile(kernel: KernelInstance): Promise<GPUComputePipeline> {
    const device = this.#device;
    device.pushErrorScope('validation');
    const module = device.createShaderModule({ label: kernel.key, code: kernel.code() });
    const invalid = device.popErrorScope();
    const layout = device.createPipelineLayout({ bindGroupLayouts: [this.layout(kernel.bindings)] });
    try {
      const pipeline = device.createComputePipelineAsync({
        label: kernel.key,
        layout,
        compute: { module, entryPoint: 'main' },
      });
      await invalid;
      return await pipeline;
    } catch (error) {
      throw await compilationError(kernel, module, error);
    }
  }
}

const BUFFER_TYPES = { uniform: 'uniform', read: 'read-only-storage', write: 'storage' } as const;

async function compilationError(kernel: KernelInstance, module: GPUShaderModule, error: unknown): Promise<WpError> {
  const { messages } = await module.getCompilationInfo();
  const texts = messages.map(({ type, lineNum, message }) => `${type} at line ${lineNum}: ${message}`);
  const reason = texts.length > 0 ? texts.join('; ') : String(error);
  return new WpError(
    'shader-compilation',
    `The shader "${kernel.key}" did not compile on this device: ${reason}`,
    'Run this model with backend: "wasm", and please report this message with the name of the GPU and the browser.',
    { kernel: kernel.key },
    { cause: error },
  );
}
