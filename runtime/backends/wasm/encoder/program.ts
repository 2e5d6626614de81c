// An encoder's program on the CPU: a chunk of its own, with its kernels, that ../backend.ts fetches for the first encoder.

import { WpError } from '../../../errors.ts';
import { encoderStep, rowsOfStep, type StepNumbers } from '../../../graph/encoder-step.ts';
import type { Graph } from '../../../graph/types.ts';
import type { PackedMatrix } from '../../../quantization/formats.ts';
import type { EncoderCompileOptions, EncoderProgram, MemoryUse } from '../../backend.ts';
import {
  compileKernels,
  compileModule,
  decodeModule,
  instantiateKernels,
  type KernelBuild,
  type KernelExports,
} from '../kernels.ts';
import { STEP_FIELDS, writeRecord } from '../layouts.ts';
import type { singleThread, ThreadGroup } from '../threads.ts';
import { uploadWeight } from '../weights.ts';
import { EncoderCompiler, type CompiledEncoder } from './compile.ts';
import { plain, relaxed } from './kernels.generated.ts';

export interface EncoderPlatform {
  build: KernelBuild;
  threads: number;
  threadGroup(parts: Parameters<typeof singleThread>[0]): Promise<ThreadGroup>;
  onDispose(program: EncoderProgram): void;
}

/** Throws `unsupported-operation` for what has no kernel and `out-of-memory`, before anything is loaded. */
export async function compileEncoder(
  graph: Graph,
  options: EncoderCompileOptions,
  { build, threads, threadGroup, onDispose }: EncoderPlatform,
): Promise<EncoderProgram> {
  const compiled = new EncoderCompiler(graph, options, build, threads).compile();
  const isShared = threads > 1;
  const memory = compiled.arena.allocate(isShared);
  const modules = await Promise.all([
    compileKernels(build, isShared),
    compileModule(decodeModule(build === 'relaxed' ? relaxed : plain), isShared),
  ]);
  const kernels = await instantiateKernels(modules, memory);
  const view = new DataView(memory.buffer);
  for (const { address, fields } of compiled.records) writeRecord(view, address, fields);
  const group = await threadGroup({ modules, memory, kernels, tape: compiled.tape });
  const program = new WasmEncoderProgram({ graph, options, compiled, memory, kernels, group }, () =>
    onDispose(program),
  );
  return program;
}

interface Parts {
  graph: Graph;
  options: EncoderCompileOptions;
  compiled: CompiledEncoder;
  memory: WebAssembly.Memory;
  kernels: KernelExports;
  group: ThreadGroup;
}

class WasmEncoderProgram implements EncoderProgram {
  #parts: Parts | undefined;
  readonly #missing: Set<string>;

  constructor(
    parts: Parts,
    private readonly onDispose: () => void,
  ) {
    this.#parts = parts;
    this.#missing = new Set(parts.compiled.weights.keys());
  }

  async setWeight(name: string, matrix: PackedMatrix): Promise<void> {
    const { compiled, memory, kernels } = this.#alive();
    const placed = compiled.weights.get(name);
    if (!placed) throw new WpError('invalid-argument', `The graph has no weight ${name}.`);
    const unit = uploadWeight(placed, matrix, memory, kernels, compiled.staging);
    const view = new DataView(memory.buffer);
    for (const address of compiled.units.get(name) ?? []) view.setFloat32(address, unit, true);
    this.#missing.delete(name);
  }

  async ready(): Promise<void> {
    this.#alive();
    const [name] = this.#missing;
    if (name === undefined) return;
    throw new WpError('missing-tensor', `${this.#missing.size} weights were not set, ${name} among them.`, '', {
      missing: [...this.#missing],
    });
  }

  async run(inputs: StepNumbers): Promise<Record<string, Float32Array<ArrayBuffer>>> {
    const { graph, options, compiled, memory, group } = this.#alive();
    const sizes = encoderStep(graph, inputs, options);
    for (const [name, id] of Object.entries(graph.inputs)) {
      const numbers = inputs[name]!;
      const Numbers = numbers instanceof Int32Array ? Int32Array : Float32Array;
      new Numbers(memory.buffer, compiled.addresses.get(id), numbers.length).set(numbers);
    }
    const step = new DataView(memory.buffer);
    step.setUint32(STEP_FIELDS.tokens, sizes.tokens, true);
    step.setUint32(STEP_FIELDS.past, 0, true);
    step.setUint32(STEP_FIELDS.outputs, sizes.outputs, true);

    group.runStep();

    const outputs = Object.entries(graph.outputs).map(([name, id]) => {
      const columns = graph.values[id]!.shape[1] as number;
      const length = rowsOfStep(graph, id, sizes) * columns;
      return [name, new Float32Array(memory.buffer, compiled.addresses.get(id), length).slice()] as const;
    });
    return Object.fromEntries(outputs) as Record<string, Float32Array<ArrayBuffer>>;
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

  #alive(): Parts {
    if (this.#parts) return this.#parts;
    throw new WpError('disposed', 'The program was disposed.', 'Load the model again.');
  }
}
