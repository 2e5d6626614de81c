// The compiled kernels: which of the two builds this engine takes, and an instance over a program's memory.

import { WpError } from '../../errors.ts';
import type { Kernels } from './tape.ts';

export type KernelBuild = 'relaxed' | 'plain';

/** Joins two planes whose words are interleaved; `blocks` are of 4 rows × 32 columns. */
type Fold = (high: number, low: number, out: number, blocks: number) => void;

/** Repacking: checkpoint order to kernel order (assembly/repack.ts, fold.ts). */
export interface Repacking {
  interleaveWords(source: number, out: number, rows: number, words: number): void;
  interleaveHalves(source: number, out: number, rows: number, halves: number): void;
  largestHalf(source: number, count: number): number;
  scaleHalves(address: number, count: number, factor: number): void;
  fold3: Fold;
  fold5: Fold;
  fold6: Fold;
}

export type KernelExports = Kernels & Repacking;

/** The bytes of a module that travels as text. */
export function decodeModule(base64: string): Uint8Array<ArrayBuffer> {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  // A loop: Uint8Array.from takes ten times as long, and a page waits for it.
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

/** Each build is a chunk of its own: only the one that runs is fetched. */
async function kernelBytes(build: KernelBuild): Promise<Uint8Array<ArrayBuffer>> {
  const { kernels } = await (build === 'relaxed'
    ? import('./kernels-relaxed.generated.ts')
    : import('./kernels-plain.generated.ts'));
  return decodeModule(kernels);
}

/** A module of one function, () → i32x4.splat(0)'s lane 0, which needs SIMD. */
function hasSimd(): boolean {
  // prettier-ignore
  return WebAssembly.validate(new Uint8Array([
    0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00,
    0x01, 0x05, 0x01, 0x60, 0x00, 0x01, 0x7f, // type: () → i32
    0x03, 0x02, 0x01, 0x00, // function 0 has type 0
    0x0a, 0x0b, 0x01, 0x09, 0x00, 0x41, 0x00, 0xfd, 0x11, 0xfd, 0x1b, 0x00, 0x0b, // i32.const 0, splat, extract_lane 0
  ]));
}

/**
 * Whether the engine's relaxed dot product is the one of the standard. Early ones behind a flag (Node 20's) are not: they
 * validate, and return twice the sum. The module exports (a: i32, b: i32) → lane 0 of
 * i32x4.relaxed_dot_i8x16_i7x16_add_s(i8x16.splat(a), i8x16.splat(b), i32x4.splat(0)).
 */
function hasSoundRelaxedDot(): boolean {
  // prettier-ignore
  const body = [
    0x00, // no locals
    0x20, 0x00, 0xfd, 0x0f, // local.get 0, i8x16.splat
    0x20, 0x01, 0xfd, 0x0f, // local.get 1, i8x16.splat
    0x41, 0x00, 0xfd, 0x11, // i32.const 0, i32x4.splat
    0xfd, 0x93, 0x02, // i32x4.relaxed_dot_i8x16_i7x16_add_s
    0xfd, 0x1b, 0x00, // i32x4.extract_lane 0
    0x0b,
  ];
  // prettier-ignore
  const bytes = new Uint8Array([
    0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00,
    0x01, 0x07, 0x01, 0x60, 0x02, 0x7f, 0x7f, 0x01, 0x7f, // type: (i32, i32) → i32
    0x03, 0x02, 0x01, 0x00, // function 0 has type 0
    0x07, 0x05, 0x01, 0x01, 0x66, 0x00, 0x00, // export "f"
    0x0a, body.length + 2, 0x01, body.length, ...body,
  ]);
  if (!WebAssembly.validate(bytes)) return false;
  const { f } = new WebAssembly.Instance(new WebAssembly.Module(bytes)).exports as {
    f: (a: number, b: number) => number;
  };
  return f(-3, 5) === -60 && f(-128, 127) === -65024 && f(127, 127) === 64516;
}

/**
 * The build for this engine: relaxed SIMD where the engine takes it and computes soundly.
 * Throws `backend-unavailable` when the engine takes neither, or not the one that was asked for.
 */
export function chooseBuild(relaxedSimd: boolean | 'auto'): KernelBuild {
  if (typeof WebAssembly !== 'object') {
    throw new WpError('backend-unavailable', 'This engine has no WebAssembly.', 'Use a newer browser.');
  }
  if (relaxedSimd !== false && hasSoundRelaxedDot()) return 'relaxed';
  if (relaxedSimd === true) {
    throw new WpError(
      'backend-unavailable',
      'This engine has no (sound) relaxed SIMD for WebAssembly.',
      'Leave `relaxedSimd` out: the plain kernels give the same answers more slowly.',
    );
  }
  if (hasSimd()) return 'plain';
  throw new WpError(
    'backend-unavailable',
    'This engine has no SIMD for WebAssembly.',
    'Browsers have had it since Chrome 91, Firefox 89 and Safari 16.4: use a newer one.',
  );
}

/**
 * Marks the module's memory import as shared: the instructions are the same, so one build serves both kinds of memory.
 * The flag is the byte after "env" "memory" and the kind 2: 1 is "has a maximum", 3 "has a maximum and is shared".
 */
export function withSharedMemory(bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const name = [...'\x03env\x06memory\x02\x01'].map((character) => character.charCodeAt(0));
  const at = bytes.findIndex((_, i) => name.every((byte, j) => bytes[i + j] === byte));
  if (at < 0) throw new WpError('internal', 'The WASM kernels do not import a memory with a maximum.');
  const copy = bytes.slice();
  copy[at + name.length - 1] = 3;
  return copy;
}

/** Compiles a module's bytes for a memory of its own or a shared one. */
export async function compileModule(bytes: Uint8Array<ArrayBuffer>, isShared: boolean): Promise<WebAssembly.Module> {
  return WebAssembly.compile(isShared ? withSharedMemory(bytes) : bytes);
}

export async function compileKernels(build: KernelBuild, isShared: boolean): Promise<WebAssembly.Module> {
  return compileModule(await kernelBytes(build), isShared);
}

/** The kernels of one module or several, over one memory: they keep nothing in it. */
export async function instantiateKernels(
  modules: readonly WebAssembly.Module[],
  memory: WebAssembly.Memory,
): Promise<KernelExports> {
  const instances = await Promise.all(modules.map((module) => WebAssembly.instantiate(module, { env: { memory } })));
  return Object.assign({}, ...instances.map(({ exports }) => exports)) as KernelExports;
}
