// What every program on the CPU is, whatever its steps take: linear memory that is filled weight by weight, and given back once.

import type { MemoryUse } from '../backend.ts';
import { WpError } from '../../errors.ts';
import type { PackedMatrix } from '../../quantization/formats.ts';
import type { Arena } from './arena.ts';
import type { KernelExports } from './kernels.ts';
import { STEP_FIELDS } from './layouts.ts';
import type { ThreadGroup } from './threads.ts';
import { type PlacedWeight, type Staging, uploadWeight } from './weights.ts';

/** Where a compiled graph's weights go. */
export interface PlacedWeights {
  weights: ReadonlyMap<string, PlacedWeight>;
  /** Addresses of the f32 fields that hold a weight's unit, by the weight's name: known once it is uploaded. */
  units: ReadonlyMap<string, readonly number[]>;
  staging: Staging;
  arena: Arena;
}

export interface WeightedParts {
  compiled: PlacedWeights;
  memory: WebAssembly.Memory;
  kernels: KernelExports;
  group: ThreadGroup;
}

export abstract class WeightedProgram<Parts extends WeightedParts> {
  #parts: Parts | undefined;
  readonly #missing: Set<string>;

  constructor(
    parts: Parts,
    private readonly onDispose: () => void,
  ) {
    this.#parts = parts;
    this.#missing = new Set(parts.compiled.weights.keys());
  }

  // Asynchronous, so that whatever is thrown rejects; the work itself is not.
  async setWeight(name: string, matrix: PackedMatrix): Promise<void> {
    const { compiled, memory, kernels } = this.alive();
    const placed = compiled.weights.get(name);
    if (!placed) throw new WpError('invalid-argument', `The graph has no weight ${name}.`);
    const unit = uploadWeight(placed, matrix, memory, kernels, compiled.staging);
    const view = new DataView(memory.buffer);
    for (const address of compiled.units.get(name) ?? []) view.setFloat32(address, unit, true);
    this.#missing.delete(name);
  }

  async ready(): Promise<void> {
    this.alive();
    const [name] = this.#missing;
    if (name === undefined) return;
    throw new WpError('missing-tensor', `${this.#missing.size} weights were not set, ${name} among them.`, '', {
      missing: [...this.#missing],
    });
  }

  memory(): MemoryUse {
    if (!this.#parts) return { weights: 0, keyValueCache: 0, activations: 0, other: 0 };
    return { ...this.#parts.compiled.arena.bytes };
  }

  dispose(): void {
    if (!this.#parts) return;
    this.#parts.group.dispose();
    this.#parts = undefined;
    this.onDispose();
  }

  protected alive(): Parts {
    if (this.#parts) return this.#parts;
    throw new WpError('disposed', 'The program was disposed.', 'Load the model again.');
  }

  /** Writes a step's input, whose size the caller has checked, at its address. */
  protected writeNumbers(address: number | undefined, numbers: Int32Array | Float32Array): void {
    const Numbers = numbers instanceof Int32Array ? Int32Array : Float32Array;
    new Numbers(this.alive().memory.buffer, address, numbers.length).set(numbers);
  }

  /** Tells the kernels how long this step is. */
  protected writeStep(tokens: number, past: number, outputs: number): void {
    const step = new DataView(this.alive().memory.buffer);
    step.setUint32(STEP_FIELDS.tokens, tokens, true);
    step.setUint32(STEP_FIELDS.past, past, true);
    step.setUint32(STEP_FIELDS.outputs, outputs, true);
  }
}
