// The contract of a backend: it compiles a graph to a program, takes the weights one after another, and runs steps.
// backends/webgpu and backends/wasm implement it; generation/ and tasks/ use it and know nothing else of a backend.

import type { Graph } from '../graph/types.ts';
import type { PackedMatrix, WeightFormat } from '../quantization/formats.ts';

export interface CompileOptions {
  /** Format of every weight of the graph, by the weight's name: decided by the plan before anything is loaded. */
  formats: ReadonlyMap<string, WeightFormat>;
  /** Tokens that the KV cache has room for. */
  contextLength: number;
  /** The longest prefill chunk; activations are sized for it. */
  maxTokens: number;
  /** The most output rows of one step. */
  maxOutputs: number;
}

/** One step's inputs. All arrays are copied before `run` returns its promise. */
export interface StepInputs {
  /** Token ids [tokens]. */
  tokenIds: Int32Array;
  /** Cos and sin of each token's rotation [tokens, headDim]: the first half of a row is cos, the second sin. */
  rotary: Float32Array;
  /** Rows of this step whose logits are wanted [outputs], ascending. */
  outputRows: Int32Array;
  /** Tokens already in the cache; this step's tokens stand at past … past + tokens − 1. */
  past: number;
}

/** Bytes that are really allocated now, on the device and in the runtime's own linear memory. */
export interface MemoryUse {
  weights: number;
  keyValueCache: number;
  activations: number;
  /** Uniforms, staging, code: what the plan does not name. */
  other: number;
}

export interface Program {
  /**
   * Takes one weight of the graph in the format that was planned for it and uploads it. The backend may repack it;
   * when the promise resolves the caller's arrays are no longer needed.
   */
  setWeight(name: string, matrix: PackedMatrix): Promise<void>;
  /** Resolves when every pipeline is compiled; rejects if a weight is missing. */
  ready(): Promise<void>;
  /** Runs one step; resolves to the logits [outputs, vocabulary], a fresh array. Rejects with `device-lost`. */
  run(inputs: StepInputs): Promise<Float32Array>;
  memory(): MemoryUse;
  /** What ran, for benches and the profiler: dispatches (or kernel calls) and bytes of weights read in one decode step. */
  profile(): ProgramProfile;
  /** Frees all that the program holds. Idempotent. */
  dispose(): void;
}

export interface ProgramProfile {
  /** Device dispatches (WebGPU) or kernel calls (WASM) of one decode step. */
  dispatchesPerToken: number;
  /** Bytes of weights that one decode step must read. */
  weightBytesPerToken: number;
  /** The variant that each operation chose, as plain data, in order. */
  kernels: readonly { operation: string; variant: string }[];
}

export interface Backend {
  readonly name: 'webgpu' | 'wasm';
  /** A sentence for people: adapter or thread count. */
  readonly description: string;
  compile(graph: Graph, options: CompileOptions): Promise<Program>;
  /** Resolves when the device is lost for a reason other than `dispose()`; never, on backends that cannot lose it. */
  readonly lost: Promise<{ message: string }>;
  dispose(): void;
}
