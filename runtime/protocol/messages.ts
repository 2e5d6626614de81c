// What passes between a page and its model worker. Comlink carries the calls of `RuntimeService`; each long operation
// (loading, an answer) has a MessagePort of its own, so that parts stream without a round trip and a cancel is one message.
// Every failure crosses as WpErrorData, never as a bare string. The page's side is runtime/client.ts, the worker's is
// runtime/host.ts.

import type { WpErrorData } from '../errors.ts';
import type {
  Classification,
  ClassifyOptions,
  Embeddings,
  EmbedOptions,
  EncodeOptions,
  ImagePayload,
  RankedDocument,
  ZeroShotOptions,
} from '../model.ts';
import type { DeviceTensor, Tensor } from '../tensors.ts';
import type {
  BackendName,
  BenchmarkResult,
  BenchmarkSizes,
  Capabilities,
  ChatMessage,
  ChatPart,
  GenerationOptions,
  LoadProgress,
  MemoryReport,
  ModelInfo,
  Precision,
  QuantizationMethod,
  QuantizationOptions,
  QuantizePlan,
  QuantizeProgress,
  TuningOptions,
  TuningReport,
  WebNnDevice,
} from '../types.ts';

/** Every call answers with one of these; `unwrap` in client.ts turns a failure back into a WpError. */
export type Reply<T> = { ok: true; value: T } | { ok: false; error: WpErrorData };

export type ModelId = number;

export interface LoadRequest {
  /** An absolute URL, a hub id, or `wp:name`. */
  source: string | readonly File[];
  /** Where `wp:` models are: the folder of the package's own files. */
  embeddedBase: string;
  precision: Precision;
  backend: BackendName | 'auto';
  contextLength: number | undefined;
  threads: number | undefined;
  memoryLimitBytes: number | undefined;
  webnnDevice?: WebNnDevice | 'auto' | undefined;
  headers: Record<string, string> | undefined;
  tuning: 'auto' | 'now' | 'off';
}

export interface QuantizeRequest {
  /** As in LoadRequest. */
  source: string | readonly File[];
  embeddedBase: string;
  headers: Record<string, string> | undefined;
  options: QuantizationOptions;
  output: 'gguf' | 'safetensors';
  name: string;
  method: QuantizationMethod;
  calibration: string | undefined;
  budgetBytes: number | 'device' | undefined;
  /** Of an interrupted run. */
  state: Uint8Array | undefined;
  /** Whether states are wanted. */
  keepsState: boolean;
  threads: number;
}

export interface GenerateRequest {
  model: ModelId;
  prompt: { messages: readonly ChatMessage[] } | { text: string };
  options: GenerationOptions;
}

/** Worker → page on the port of a load. The last message is `loaded`, `failed` or `aborted`. */
export type LoadEvent =
  | { type: 'progress'; progress: LoadProgress }
  | { type: 'loaded'; model: ModelId; info: ModelInfo }
  | { type: 'failed'; error: WpErrorData }
  | { type: 'aborted' };

/** Worker → page on the port of an answer. The last message is a part that is done, `failed` or `aborted`. */
export type GenerateEvent =
  | { type: 'part'; part: ChatPart }
  | { type: 'failed'; error: WpErrorData }
  | { type: 'aborted'; part: Extract<ChatPart, { done: true }> };

/**
 * Worker → page on the port of a quantisation. `plan`, `data` and `state` are answered: the work waits for it. The last message is `done`,
 * `failed` or `aborted`.
 */
export type QuantizeEvent =
  | { type: 'progress'; progress: QuantizeProgress }
  | { type: 'plan'; plan: QuantizePlan }
  | { type: 'data'; file: string; start: number; bytes: Uint8Array }
  | { type: 'state'; state: Uint8Array }
  | { type: 'done' }
  | { type: 'failed'; error: WpErrorData }
  | { type: 'aborted' };

/** Page → worker on the port of a quantisation: `bytes` are there already (after `plan`), or were taken (after `data`). */
export interface QuantizeAnswer {
  type: 'taken';
  bytes: number;
}

/** One call to an encoder. */
export type EncodeCall =
  | { task: 'embed'; texts: readonly string[]; options: Omit<EmbedOptions, keyof EncodeOptions> }
  | { task: 'classify'; texts: readonly string[]; aggregation: ClassifyOptions['aggregation'] }
  | { task: 'rerank'; query: string; documents: readonly string[] }
  | { task: 'embedImages'; images: readonly ImagePayload[]; options: Omit<EmbedOptions, keyof EncodeOptions> }
  | { task: 'classifyImages'; images: readonly ImagePayload[] }
  | {
      task: 'zeroShotTexts';
      texts: readonly string[];
      labels: readonly string[];
      options: Omit<ZeroShotOptions, keyof EncodeOptions>;
    }
  | { task: 'zeroShot'; images: readonly ImagePayload[]; labels: readonly string[]; template: string | undefined };

/** One call to an ONNX file's graph. */
export type TensorCall =
  | {
      do: 'run';
      inputs: Readonly<Record<string, Tensor | DeviceTensor>>;
      outputs: readonly string[] | undefined;
      keep: readonly string[] | undefined;
    }
  | { do: 'read' | 'release'; device: number };

/** By the output's name; of `read` under `tensor`. */
export type TensorResult = Record<string, Tensor | DeviceTensor>;

export interface EncodeRequest {
  model: ModelId;
  call: EncodeCall;
}

export type EncodeResult = Embeddings | Classification[][] | RankedDocument[];

/** Worker → page on the port of such a call; the last one is not `progress`. */
export type EncodeEvent =
  | { type: 'progress'; done: number; total: number }
  | { type: 'done'; value: EncodeResult }
  | { type: 'failed'; error: WpErrorData }
  | { type: 'aborted' };

/** Page → worker on either port. */
export interface AbortMessage {
  type: 'abort';
}

/** The calls that Comlink carries. */
export interface RuntimeService {
  capabilities(): Promise<Reply<Capabilities>>;
  load(request: LoadRequest, port: MessagePort): Promise<void>;
  generate(request: GenerateRequest, port: MessagePort): Promise<void>;
  quantize(request: QuantizeRequest, port: MessagePort): Promise<void>;
  encode(request: EncodeRequest, port: MessagePort): Promise<void>;
  /** Transferred. */
  run(model: ModelId, call: TensorCall): Promise<Reply<TensorResult>>;
  /** Token count of a text, for budgets and tests. */
  tokenize(model: ModelId, text: string): Promise<Reply<number[]>>;
  /** Logits [tokens.length, vocabulary] of a sequence without a cache: for evaluation. Transferred. */
  logits(model: ModelId, tokens: readonly number[]): Promise<Reply<Float32Array>>;
  memory(model: ModelId): Promise<Reply<MemoryReport>>;
  benchmark(model: ModelId, sizes: BenchmarkSizes): Promise<Reply<BenchmarkResult>>;
  /** Ends early by `stopTuning`. */
  tune(model: ModelId, options: Omit<TuningOptions, 'signal'>): Promise<Reply<TuningReport>>;
  stopTuning(model: ModelId): Promise<Reply<null>>;
  dispose(model: ModelId): Promise<Reply<null>>;
}
