// The public API without elements. Importing it does nothing: no worker, no device, no globals; in Node and in
// server-side rendering too.

export { loadModel, detectCapabilities } from './client.ts';
export { quantize } from './quantize.ts';
export { compareModels, type Comparison, type WindowComparison } from './evaluation/compare.ts';
export { measurePerplexity, type Perplexity, type PerplexityOptions } from './evaluation/perplexity.ts';
export { tuningResults, resetTuning } from './tuning.ts';
export { similarity } from './tasks/similarity.ts';
export {
  openVectorSearch,
  type SearchBackend,
  type SearchHit,
  type SearchOptions,
  type VectorSearch,
  type VectorSearchOptions,
} from './search/vector-search.ts';
export { configureRuntime, type RuntimeConfiguration } from './environment.ts';
export { WpError, isAbortError, type WpErrorCode, type WpErrorData } from './errors.ts';
export type * from './types.ts';
export type * from './tensors.ts';
export type {
  Model,
  Classification,
  ClassifyOptions,
  Embeddings,
  EmbedOptions,
  EncodeOptions,
  ImagePixels,
  ImageSource,
  RankedDocument,
  ZeroShotOptions,
  ChatFunction,
  Completion,
  CompletionChunk,
  CompletionRequest,
  CompletionUsage,
  CreateCompletion,
} from './model.ts';
