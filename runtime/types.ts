// The public types: what a page, an application or the CLI says to the runtime and hears back. Plain data, so that the
// same types cross the worker's port (protocol/) unchanged.

import type { EncoderInfo } from './encoder-info.ts';
import type { OnnxInfo } from './tensors.ts';

export type { EncoderImageInfo, EncoderInfo } from './encoder-info.ts';

/** Where a model comes from: see `loadModel`. */
export type ModelSource = string | URL | readonly File[];

/** How many bits a weight takes on the device, scales beside. `auto` lets the plan decide and say why. */
export type PrecisionName = 'auto' | '2bit' | '3bit' | '4bit' | '8bit' | 'f16';

/** The bits of all matrices by name, or bits a role and a layer. */
export type Precision = PrecisionName | QuantizationOptions;

export type QuantizationBits = 2 | 3 | 4 | 8 | 16;

/** What a matrix is for: see `QuantizationOptions.mixedPrecision`. */
export type QuantizationRole =
  'embedding' | 'position' | 'attention-qkv' | 'attention-output' | 'ffn-in' | 'ffn-out' | 'output' | 'conv';

export interface QuantizationOptions {
  /** Of a weight; scales and minimums come on top, at most 5/8 of a bit. 16 keeps f16. */
  bits: QuantizationBits;
  /**
   * `asymmetric` gives each group a minimum beside its scale. Without a scheme and a group size the format that loses least
   * at these bits is taken.
   */
  scheme?: 'symmetric' | 'asymmetric' | undefined;
  /** Consecutive weights of a row that share a scale. Default, once a scheme is given: 32, or 64 when asymmetric. */
  groupSize?: 16 | 32 | 64 | 128 | undefined;
  /**
   * True: embedding, attention's queries, keys and values, and the output keep 8 bits; attention's output and the FFN take
   * `bits`. An object changes that table, by role. Norms and biases are never quantised.
   */
  mixedPrecision?: boolean | Readonly<Partial<Record<QuantizationRole, QuantizationBits>>> | undefined;
  /** Bits by the checkpoint's name of a tensor; `*` stands for anything: `{ 'model.layers.0.*': 8, 'lm_head.weight': 8 }`. */
  perLayer?: Readonly<Record<string, QuantizationBits>> | undefined;
}

/**
 * How codes and scales are chosen. `search` and `hqq` need no text; `importance`, `gptq` and `gptq-layers` do: the last calibrates
 * layer after layer, each on what the quantised layers before it give.
 */
export type QuantizationMethod = 'search' | 'hqq' | 'importance' | 'gptq' | 'gptq-layers';

export interface QuantizeOptions extends QuantizationOptions {
  /** `gguf`: one file of standard types. `safetensors`: a folder that `loadModel` reads. Default `gguf`. */
  output?: 'gguf' | 'safetensors' | undefined;
  /** The model's name in the file, and the file's. Default: the source's last part. */
  name?: string | undefined;
  /** Default: `gptq` with a calibration text, else `search`. */
  method?: QuantizationMethod | undefined;
  /** A text like those that the model will meet; the model runs over parts of it. */
  calibration?: string | undefined;
  /**
   * With a calibration text: bytes of all matrices. The bits of each are then measured and chosen (adaptive precision), between
   * 2 and 8; `bits` and the policies count for nothing. `'device'`: the matrices have `bits` (16, say), and what was measured is
   * written into the file, so that `precision: 'auto'` assigns bits for the bytes of the device that loads it.
   */
  budgetBytes?: number | 'device' | undefined;
  /**
   * Takes the bytes as they are made, one piece after another in ascending order of each file; awaited. Without it they are
   * gathered in `files`.
   */
  write?: ((file: string, start: number, bytes: Uint8Array) => void | Promise<void>) | undefined;
  /**
   * Called before the first matrix with what will be written: answers how many bytes of the large file are there already, from an
   * interrupted run whose header is the same.
   */
  onPlan?: ((plan: QuantizePlan) => number | Promise<number>) | undefined;
  /** What an interrupted run left to `onState`: it goes on without calibrating again, unless `onPlan` is told why it cannot. */
  state?: Uint8Array | undefined;
  /**
   * Called before the first tensor, and between layers, with all that a later run needs in order to go on from there; awaited. It
   * replaces what came before. With `gptq` it has the hidden states of the calibration text.
   */
  onState?: ((state: Uint8Array) => void | Promise<void>) | undefined;
  onProgress?: ((progress: QuantizeProgress) => void) | undefined;
  signal?: AbortSignal | undefined;
  headers?: Record<string, string> | undefined;
}

