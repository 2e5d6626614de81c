// What a kernel is: bindings, WGSL text and a dispatch rule, all functions of a *variant*. A variant is plain data; written
// out it is the cache key of the pipeline and the label that a profiler shows.
//
// WGSL lives in `<name>.wgsl.ts` files that export functions from a variant to text. Not in `.wgsl` files: the bundler, the
// browsers' test server and Node would each need a loader of its own for those, and sizes, formats and tile shapes are text
// anyway, since array sizes and types cannot be `override` constants (Safari).

import { WpError } from '../../../errors.ts';
import type { DeviceProfile } from '../device-profile.ts';

export interface Binding {
  /** The name in the WGSL text. */
  name: string;
  access: 'uniform' | 'read' | 'write';
  /** The WGSL type. */
  type: string;
}

/** The sizes of one step: what dispatch counts and kernels depend on beside their variant. */
export interface StepSizes {
  tokens: number;
  past: number;
  outputs: number;
}

export type Workgroups = readonly [x: number, y: number, z: number];

export interface Variant {
  kernel: string;
}

/**
 * One compute entry point. `V` must hold strings, numbers and booleans only. Kernels whose text does not depend on the sizes
 * of their operands take these as `Shape`, through a uniform.
 */
export interface Kernel<V extends Variant, Shape = undefined> {
  name: V['kernel'];
  bindings(variant: V): readonly Binding[];
  /** Everything after the bindings: constants, workgroup memory, functions, `main`. */
  wgsl(variant: V): string;
  workgroups(variant: V, sizes: StepSizes, shape: Shape): Workgroups;
}

/** What any kernel and variant look like to a program that only runs them. */
export interface KernelInstance {
  readonly key: string;
  readonly bindings: readonly Binding[];
  code(): string;
  workgroups(sizes: StepSizes): Workgroups;
}

export function instantiate<V extends Variant, Shape>(
  kernel: Kernel<V, Shape>,
  variant: V,
  shape: Shape,
): KernelInstance {
  return {
    key: variantKey(variant),
    bindings: kernel.bindings(variant),
    code: () => kernelCode(kernel, variant),
    workgroups: (sizes) => kernel.workgroups(variant, sizes, shape),
  };
}

/** 'matvec format=q4g32 rows=896 …': the fields in the order in which the variant was written; undefined ones left out. */
export function variantKey(variant: Variant): string {
  const { kernel, ...fields } = variant;
  const parts = Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name}=${String(value)}`);
  return [kernel, ...parts].join(' ');
}

/** The uniform that every kernel sees at binding 0. */
const STEP = `struct Step {
  tokens: u32,
  past: u32,
  outputs: u32,
}
`;

export const STEP_BINDING: Binding = { name: 'step', access: 'uniform', type: 'Step' };
export const STEP_BYTES = 16;

function kernelCode<V extends Variant, Shape>(kernel: Kernel<V, Shape>, variant: V): string {
  const body = kernel.wgsl(variant);
  const enables: string[] = [];
  if (/\bf16\b/.test(body)) enables.push('enable f16;');
  if (/\bsubgroup\w*\(|subgroup_size/.test(body)) enables.push('enable subgroups;');
  // Subgroups of one workgroup multiply different parts: uniform in each of them, which the analysis does not know.
  if (/\bsubgroup_matrix_/.test(body)) {
    enables.push('enable chromium_experimental_subgroup_matrix;');
    enables.push('diagnostic(off, chromium.subgroup_matrix_uniformity);');
  }
  if (/\bdot4I8Packed\(/.test(body)) enables.push('requires packed_4x8_integer_dot_product;');
  const bindings = kernel.bindings(variant).map(bindingDeclaration);
  return [...enables, STEP, ...bindings, body].join('\n');
}

const ADDRESS_SPACES = { uniform: 'uniform', read: 'storage, read', write: 'storage, read_write' } as const;

function bindingDeclaration(binding: Binding, index: number): string {
  return `@group(0) @binding(${index}) var<${ADDRESS_SPACES[binding.access]}> ${binding.name}: ${binding.type};`;
}

/** Most devices allow 65,535 workgroups a dimension: larger counts are folded into y; kernels read `workgroupIndex`. */
const MAX_WORKGROUPS_X = 65_535;

export function spread(count: number): Workgroups {
  if (count <= MAX_WORKGROUPS_X) return [count, 1, 1];
  const y = Math.ceil(count / MAX_WORKGROUPS_X);
  return [Math.ceil(count / y), y, 1];
}

/** Text repeated for i = 0 … count − 1: loops that are written out, so that no driver has to be trusted to unroll. */
export function repeat(count: number, text: (index: number) => string, separator = '\n'): string {
  return Array.from({ length: count }, (_, index) => text(index)).join(separator);
}

/** A WGSL f32 literal. */
export function float(value: number): string {
  const text = String(value);
  return /[.e]/.test(text) ? `${text}f` : `${text}.0f`;
}

/** Throws `unsupported-operation` unless `value` is a multiple of `multiple`. */
export function requireMultiple(what: string, value: number, multiple: number): void {
  if (value % multiple === 0) return;
  throw new WpError(
    'unsupported-operation',
    `The WebGPU kernels need ${what} to be a multiple of ${multiple}; it is ${value}.`,
    'Run this model with backend: "wasm".',
    { actual: value, allowed: `a multiple of ${multiple}` },
  );
}

/** How partial sums of a workgroup's threads are put together. */
export type Reduction = 'subgroup' | 'workgroup';

export function reductionFor(profile: DeviceProfile): Reduction {
  return profile.subgroups ? 'subgroup' : 'workgroup';
}
