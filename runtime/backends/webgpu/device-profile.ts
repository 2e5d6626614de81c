// What kernels may rely on, as plain data: taken once from an adapter, passed to the ladder, written into tests. Nothing
// below device.ts asks the GPU object itself what it can do.

import type { BrowserKernelProfile } from './browser-profiles.ts';

export interface SubgroupSizes {
  /** The driver may choose any power of two from min to max for each pipeline. */
  min: number;
  max: number;
}

export interface DeviceProfile {
  /** Undefined where the device has no subgroup operations. */
  subgroups: SubgroupSizes | undefined;
  /** `enable f16;` may be written. Packing with pack2x16float needs no feature. */
  shaderF16: boolean;
  /** Experimental subgroup matrices of 16 × 16 f16 with f32 sums are there, and every subgroup has 32 threads. */
  subgroupMatrix: boolean;
  /** Dot products of four signed bytes are in the language, and in hardware as far as one can tell. */
  integerDots: boolean;
  timestamps: boolean;
  /** The adapter is a program on the processor: SwiftShader, lavapipe, WARP. */
  isSoftware: boolean;
  /** The most bytes that one storage binding can show to a kernel. */
  maxStorageBindingBytes: number;
  maxBufferBytes: number;
  maxWorkgroupStorageBytes: number;
  /** Storage buffers that one kernel may bind. */
  maxStorageBuffers: number;
  maxInvocationsPerWorkgroup: number;
  /** Workgroups along one dimension of a dispatch. */
  maxWorkgroupsPerDimension: number;
  browser: BrowserKernelProfile;
  /** What was measured to be faster here than what the ladder has: see tuning/. */
  tuned?: TunedChoices | undefined;
}

/** Fields of a kernel's configuration, by the key that the ladder asks for: kernel, format and shape. */
export interface TunedChoices {
  get(key: string, standard: object): object | undefined;
}

/** Whether a workgroup of so many threads with so many bytes of its own memory can be had. */
export function fitsWorkgroup(profile: DeviceProfile, bytes: number, threads: number): boolean {
  return bytes <= profile.maxWorkgroupStorageBytes && threads <= profile.maxInvocationsPerWorkgroup;
}

/** The profile of a device; features count only when the device was created with them. */
export function deviceProfile(
  device: GPUDevice,
  info: GPUAdapterInfo,
  languageFeatures: ReadonlySet<string>,
  browser: BrowserKernelProfile,
): DeviceProfile {
  const { features, limits } = device;
  return {
    subgroups: features.has('subgroups') ? subgroupSizes(info) : undefined,
    shaderF16: features.has('shader-f16'),
    subgroupMatrix: features.has('chromium-experimental-subgroup-matrix') && hasMatrices(info),
    // Where the hardware has none, browsers write them out: Apple's GPUs are faster with halves.
    integerDots: languageFeatures.has('packed_4x8_integer_dot_product') && info.vendor !== 'apple',
    timestamps: features.has('timestamp-query'),
    isSoftware: isSoftwareAdapter(info),
    maxStorageBindingBytes: limits.maxStorageBufferBindingSize,
    maxBufferBytes: limits.maxBufferSize,
    maxStorageBuffers: limits.maxStorageBuffersPerShaderStage,
    maxWorkgroupStorageBytes: limits.maxComputeWorkgroupStorageSize,
    maxInvocationsPerWorkgroup: limits.maxComputeInvocationsPerWorkgroup,
    maxWorkgroupsPerDimension: limits.maxComputeWorkgroupsPerDimension,
    browser,
  };
}

interface SubgroupMatrixConfig {
  componentType: string;
  resultComponentType: string;
  M: number;
  N: number;
  K: number;
}

// Not in the types' list yet.
type MatrixInfo = GPUAdapterInfo & { readonly subgroupMatrixConfigs?: Iterable<SubgroupMatrixConfig> };

function hasMatrices({ subgroupMinSize, subgroupMaxSize, subgroupMatrixConfigs = [] }: MatrixInfo): boolean {
  return (
    subgroupMinSize === 32 &&
    subgroupMaxSize === 32 &&
    [...subgroupMatrixConfigs].some(
      ({ componentType, resultComponentType, M, N, K }) =>
        componentType === 'f16' && resultComponentType === 'f32' && M === 16 && N === 16 && K === 16,
    )
  );
}

// The limits of the specification: what is assumed of an adapter that has subgroups and does not tell their size.
const SPECIFIED_SUBGROUP_SIZES: SubgroupSizes = { min: 4, max: 128 };

function subgroupSizes(info: GPUAdapterInfo): SubgroupSizes {
  if (!info.subgroupMinSize || !info.subgroupMaxSize) return SPECIFIED_SUBGROUP_SIZES;
  return { min: info.subgroupMinSize, max: info.subgroupMaxSize };
}

const SOFTWARE_NAMES = /swiftshader|llvmpipe|lavapipe|basic render|warp/i;

// isFallbackAdapter is what the specification has for it; Chromium leaves it false for a SwiftShader that was asked for.
function isSoftwareAdapter({ isFallbackAdapter, architecture, description, device }: GPUAdapterInfo): boolean {
  return isFallbackAdapter || [architecture, description, device].some((name) => SOFTWARE_NAMES.test(name));
}
