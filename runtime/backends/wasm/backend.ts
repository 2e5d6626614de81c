// The WASM backend: AssemblyScript kernels with SIMD over one linear memory, on one thread or, where memory can be shared, on
// several. Read compile.ts for how a graph becomes a tape, tape.ts for how it runs, assembly/dot-integer.ts for the heart.

import type { Backend, CompileOptions, EncoderCompileOptions, EncoderProgram, Program } from '../backend.ts';
import { WpError } from '../../errors.ts';
import { lower } from '../../graph/passes/index.ts';
import type { Graph } from '../../graph/types.ts';
import { compileGraph } from './compile.ts';
import { chooseBuild, compileKernels, instantiateKernels, type KernelBuild } from './kernels.ts';
import { writeRecord } from './layouts.ts';
import { WasmProgram } from './program.ts';
import { countCores, spawnPlatformThread } from './platform.ts';
import { sharedMemoryThreads, singleThread, type SpawnThread, type ThreadGroup } from './threads.ts';

export interface WasmBackendOptions {
  /** Threads, the caller's included. Default: the cores (at most 8) where memory can be shared, else 1. */
  threads?: number | undefined;
  /** Kernels with relaxed SIMD. Default `auto`: where the engine has it. */
  relaxedSimd?: boolean | 'auto' | undefined;
  /** Makes the workers; default: from a Blob URL, in Node from a string. */
  spawnThread?: SpawnThread | undefined;
}

/** More threads than this do not pay on the devices that exist: memory's bandwidth, and efficiency cores that lag behind. */
const MOST_DEFAULT_THREADS = 8;

/** Whether another thread can be given this memory: needs cross-origin isolation in a page, nothing in Node. */
function canShareMemory(): boolean {
  const { crossOriginIsolated } = globalThis as { crossOriginIsolated?: boolean };
  return typeof SharedArrayBuffer === 'function' && crossOriginIsolated !== false;
}

async function defaultThreads(): Promise<number> {
  if (!canShareMemory()) return 1;
  return Math.min(MOST_DEFAULT_THREADS, await countCores());
}

class WasmBackend implements Backend {
  readonly name = 'wasm';
  readonly lost = new Promise<never>(() => undefined);
  readonly #programs = new Set<Pick<Program, 'dispose'>>();
  /** Why fewer threads run than were asked for. */
  #note = '';

  constructor(
    private readonly build: KernelBuild,
    private threads: number,
    private readonly spawn: SpawnThread,
  ) {
    if (threads > 1 && !canShareMemory()) {
      this.threads = 1;
      this.#note = ', since this page is not cross-origin isolated';
    }
  }

  get description(): string {
    const simd = this.build === 'relaxed' ? 'relaxed SIMD' : 'SIMD';
    return `WebAssembly with ${simd} on ${this.threads} ${this.threads === 1 ? 'thread' : 'threads'}${this.#note}`;
  }

  async compile(graph: Graph, options: CompileOptions): Promise<Program> {
    const lowered = lower(graph);
    const compiled = compileGraph(lowered, options, this.build, this.threads);
    const isShared = this.threads > 1;
    const memory = compiled.arena.allocate(isShared);
    const modules = [await compileKernels(this.build, isShared)];
    const kernels = await instantiateKernels(modules, memory);
    const view = new DataView(memory.buffer);
    for (const { address, fields } of compiled.records) writeRecord(view, address, fields);
    const group = await this.#threadGroup({ modules, memory, kernels, tape: compiled.tape });
    const parts = { graph: lowered, options, compiled, memory, kernels, group };
    const program = new WasmProgram(parts, () => this.#programs.delete(program));
    this.#programs.add(program);
    return program;
  }

  /** The encoders' kernels and their compiler are a chunk of their own: a chat does not fetch them. */
  async compileEncoder(graph: Graph, options: EncoderCompileOptions): Promise<EncoderProgram> {
    const { compileEncoder } = await import('./encoder/program.ts');
    const program = await compileEncoder(graph, options, {
      build: this.build,
      threads: this.threads,
      threadGroup: (parts) => this.#threadGroup(parts),
      onDispose: (disposed) => this.#programs.delete(disposed),
    });
    this.#programs.add(program);
    return program;
  }

  dispose(): void {
    for (const program of this.#programs) program.dispose();
  }

  async #threadGroup(parts: Parameters<typeof singleThread>[0]): Promise<ThreadGroup> {
    if (this.threads === 1) return singleThread(parts);
    try {
      return await sharedMemoryThreads(parts, this.threads, this.spawn);
    } catch (error) {
      // A content security policy may forbid workers from blobs: the model still runs, and the description says how.
      this.threads = 1;
      this.#note = `, since no worker could be made (${error instanceof Error ? error.message : String(error)})`;
      return singleThread(parts);
    }
  }
}

/**
 * A backend that runs graphs on the CPU. Throws `backend-unavailable` without WebAssembly SIMD, and `invalid-argument` for a
 * number of threads that is none.
 */
export async function createWasmBackend(options: WasmBackendOptions = {}): Promise<Backend> {
  const { threads = await defaultThreads(), relaxedSimd = 'auto', spawnThread = spawnPlatformThread } = options;
  if (!Number.isInteger(threads) || threads < 1) {
    throw new WpError('invalid-argument', `threads is ${threads}; it must be a whole number from 1 on.`, '', {
      actual: threads,
    });
  }
  return new WasmBackend(chooseBuild(relaxedSimd), threads, spawnThread);
}