export interface QuantizePlan {
  /** Why the run whose `state` was given cannot go on: all begins anew, and what `onPlan` answers counts as 0. */
  restart?: string | undefined;
  /** The large file, and all its bytes before the first tensor. */
  file: string;
  header: Uint8Array;
  totalBytes: number;
  /** Of all matrices, scales included. */
  bitsPerWeight: number;
  /** By the checkpoint's name of a matrix: a row of the format table. */
  formats: Readonly<Record<string, string>>;
  reasons: readonly string[];
}

export interface QuantizeProgress {
  phase: 'resolving' | 'calibrating' | 'measuring' | 'quantizing';
  /** Windows of text, or matrices. */
  done: number;
  total: number;
  /** The tensor that was written last. */
  tensor: string | undefined;
}

export interface QuantizedModel extends Omit<QuantizePlan, 'header'> {
  /** Empty when `write` took the bytes. */
  files: readonly { name: string; bytes: Uint8Array }[];
}

/** What runs the model. `auto` takes WebGPU where there is one, and WASM where there is none. */
export type BackendName = 'webgpu' | 'webnn' | 'wasm';

/** What WebNN is asked to run on. */
export type WebNnDevice = 'cpu' | 'gpu' | 'npu';

export interface LoadOptions {
  /** Default `auto`. */
  precision?: Precision | undefined;
  /**
   * Default `auto`. A backend that is asked for by name and is not there is an error, never a silent change. `webnn` alone, which
   * runs encoders and is told by the browser model by model what it can, gives way to what `auto` takes, and the plan says why.
   */
  backend?: BackendName | 'auto' | undefined;
  /** Of `backend: 'webnn'`. Default `auto`: the GPU where WebGPU has one, else the CPU. */
  webnnDevice?: WebNnDevice | 'auto' | undefined;
  /** Tokens of context to make room for; default: what the model allows, at most 4,096. */
  contextLength?: number | undefined;
  /** Threads of the WASM backend; default: all cores on an isolated page and in Node, else 1. */
  threads?: number | undefined;
  /** Refuse, before downloading, a plan that needs more bytes than this in all. */
  memoryLimitBytes?: number | undefined;
  /** `onProgress` is called at most about ten times a second, and once at the end. */
  onProgress?: ((progress: LoadProgress) => void) | undefined;
  /** Cancels the load at any moment; the promise rejects with an AbortError. */
  signal?: AbortSignal | undefined;
  /** Sent with the download's requests (a hub token, say). Never stored. */
  headers?: Record<string, string> | undefined;
  /**
   * Whether WebGPU kernels are chosen by measuring them on this device. `auto`, the default: choices of earlier loads are used, and what
   * is not known yet is measured for at most a second when the model has been idle for a while; never on a software adapter.
   * `now`: measured before the load resolves. `off`: the browser profile's kernels, the same on every load.
   */
  tuning?: 'auto' | 'now' | 'off' | undefined;
}

/** A configuration of a kernel: threads, tiles, splits. */
export type KernelConfiguration = Readonly<Record<string, number | string | boolean>>;

