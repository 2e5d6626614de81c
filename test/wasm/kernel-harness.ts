// One kernel at a time, for tests and for bench/wasm-kernels.mjs: a memory of its own, guard bytes around everything that is
// placed in it, outputs poisoned, parameter records as the compiler writes them.

import {
  compileKernels,
  instantiateKernels,
  type KernelBuild,
  type KernelExports,
} from '../../runtime/backends/wasm/kernels.ts';
import {
  BLOCK_ROWS,
  PARAMETERS_ADDRESS,
  RECORD_BYTES,
  STEP_FIELDS,
  writeRecord,
  type RecordField,
} from '../../runtime/backends/wasm/layouts.ts';
import type { KernelName } from '../../runtime/backends/wasm/tape.ts';
import { Arena } from '../../runtime/backends/wasm/arena.ts';
import { preparedBytes, rowOf } from '../../runtime/backends/wasm/rows.ts';
import { placeWeight, uploadWeight, type PlacedWeight } from '../../runtime/backends/wasm/weights.ts';
import { formatBytes, type PackedMatrix } from '../../runtime/quantization/formats.ts';

const GUARD_BYTES = 64;
const GUARD = 0xa5;
/** A NaN in every four bytes: whatever is not written is seen. */
const POISON = 0xff;
/** Room for parameter records. */
const RECORDS_END = 16384;
/** A block of four rows of the widest matrix, and little more, so that matrices come in several strips. */
const STAGING_BYTES = 81920;

/** What a product is called with. */
export interface LinearCall {
  record: number;
  output: number;
  prepare: KernelName | undefined;
  linear: KernelName;
}

type Numbers = Float32Array | Int32Array | Uint16Array | Uint8Array;

export class KernelHarness {
  #next = RECORDS_END + STAGING_BYTES;
  #nextRecord = PARAMETERS_ADDRESS;
  readonly #guards: number[] = [];

  private constructor(
    readonly build: KernelBuild,
    readonly memory: WebAssembly.Memory,
    readonly kernels: KernelExports,
  ) {}

  static async create(build: KernelBuild, bytes = 32 << 20): Promise<KernelHarness> {
    const pages = Math.ceil(bytes / 65536);
    const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
    return new KernelHarness(build, memory, await instantiateKernels([await compileKernels(build, false)], memory));
  }

  /** Forgets what was placed, so that one memory serves many cases. */
  reset(): void {
    this.#next = RECORDS_END + STAGING_BYTES;
    this.#nextRecord = PARAMETERS_ADDRESS;
    this.#guards.length = 0;
  }

  /** Room for `bytes` bytes between guards, filled with `fill`. */
  reserve(bytes: number, fill: number): number {
    const memory = new Uint8Array(this.memory.buffer);
    const address = this.#next + GUARD_BYTES;
    const end = address + bytes;
    memory.fill(GUARD, this.#next, address);
    memory.fill(fill, address, end);
    memory.fill(GUARD, end, end + GUARD_BYTES);
    this.#guards.push(this.#next, end);
    this.#next = Math.ceil((end + GUARD_BYTES) / 64) * 64;
    return address;
  }

  place(numbers: Numbers): number {
    const address = this.reserve(numbers.byteLength, 0);
    const bytes = new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength);
    new Uint8Array(this.memory.buffer).set(bytes, address);
    return address;
  }

  /** Room for numbers that a kernel writes. */
  output(bytes: number): number {
    return this.reserve(bytes, POISON);
  }

  floats(address: number, length: number): Float32Array {
    return new Float32Array(this.memory.buffer, address, length).slice();
  }

  record(fields: readonly RecordField[]): number {
    const address = this.#nextRecord;
    writeRecord(new DataView(this.memory.buffer), address, fields);
    this.#nextRecord += RECORD_BYTES;
    return address;
  }

  step(sizes: { tokens: number; past?: number; outputs?: number }): void {
    const view = new DataView(this.memory.buffer);
    view.setUint32(STEP_FIELDS.tokens, sizes.tokens, true);
    view.setUint32(STEP_FIELDS.past, sizes.past ?? 0, true);
    view.setUint32(STEP_FIELDS.outputs, sizes.outputs ?? sizes.tokens, true);
  }

  /** A matrix in kernel order, by the code that loads models. */
  placeMatrix(matrix: PackedMatrix): PlacedWeight & { unit: number } {
    const { rows, columns, format } = matrix;
    const weight = { name: 'test', parts: [], shape: [rows, columns], role: 'output' as const };
    const planned = placeWeight(weight, format, new Arena(64));
    const bytes = formatBytes(format, Math.ceil(rows / BLOCK_ROWS) * BLOCK_ROWS, columns);
    const reserve = (size: number) => (size > 0 ? this.reserve(size, POISON) : 0);
    const placed = {
      ...planned,
      address: reserve(bytes.planes.reduce((sum, plane) => sum + plane, 0)),
      scales: reserve(bytes.scales),
      minimums: reserve(bytes.minimums),
      scaleCodes: reserve(bytes.scaleCodes),
    };
    const staging = { address: RECORDS_END, bytes: STAGING_BYTES };
    return { ...placed, unit: uploadWeight(placed, matrix, this.memory, this.kernels, staging) };
  }

  /** The record of a product with `count` rows of activations, with room for what is prepared and for the output. */
  linear(placed: PlacedWeight & { unit: number }, input: number, count: number, bias = 0): LinearCall {
    const { rows, columns, format } = placed;
    const row = rowOf(format);
    const bytes = preparedBytes(row, count, columns, this.build === 'relaxed');
    const output = this.output(count * rows * 4);
    const record = this.record([
      placed.address,
      placed.scales,
      bias,
      input,
      this.output(bytes.activations),
      output,
      rows,
      columns,
      STEP_FIELDS.tokens,
      { f32: placed.unit },
      placed.scaleCodes,
      placed.minimums,
      row.scaleColumns,
      row.correction,
      this.output(bytes.sums),
      row.sumColumns,
    ]);
    return { record, output, prepare: row.prepare, linear: row.linear };
  }

  call(kernel: KernelName, parameters: number, from: number, to: number): void {
    this.kernels[kernel](parameters, from, to);
  }

  /** Throws when a guard was written to. */
  checkGuards(): void {
    const memory = new Uint8Array(this.memory.buffer);
    for (const start of this.#guards) {
      for (let i = start; i < start + GUARD_BYTES; i++) {
        if (memory[i] !== GUARD) throw new Error(`The guard at ${start} was written to, at byte ${i - start}.`);
      }
    }
  }
}

/** Throws unless every number is within `tolerance` × the largest expected magnitude. */
export function expectClose(
  what: string,
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  tolerance: number,
): void {
  if (actual.length !== expected.length) throw new Error(`${what}: ${actual.length} numbers, not ${expected.length}.`);
  let largest = 0;
  for (let i = 0; i < expected.length; i++) largest = Math.max(largest, Math.abs(expected[i]!));
  const allowed = tolerance * largest;
  for (let i = 0; i < actual.length; i++) {
    // Written so that NaN fails.
    if (Math.abs(actual[i]! - expected[i]!) <= allowed) continue;
    throw new Error(`${what}: number ${i} is ${actual[i]}, expected ${expected[i]} ± ${allowed}.`);
  }
}

export interface KernelCase {
  name: string;
  run(harness: KernelHarness): void;
}
