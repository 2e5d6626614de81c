// An encoder's program on the CPU: a chunk of its own, with its kernels, that ../backend.ts fetches for the first encoder.

import { encoderStep, rowsOfStep, type StepNumbers } from '../../../graph/encoder-step.ts';
import type { Graph } from '../../../graph/types.ts';
import type { EncoderCompileOptions, EncoderProgram } from '../../backend.ts';
import { compileKernels, compileModule, decodeModule, instantiateKernels, type KernelBuild } from '../kernels.ts';
import { writeRecord } from '../layouts.ts';
import type { singleThread, ThreadGroup } from '../threads.ts';
import { WeightedProgram, type WeightedParts } from '../weighted-program.ts';
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
  const isShared = threads > 1;
  // Fetched and compiled by other threads while this one lays out the graph.
  const compiling = Promise.all([
    compileKernels(build, isShared),
    compileModule(decodeModule(build === 'relaxed' ? relaxed : plain), isShared),
  ]);
  compiling.catch(() => undefined); // heard below, unless the graph is refused before
  const compiled = new EncoderCompiler(graph, options, build, threads).compile();
  const memory = compiled.arena.allocate(isShared);
  const modules = await compiling;
  const kernels = await instantiateKernels(modules, memory);
  const view = new DataView(memory.buffer);
  for (const { address, fields } of compiled.records) writeRecord(view, address, fields);
  const group = await threadGroup({ modules, memory, kernels, tape: compiled.tape });
  const program = new WasmEncoderProgram({ graph, options, compiled, memory, kernels, group }, () =>
    onDispose(program),
  );
  return program;
}

interface Parts extends WeightedParts {
  graph: Graph;
  options: EncoderCompileOptions;
  compiled: CompiledEncoder;
}

class WasmEncoderProgram extends WeightedProgram<Parts> implements EncoderProgram {
  async run(inputs: StepNumbers): Promise<Record<string, Float32Array<ArrayBuffer>>> {
    const { graph, options, compiled, memory, group } = this.alive();
    const sizes = encoderStep(graph, inputs, options);
    for (const [name, id] of Object.entries(graph.inputs)) {
      this.writeNumbers(compiled.addresses.get(id), inputs[name]!);
    }
    this.writeStep(sizes.tokens, 0, sizes.outputs);

    group.runStep();

    const outputs = Object.entries(graph.outputs).map(([name, id]) => {
      const columns = graph.values[id]!.shape[1] as number;
      const length = rowsOfStep(graph, id, sizes) * columns;
      return [name, new Float32Array(memory.buffer, compiled.addresses.get(id), length).slice()] as const;
    });
    return Object.fromEntries(outputs) as Record<string, Float32Array<ArrayBuffer>>;
  }
}
