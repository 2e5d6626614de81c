// One kernel, its operands and what they must become. The same list serves the tests and benches that time kernels.

import { deviceMatrix } from '../../runtime/backends/webgpu/device-matrix.ts';
import type { DeviceProfile } from '../../runtime/backends/webgpu/device-profile.ts';
import {
  instantiate,
  type Kernel,
  type KernelInstance,
  type Reduction,
  type StepSizes,
  type Variant,
} from '../../runtime/backends/webgpu/kernels/kernel.ts';
import type { ReferenceContext, Tensor } from '../../runtime/ops/operation.ts';
import { toF16 } from '../../runtime/half.ts';
import {
  codeBits,
  formatBytes,
  type FormatName,
  FORMATS,
  isQuantized,
  type PackedMatrix,
  type QuantFormat,
} from '../../runtime/quantization/formats.ts';
import { packMatrix, unpackMatrix } from '../../runtime/quantization/pack.ts';
import type { Random } from '../support/random.ts';

export type Numbers = Float32Array | Int32Array | Uint32Array | Uint16Array | Uint8Array;

export type Operand =
  | { input: Numbers }
  /** Poisoned before the run; after it each number within `tolerance` × the root of the mean square of all. NaN: unwritten. */
  | { output: Float32Array; tolerance: number }
  /** Halves that are there before, and what they must be after; one unit in the last place is allowed. */
  | { halvesBefore: Uint16Array; halvesAfter: Uint16Array };

export interface PreparedKernel {
  kernel: KernelInstance;
  sizes: StepSizes;
  /** Of every binding after the step's uniform, in order. */
  operands: readonly Operand[];
}

export interface KernelCase {
  name: string;
  /** Why a device cannot run it, or undefined. */
  unsupported?(profile: DeviceProfile): string | undefined;
  prepare(random: Random): PreparedKernel;
}

export function prepared<V extends Variant, Shape>(
  kernel: Kernel<V, Shape>,
  variant: V,
  shape: Shape,
  sizes: Partial<StepSizes>,
  operands: readonly Operand[],
): PreparedKernel {
  return { kernel: instantiate(kernel, variant, shape), sizes: { tokens: 1, past: 0, outputs: 1, ...sizes }, operands };
}

export const REDUCTIONS: readonly Reduction[] = ['subgroup', 'workgroup'];

export function needsSubgroups(reduction: Reduction): KernelCase['unsupported'] {
  return ({ subgroups }) => (reduction === 'subgroup' && !subgroups ? 'this device has no subgroups' : undefined);
}

/** Of a sum of products in f32, whatever the format: both sides see the same dequantised weights. */
export const SUM_TOLERANCE = 2e-5;

export interface TestMatrix {
  packed: PackedMatrix;
  /** Dequantised: what the reference sees. */
  tensor: Tensor;
}

/** Of quantised formats with any codes whatever: every byte pattern is a weight. */
export function randomMatrix(random: Random, name: FormatName, rows: number, columns: number): TestMatrix {
  const format = FORMATS[name];
  const packed = isQuantized(format)
    ? randomCodes(random, format, rows, columns)
    : packMatrix(random.floats(rows * columns, 1), rows, columns, format);
  return { packed, tensor: { shape: [rows, columns], data: unpackMatrix(packed) } };
}

function randomCodes(random: Random, format: QuantFormat, rows: number, columns: number): PackedMatrix {
  const bytes = (count: number): Uint8Array => Uint8Array.from({ length: count }, () => random.integer(0, 255));
  const sizes = formatBytes(format, rows, columns);
  // So large that weights come to about one.
  const amplitude = 2 ** (1 - codeBits(format)) / (format.scale === 'f16' ? 1 : 2 ** (format.scale.bits - 2));
  return {
    format,
    rows,
    columns,
    planes: sizes.planes.map(bytes),
    scales: toF16(random.floats(sizes.scales / 2, amplitude)),
    minimums: toF16(random.floats(sizes.minimums / 2, amplitude)),
    ...(sizes.scaleCodes > 0 && { scaleCodes: bytes(sizes.scaleCodes) }),
  };
}

/** The operands of a matrix's rows first … first + count − 1, as the weight store cuts them. */
export function matrixOperands({ packed }: TestMatrix, first = 0, count = packed.rows): Operand[] {
  const { planes, scales } = deviceMatrix(packed, first, count);
  return [...planes, ...(scales ? [scales] : [])].map((part) => ({ input: part as Numbers }));
}

export function tensorOf(data: Float32Array | Int32Array, ...shape: number[]): Tensor {
  return { shape, data };
}

/** A reference context over named tensors, for one operation. */
export function context(tensors: Record<string, Tensor>, past = 0): ReferenceContext {
  const get = (name: string): Tensor => tensors[name]!;
  return { weight: get, state: get, past };
}
