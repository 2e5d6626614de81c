// The contract of a backend: it compiles a graph to a program, takes the weights one after another, and runs steps.
// backends/webgpu and backends/wasm implement it; generation/ and tasks/ use it and know nothing else of a backend.

import type { Graph } from '../graph/types.ts';
import type { PackedMatrix, WeightFormat } from '../quantization/formats.ts';
import type { KernelTiming, TuningChoice } from '../types.ts';

export interface CompileOptions {
  /** Format of every weight of the graph, by the weight's name: decided by the plan before anything is loaded. */
  formats: ReadonlyMap<string, WeightFormat>;
  /** Tokens that the KV cache has room for. */
  contextLength: number;
  /** The longest prefill chunk; activations are sized for it. */
  maxTokens: number;
  /** The most output rows of one step. */
  maxOutputs: number;
  /** Configurations of kernels that tuning chose, by key, as they were stored: those that are no longer offered have no effect. */
  tuned?: Readonly<Record<string, unknown>> | undefined;
}

/** How to tune a program: see `Program.tune`. */
export interface TuneOptions {
  /** Milliseconds of measuring, beside waiting for compilers; what is not done by then remains. */
  budgetMs: number;
  /** Keys that need not be measured again. */
  known: ReadonlySet<string>;
  signal?: AbortSignal | undefined;
}

export interface TuningOutcome {
  choices: readonly TuningChoice[];
  /** Keys for which the budget was too small, in the order in which they will be measured. */
  remaining: readonly string[];
  /** Spent measuring, and waiting for compilers. */
  milliseconds: number;
  compilingMilliseconds: number;
  timer: 'timestamps' | 'clock';
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
  /**
   * A copy of another output of the graph as the last step left it, [tokens or outputs of the step, columns]: calibration
   * reads activations so. Undefined where the backend keeps nothing but the logits.
   */
  readOutput?(name: string): Float32Array;
  /**
   * Sampling on the device, for the decode loop to run ahead: the next step starts before the last token is read. Undefined
   * where the backend leaves sampling to the host.
   */
  readonly deviceSampling?: DeviceSampling | undefined;
  memory(): MemoryUse;
  /** What ran, for benches and the profiler: dispatches (or kernel calls) and bytes of weights read in one decode step. */
  profile(): ProgramProfile;
  /**
   * Measures other configurations of the kernels in the pauses between steps, and goes on with those that are faster. Rejects
   * with an AbortError, or `device-lost`. Undefined where there is nothing to choose.
   */
  tune?(options: TuneOptions): Promise<TuningOutcome>;
  /**
   * Times each kernel of a step of one token after `past` others, on the device's own clock where it has one. Not for the midst
   * of an answer: activations, and the cache at `past`, are left with what no step made. Undefined where there is no such clock.
   */
  measureKernels?(past: number): Promise<KernelTiming[]>;
  /** Frees all that the program holds. Idempotent. */
  dispose(): void;
}

/** How to choose a token: the meaning of each field is that of GenerationOptions. */
export interface SamplingChoice {
  temperature: number;
  topK: number;
  topP: number;
  minP: number;
  repetitionPenalty: number;
}

/** A step that chooses its token on the device. */
export interface SampledStep {
  /** The token to feed, or undefined for the token that the step before chose, which the host may not know yet. */
  tokenId: number | undefined;
  /** [1, headDim]: see StepInputs. */
  rotary: Float32Array;
  past: number;
  /** Uniform in [0, 1): the host's generator gives it, so that the same seed gives the same text. */
  uniform: number;
}

export interface DeviceSampling {
  /** Whether these options can be done on the device exactly (up to rounding) as the host's sampler does them. */
  supports(choice: SamplingChoice): boolean;
  /** Starts a run: `seen` are the tokens that the repetition penalty counts (chosen tokens join them on the device). */
  begin(choice: SamplingChoice, seen: Iterable<number>): void;
  /**
   * Submits a step at once and resolves to its token. Steps may be in flight together, in order; a step that turns out not to
   * be wanted only wrote cache positions that the next real step writes again. Rejects as `Program.run` does.
   */
  step(step: SampledStep): Promise<number>;
}

export interface ProgramProfile {
  /** Device dispatches (WebGPU, the choice of the token among them) or kernel calls (WASM) of one decode step. */
  dispatchesPerToken: number;
  /** Bytes of weights that one decode step must read. */
  weightBytesPerToken: number;
  /** The variant that each operation chose, as plain data, in order. */
  kernels: readonly { operation: string; variant: string }[];
}

/** An encoder's program: texts or images in, vectors out; it keeps nothing between steps. */
export interface EncoderProgram extends Pick<Program, 'setWeight' | 'ready' | 'memory' | 'dispose'> {
  /**
   * Runs one step on inputs by name, as `EncoderModel.text.inputs` and `.vision.inputs` make them (models/encoders/index.ts);
   * the numbers of rows follow from their lengths. Resolves to the graph's outputs by name, row after row, fresh arrays.
   * Inputs are copied before the promise is returned. Rejects with `invalid-argument` for lengths that do not fit together
   * or exceed what was compiled for, and with `device-lost`.
   */
  run(inputs: Readonly<Record<string, Int32Array | Float32Array>>): Promise<Record<string, Float32Array<ArrayBuffer>>>;
}

export type EncoderCompileOptions = Omit<CompileOptions, 'contextLength'>;

export interface Backend {
  readonly name: 'webgpu' | 'wasm' | 'webnn';
  /** A sentence for people: adapter or thread count. */
  readonly description: string;
  /** Of backends whose programs can be tuned: what names the device among others, and whether it is one worth tuning. */
  readonly tuning?: { readonly adapter: string; readonly isSoftware: boolean } | undefined;
  compile(graph: Graph, options: CompileOptions): Promise<Program>;
  /** For graphs of `EncoderModel` (models/encoders/index.ts). Fetches the encoders' kernels with the first one. */
  compileEncoder?(graph: Graph, options: EncoderCompileOptions): Promise<EncoderProgram>;
  /** Resolves when the device is lost for a reason other than `dispose()`; never, on backends that cannot lose it. */
  readonly lost: Promise<{ message: string }>;
  dispose(): void;
}