/** What measuring found for one kernel at one shape. */
export interface TuningChoice {
  /** Kernel, weight format and rows × columns: 'matvec q4g32 4096×2048'. */
  key: string;
  /** What the browser's profile has. */
  standard: KernelConfiguration;
  /** What took its place; undefined where nothing was faster by a margin. */
  chosen: KernelConfiguration | undefined;
  /** Of one use: medians of the standard and of the best of the others. */
  standardMicroseconds: number;
  bestMicroseconds: number;
  /** How many others were measured, on a step of so many tokens. */
  candidates: number;
  tokens: number;
}

/** What is kept of tuning: one record for each adapter, browser and version of the kernels. */
export interface TuningRecord {
  adapter: string;
  browser: string;
  version: string;
  /** ISO 8601, of the last measurement. */
  measuredAt: string;
  /** By what: the GPU's own timestamps, or the clock. */
  timer: 'timestamps' | 'clock';
  choices: readonly TuningChoice[];
  /** Keys that were not measured because one of them takes longer than a whole budget. */
  skipped: readonly string[];
}

/** How `model.tune()` measures. */
export interface TuningOptions {
  /** Milliseconds of measuring, beside waiting for compilers; default 1,000. What is not done by then is left for the next time. */
  budgetMs?: number | undefined;
  /** Measure what is known already, too. */
  again?: boolean | undefined;
  /** Ends it; the promise rejects with an AbortError, and nothing has changed. */
  signal?: AbortSignal | undefined;
}

/** What `model.tune()` did. */
export interface TuningReport {
  /** All that is now known of this device, of earlier loads too. */
  record: TuningRecord;
  /** Keys measured now, and keys that wait for the next time. */
  measured: readonly string[];
  remaining: readonly string[];
  /** Spent measuring, and waiting for compilers, which work beside the GPU. */
  milliseconds: number;
  compilingMilliseconds: number;
}

export interface LoadProgress {
  phase: 'resolving' | 'downloading' | 'compiling' | 'ready';
  /** Bytes that have arrived, and bytes in all once they are known. */
  loadedBytes: number;
  totalBytes: number | undefined;
  /** Of the last seconds; undefined until it can be told. */
  bytesPerSecond: number | undefined;
  secondsLeft: number | undefined;
  /** The file that is arriving. */
  file: string | undefined;
  /** Bytes that came from the browser's own store instead of the network. */
  cachedBytes: number;
}

export interface ChatMessage {
  role: 'system' | 'user' | 'assistant';
  content: string;
}

export interface GenerationOptions {
  /** Default: the model's generation_config, else 512. */
  maxTokens?: number | undefined;
  /** 0 is greedy. Default: the model's generation_config, else 0.7. */
  temperature?: number | undefined;
  /** Keep the k likeliest tokens; 0 keeps all. */
  topK?: number | undefined;
  /** Keep the likeliest tokens whose probabilities sum to p; 1 keeps all. */
  topP?: number | undefined;
  /** Drop tokens less likely than minP × the likeliest; 0 drops none. */
  minP?: number | undefined;
  /** Divide (or multiply, below 0) the logits of tokens that have appeared; 1 changes nothing. */
  repetitionPenalty?: number | undefined;
  /** Any integer; the same seed, model, backend and options give the same text. Default: random. */
  seed?: number | undefined;
  /** Generation stops before the first of these; they are never shown, not even in part. */
  stop?: string | readonly string[] | undefined;
}

export interface ChatOptions extends GenerationOptions {
  signal?: AbortSignal | undefined;
}

export type FinishReason = 'stop' | 'length' | 'abort';

export interface Usage {
  promptTokens: number;
  completionTokens: number;
  totalTokens: number;
  /** Prompt tokens that were already in the KV cache from an earlier turn. */
  cachedPromptTokens: number;
}

export interface Timing {
  /** From the call to the first token's text. */
  timeToFirstTokenMs: number;
  promptTokensPerSecond: number;
  /** Of the tokens after the first; 0 when there was only one. */
  tokensPerSecond: number;
  totalMs: number;
}

/** One piece of a streamed answer. The last one has `done: true`, an empty text and the figures. */
export type ChatPart =
  { done: false; text: string } | { done: true; text: ''; finishReason: FinishReason; usage: Usage; timing: Timing };

