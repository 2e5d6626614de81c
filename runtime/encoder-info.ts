// What an encoder says of itself: a part of types.ts.

/** What an encoder of texts or images can do, and how its vectors are made. */
export interface EncoderInfo {
  tasks: readonly ('embed' | 'classify' | 'rerank' | 'zeroShot')[];
  /** Of a model that reads images. */
  images?: EncoderImageInfo | undefined;
  /** Numbers of a vector. */
  dimensions: number;
  /** Of a text, special ones included; longer texts are cut. */
  maxTokens: number;
  pooling: 'mean' | 'first' | 'last' | 'pooler';
  /** Whether vectors have length 1 unless asked otherwise. */
  normalize: boolean;
  prompts: Readonly<Record<string, string>>;
  defaultPrompt: string | undefined;
  similarity: 'cosine' | 'dot';
  /** Of a classification head. */
  labels: readonly string[];
  /** The head labels tokens, not texts: `classify` finds entities. */
  labelsTokens?: boolean | undefined;
  isMultiLabel: boolean;
}

export interface EncoderImageInfo {
  /** Pixels that the model sees, after its processor's resizing and cropping. */
  width: number;
  height: number;
  /** Larger images are refused. */
  maxPixels: number;
  /** Also texts, into the same space (CLIP, SigLIP). */
  readsTexts: boolean;
}
