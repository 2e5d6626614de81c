// What `loadModel` resolves to. Implemented by client.ts (in a worker) — an interface, so that elements, examples and
// tests depend on the promise and not on the machinery.

import type { DeviceTensor, Tensor, TensorRunOptions } from './tensors.ts';
import type {
  BenchmarkOptions,
  BenchmarkResult,
  ChatMessage,
  ChatOptions,
  ChatPart,
  FinishReason,
  GenerationOptions,
  MemoryReport,
  ModelInfo,
  TuningOptions,
  TuningReport,
  Usage,
} from './types.ts';

export interface Model {
  readonly info: ModelInfo;
  /** True from `dispose()` on. */
  readonly disposed: boolean;
  /**
   * Streams the model's answer to a conversation. Breaking out of the loop, or `options.signal`, stops the generation
   * within one step. After an abort by signal the iterator throws an AbortError.
   */
  chat: ChatFunction;
  /** Streams the continuation of a text, without a chat template. */
  complete(text: string, options?: ChatOptions): AsyncIterableIterator<ChatPart>;
  tokenize(text: string): Promise<number[]>;
  /** Logits [tokens.length × vocabulary] of a token sequence. */
  logits(tokens: readonly number[]): Promise<Float32Array>;
  memory(): Promise<MemoryReport>;
  /** Throughput of a greedy answer to 512 tokens, of 128 tokens, unless told otherwise. */
  benchmark(options?: BenchmarkOptions): Promise<BenchmarkResult>;
  /**
   * Measures which of the WebGPU kernels are fastest on this device, in the pauses between answers, goes on with them and keeps the choice for
   * later loads. Rejects with `unsupported-operation` where the model runs on another backend.
   */
  tune(options?: TuningOptions): Promise<TuningReport>;
  /**
   * Vectors of texts or of images, by an encoder (`info.encoder` tells what it can). Strings are texts, unless the model reads
   * images only: then they are addresses. Texts longer than the model takes are cut; lone surrogates
   * count as U+FFFD. Rejects with `invalid-argument` for what is no text or an option out of range, with
   * `unsupported-operation` for a model that writes, with an AbortError.
   */
  embed(
    items: string | readonly string[] | ImageSource | readonly ImageSource[],
    options?: EmbedOptions,
  ): Promise<Embeddings>;
  /**
   * Each text's or image's classes, likeliest first; of an encoder with a classification head. For a model that reads images
   * only, a string is an image's address. Of a head that labels tokens: each text's entities, in the text's order.
   */
  classify(
    items: string | readonly string[] | ImageSource | readonly ImageSource[],
    options?: ClassifyOptions,
  ): Promise<Classification[][]>;
  /**
   * How well each label fits each image, best first, by a model of two towers (CLIP, SigLIP): probabilities over the labels, or
   * (SigLIP) of each label by itself. Strings are addresses. By a classifier of entailment (NLI), how well each label fits each
   * text: strings are texts.
   */
  zeroShot(
    items: ImageSource | readonly ImageSource[],
    labels: readonly string[],
    options?: ZeroShotOptions,
  ): Promise<Classification[][]>;
  /**
   * The cosine of two vectors of this model, −1 to 1: of an image and another, or, by a model that reads both, of an image and a
   * text. The second one is a text if it is a string and the model reads texts.
   */
  similarity(a: ImageSource, b: ImageSource, options?: EncodeOptions): Promise<number>;
  /**
   * Runs the graph of an ONNX file (`info.onnx` tells its inputs and outputs): tensors by name in, tensors by name out. Rejects with
   * `invalid-argument` for inputs that do not fit, with the actual and the allowed; with `unsupported-operation` for other models.
   */
  run(
    inputs: Readonly<Record<string, Tensor | DeviceTensor>>,
    options: TensorRunOptions & { keep: readonly string[] },
  ): Promise<Record<string, Tensor | DeviceTensor>>;
  run(
    inputs: Readonly<Record<string, Tensor | DeviceTensor>>,
    options?: TensorRunOptions,
  ): Promise<Record<string, Tensor>>;
  /** The numbers of a result that `run` kept on the device. */
  readTensor(tensor: DeviceTensor): Promise<Tensor>;
  /** Frees it. Idempotent; `dispose` frees them all. */
  releaseTensor(tensor: DeviceTensor): Promise<void>;
  /** Documents by how well they answer the query, best first; of a cross-encoder. */
  rerank(query: string, documents: readonly string[], options?: EncodeOptions): Promise<RankedDocument[]>;
  /** Stops what runs, frees the model's memory on every device. Idempotent. */
  dispose(): Promise<void>;
}

/**
 * What can be read as an image: an address (a URL, or a string where no text is meant), a Blob or File in a format that the
 * browser decodes, pixels, or an element that shows one. EXIF's rotation is applied, of an animation the first frame is read, of
 * a video the frame that it shows; transparency is dropped and not blended. Node decodes no files: there it is pixels only.
 */