/** Planned and actual bytes of what a model holds. */
export interface MemoryReport {
  planned: { weights: number; keyValueCache: number; activations: number; total: number };
  actual: { weights: number; keyValueCache: number; activations: number; other: number; total: number };
  /** Tokens in the KV cache now, and room for. */
  contextUsed: number;
  contextLength: number;
}

/** What was decided for this model on this device, each decision with its reason. */
export interface PlanReport {
  backend: BackendName;
  backendDescription: string;
  /** Of most weights. */
  precision: Exclude<PrecisionName, 'auto'> | 'f32';
  /** Of all matrices, scales included. */
  bitsPerWeight: number;
  contextLength: number;
  threads: number;
  memory: { weights: number; keyValueCache: number; activations: number; total: number };
  downloadBytes: number;
  reasons: readonly { topic: string; reason: string }[];
}

export interface ModelInfo {
  /** The source as given. */
  source: string;
  modelType: string;
  parameters: number;
  vocabularySize: number;
  layers: number;
  maxContextLength: number;
  hasChatTemplate: boolean;
  /** Of an encoder: what it can do. Undefined for a model that writes. */
  encoder?: EncoderInfo | undefined;
  /** Of an ONNX file: its inputs and outputs. */
  onnx?: OnnxInfo | undefined;
  plan: PlanReport;
  /** What a person should be told beside the model's answers, from its card; '' when there is nothing. */
  notice: string;
  defaults: Required<
    Pick<GenerationOptions, 'maxTokens' | 'temperature' | 'topK' | 'topP' | 'minP' | 'repetitionPenalty'>
  >;
}

/** Throughput of the decode loop, greedy, without tokenizer: what `bench/` prints. */
export interface BenchmarkResult {
  promptTokens: number;
  promptTokensPerSecond: number;
  decodeTokens: number;
  decodeTokensPerSecond: number;
  /** Where tokens were chosen: on the device several steps are under way at a time. */
  sampling: 'device' | 'host';
  dispatchesPerToken: number;
  weightBytesPerToken: number;
  kernels: readonly { operation: string; variant: string }[];
  /** Where asked for, and the backend can: the time of each kernel in the last step of this benchmark. */
  kernelTimings?: readonly KernelTiming[] | undefined;
  memory: MemoryReport;
}

/** One kernel of a decode step, as measured: the calls of all layers that differ in nothing but their weights. */
export interface KernelTiming {
  operation: string;
  variant: string;
  /** Calls in a step, and the time of one of them, what stands between two dispatches included. */
  calls: number;
  microseconds: number;
  /** Bytes that one call must read and write, and floating-point operations that it stands for. */
  bytes: number;
  flops: number;
}

export interface BenchmarkSizes {
  promptTokens: number;
  decodeTokens: number;
  /** Measure each kernel too. */
  profile: boolean;
}

export type BenchmarkOptions = Partial<BenchmarkSizes>;

/** What this browser and device can do, as plain data. */
export interface Capabilities {
  webgpu:
    | {
        available: true;
        vendor: string;
        architecture: string;
        description: string;
        isFallback: boolean;
        features: readonly string[];
        maxBufferBytes: number;
        maxStorageBindingBytes: number;
        maxWorkgroupInvocations: number;
        maxWorkgroupStorageBytes: number;
      }
    | { available: false; reason: string };
  webnn: { available: boolean; reason: string };
  wasm: { available: boolean; simd: boolean; relaxedSimd: boolean; threads: boolean; reason: string };
  crossOriginIsolated: boolean;
  /** Logical cores that the browser admits to. */
  cores: number;
  /** navigator.deviceMemory in bytes, where the browser tells. */
  deviceMemoryBytes: number | undefined;
  storage: { opfs: boolean; quotaBytes: number | undefined; usedBytes: number | undefined };
  browser: { name: string; version: string; mobile: boolean };
}
