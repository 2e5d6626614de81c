// The WebGPU backend: asks for the adapter and a device with all the limits that the adapter has, and compiles programs.

import { WpError } from '../../errors.ts';
import type { Graph } from '../../graph/types.ts';
import { hasScaleCodes } from '../../quantization/formats.ts';
import type { Backend, CompileOptions, EncoderCompileOptions, EncoderProgram } from '../backend.ts';
import { BROWSER_PROFILES, type BrowserEngine, browserEngine } from './browser-profiles.ts';
import { type DeviceProfile, deviceProfile } from './device-profile.ts';
import { DeviceWatch } from './device-watch.ts';
import { integerKernels } from './integer-kernels.ts';
import { matmulIntegerConfiguration } from './ladder.ts';
import { matrixKernels } from './matrix-kernels.ts';
import { matvecIntegerKernels } from './matvec-integer-kernels.ts';
import { PipelineCache } from './pipelines.ts';
import { WebGpuProgram } from './program.ts';
import { twoLevelScales } from './two-level-scales.ts';

export interface WebGpuBackendOptions {
  /** Default `high-performance`: on laptops with two GPUs the fast one. */
  powerPreference?: GPUPowerPreference | undefined;
  /** The implementation; default `navigator.gpu`. Node has one in the package `webgpu`. */
  gpu?: GPU | undefined;
  /** The kernels' starting points; default by the user agent. */
  browser?: BrowserEngine | undefined;
  /** Leave features unused that the adapter has, to run the kernels that other devices get. */
  withoutFeatures?: readonly GPUFeatureName[] | undefined;
  /** Pretend that a storage binding shows no more bytes than this. */
  maxStorageBindingBytes?: number | undefined;
}

/** Names that are not all in the types' list yet. */
const WANTED_FEATURES = ['shader-f16', 'subgroups', 'timestamp-query', 'chromium-experimental-subgroup-matrix'];

const WANTED_LIMITS = [
  'maxBufferSize',
  'maxStorageBufferBindingSize',
  'maxStorageBuffersPerShaderStage',
  'maxComputeWorkgroupStorageSize',
  'maxComputeInvocationsPerWorkgroup',
  'maxComputeWorkgroupSizeX',
] as const satisfies readonly (keyof GPUSupportedLimits)[];

/** A backend on a device of its own. Rejects with `backend-unavailable` and the reason. */
export async function createWebGpuBackend(options: WebGpuBackendOptions = {}): Promise<WebGpuBackend> {
  const gpu = options.gpu ?? globalThis.navigator?.gpu;
  if (!gpu) throw unavailable('this browser has no WebGPU (navigator.gpu is missing)');
  const adapter = await gpu.requestAdapter({ powerPreference: options.powerPreference ?? 'high-performance' });
  if (!adapter) throw unavailable('the browser offers no GPU adapter');
  const device = await requestDevice(adapter, options.withoutFeatures ?? []);
  const engine = options.browser ?? browserEngine(globalThis.navigator?.userAgent ?? '');
  // Implementations that are no browsers may lack the set.
  const languageFeatures: ReadonlySet<string> = gpu.wgslLanguageFeatures ?? new Set();
  const offered = deviceProfile(device, adapter.info, languageFeatures, BROWSER_PROFILES[engine]);
  const hasMatrices = offered.subgroupMatrix && (await areMatricesValid(device));
  if (matmulIntegerConfiguration(offered, 'q8g32')) await integerKernels.load();
  if (offered.integerDots && !offered.isSoftware) await matvecIntegerKernels.load();
  const profile = { ...offered, subgroupMatrix: hasMatrices };
  const maxStorageBindingBytes = Math.min(
    profile.maxStorageBindingBytes,
    options.maxStorageBindingBytes ?? profile.maxStorageBindingBytes,
  );
  const { vendor, architecture, device: model, description } = adapter.info;
  // Browsers do not tell the driver's version, but some write it into the description.
  const identity = [vendor, architecture, model, description, ...device.features].filter(Boolean).join(' ');
  return new WebGpuBackend(device, { ...profile, maxStorageBindingBytes }, describe(adapter.info), identity);
}