export type ImageSource =
  | string
  | URL
  | Blob
  | ImagePixels
  | ImageBitmap
  | HTMLImageElement
  | HTMLCanvasElement
  | OffscreenCanvas
  | HTMLVideoElement
  | VideoFrame;

/** Rows from the top, 3 (RGB) or 4 (RGBA, not premultiplied) bytes a pixel: an ImageData is one. */
export interface ImagePixels {
  readonly data: Uint8Array | Uint8ClampedArray;
  readonly width: number;
  readonly height: number;
}

/** An image as it crosses to the worker, which fetches and decodes it. */
export type ImagePayload = { address: string } | Blob | ImageBitmap | ImagePixels;

export interface ZeroShotOptions extends EncodeOptions {
  /** The sentence that a label is put into, at `{}`. Default: "This is a photo of {}."; of texts, "This example is {}." */
  template?: string | undefined;
  /** Of texts: several labels may be true. Each is weighed against its contradiction, and not against the others. */
  multiLabel?: boolean | undefined;
}

/** How the labels of tokens become entities: see `ClassifyOptions`. */
export type Aggregation = 'none' | 'simple' | 'first' | 'average' | 'max';

export interface ClassifyOptions extends EncodeOptions {
  /**
   * Of a head that labels tokens, what becomes one entity. `simple` (default): neighbouring tokens of one kind; `first`, `average`,
   * `max`: words of one kind, each labelled by its first token, the mean or the surest of its tokens; `none`: every token.
   */
  aggregation?: Aggregation | undefined;
}

export interface EncodeOptions {
  signal?: AbortSignal | undefined;
  /** Texts or images that are done, of how many; at most ten times a second, and at the end. */
  onProgress?: ((progress: { done: number; total: number }) => void) | undefined;
}

export interface EmbedOptions extends EncodeOptions {
  /** The first so many numbers of each vector, for models trained for it (Matryoshka). Default: all. */
  dimensions?: number | undefined;
  /** Put before each text: 'query: '. Default: the model's default prompt, which most have not. */
  prompt?: string | undefined;
  /** A prompt of the model's configuration by its name (`info.encoder.prompts`). */
  promptName?: string | undefined;
  /** To length 1, after `dimensions`. Default: as the model's configuration says. */
  normalize?: boolean | undefined;
}

export interface Embeddings {
  /** All vectors, [texts or images × dimensions]. */
  data: Float32Array<ArrayBuffer>;
  /** Numbers of a vector. */
  dimensions: number;
  /** Vector i is text or image i's: a view of `data`. */
  vectors: readonly Float32Array[];
  /** Of all texts, special tokens included; 0 for images. */
  tokens: number;
  /** Indices of the texts that were longer than the model takes, and were cut. */
  truncated: readonly number[];
}

export interface Classification {
  label: string;
  /** 0 to 1. */
  score: number;
  /** Of an entity: where it begins in its text, in UTF-16 units, as `slice` takes them. */
  start?: number;
  end?: number;
  /** Of an entity: the text there. */
  text?: string;
}

export interface RankedDocument {
  /** Of the document in the list that was given. */
  index: number;
  /** 0 to 1. */
  score: number;
}

export interface ChatFunction {
  (messages: readonly ChatMessage[], options?: ChatOptions): AsyncIterableIterator<ChatPart>;
  /** The shape of the OpenAI API. */
  readonly completions: { create: CreateCompletion };
}

/** The subset of OpenAI's request that is supported; an unknown field is an `invalid-argument` error that names it. */
export interface CompletionRequest {
  messages: readonly ChatMessage[];
  model?: string;
  stream?: boolean;
  max_tokens?: number;
  max_completion_tokens?: number;
  temperature?: number;
  top_p?: number;
  top_k?: number;
  min_p?: number;
  repetition_penalty?: number;
  seed?: number;
  stop?: string | readonly string[];
}

export interface CompletionUsage {
  prompt_tokens: number;
  completion_tokens: number;
  total_tokens: number;
}

export interface Completion {
  id: string;
  object: 'chat.completion';
  created: number;
  model: string;
  choices: [{ index: 0; message: { role: 'assistant'; content: string }; finish_reason: FinishReason }];
  usage: CompletionUsage;
}

export interface CompletionChunk {
  id: string;
  object: 'chat.completion.chunk';
  created: number;
  model: string;
  choices: [{ index: 0; delta: { role?: 'assistant'; content?: string }; finish_reason: FinishReason | null }];
  usage?: CompletionUsage;
}

export interface CreateCompletion {
  (
    request: CompletionRequest & { stream: true },
    options?: { signal?: AbortSignal },
  ): Promise<AsyncIterableIterator<CompletionChunk>>;
  (request: CompletionRequest & { stream?: false }, options?: { signal?: AbortSignal }): Promise<Completion>;
}

export type { GenerationOptions, Usage };