export class WebGpuBackend implements Backend {
  readonly name = 'webgpu';
  readonly lost: Promise<{ message: string }>;
  readonly tuning: { adapter: string; isSoftware: boolean };
  readonly #watch: DeviceWatch;
  readonly #pipelines: PipelineCache;
  readonly #programs = new Set<Pick<WebGpuProgram, 'isDisposed' | 'dispose'>>();

  constructor(
    /** Owned: disposed of with the backend. */
    readonly device: GPUDevice,
    readonly profile: DeviceProfile,
    readonly description: string,
    adapter = '',
  ) {
    this.tuning = { adapter, isSoftware: profile.isSoftware };
    this.#watch = new DeviceWatch(device);
    this.#pipelines = new PipelineCache(device);
    this.lost = this.#watch.lost;
  }

  async compile(graph: Graph, options: CompileOptions): Promise<WebGpuProgram> {
    this.#watch.check();
    if ([...options.formats.values()].some(hasScaleCodes)) await twoLevelScales.load();
    const tuned = options.tuned && (await import('./tuning/candidates.ts')).validChoices(this.profile, options.tuned);
    const program = new WebGpuProgram(
      this.device,
      { ...this.profile, tuned },
      this.#watch,
      this.#pipelines,
      graph,
      options,
    );
    for (const other of this.#programs) if (other.isDisposed) this.#programs.delete(other);
    this.#programs.add(program);
    try {
      await program.allocate();
    } catch (error) {
      program.dispose();
      throw error;
    }
    return program;
  }

  /** The encoders' kernels and their program are a chunk of their own: a chat does not fetch them. */
  async compileEncoder(graph: Graph, options: EncoderCompileOptions): Promise<EncoderProgram> {
    this.#watch.check();
    if ([...options.formats.values()].some(hasScaleCodes)) await twoLevelScales.load();
    const { WebGpuEncoderProgram } = await import('./encoder/program.ts');
    const on = { device: this.device, profile: this.profile, watch: this.#watch, pipelines: this.#pipelines };
    const program = new WebGpuEncoderProgram(on, graph, options);
    for (const other of this.#programs) if (other.isDisposed) this.#programs.delete(other);
    this.#programs.add(program);
    try {
      await program.allocate();
    } catch (error) {
      program.dispose();
      throw error;
    }
    return program;
  }

  dispose(): void {
    for (const program of this.#programs) program.dispose();
    this.#programs.clear();
    this.#watch.expectLoss();
    this.device.destroy();
  }
}

async function requestDevice(adapter: GPUAdapter, without: readonly string[]): Promise<GPUDevice> {
  const requiredFeatures = WANTED_FEATURES.filter(
    (name) => adapter.features.has(name) && !without.includes(name),
  ) as GPUFeatureName[];
  const requiredLimits = Object.fromEntries(WANTED_LIMITS.map((name) => [name, adapter.limits[name]]));
  try {
    return await adapter.requestDevice({ requiredFeatures, requiredLimits });
  } catch (error) {
    throw unavailable(`the GPU gave no device (${error instanceof Error ? error.message : String(error)})`);
  }
}

async function areMatricesValid(device: GPUDevice): Promise<boolean> {
  const { matrixProbe, attentionProbe } = await matrixKernels.load();
  return (await isValid(device, matrixProbe())) && (await isValid(device, attentionProbe()));
}

/** True of WGSL that this browser's compiler takes. */
async function isValid(device: GPUDevice, code: string): Promise<boolean> {
  device.pushErrorScope('validation');
  device.createShaderModule({ code });
  return (await device.popErrorScope()) === null;
}

function unavailable(reason: string): WpError {
  return new WpError(
    'backend-unavailable',
    `WebGPU cannot be used: ${reason}.`,
    'Use backend: "wasm", or a browser and device with WebGPU.',
    { reason },
  );
}

function describe({ vendor, architecture, description, isFallbackAdapter }: GPUAdapterInfo): string {
  const name = description || [vendor, architecture].filter(Boolean).join(' ') || 'unnamed adapter';
  return `WebGPU on ${name}${isFallbackAdapter ? ' (software)' : ''}`;
}
