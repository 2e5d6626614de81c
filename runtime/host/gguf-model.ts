// A GGUF file as a model's description and checkpoint. A chunk of its own: pages that load no GGUF never download it.

import type { Graph } from '../graph/types.ts';
import type { ModelFiles } from '../loading/model-files.ts';
import { readGgufTokenizer } from '../processing/gguf-tokenizer.ts';
import type { WeightFormat } from '../quantization/formats.ts';
import type { Checkpoint } from '../weights/checkpoint.ts';
import { openGguf, type GgufModel } from '../weights/gguf/open.ts';
import type { ModelDescription } from './model-description.ts';

export interface OpenedGguf {
  description: ModelDescription;
  checkpoint: Checkpoint;
  /** Of an encoder of texts: how they become vectors. */
  encoder: GgufModel['encoder'];
  /** The file's metadata as it stands there: for writing another. */
  readEntries(signal?: AbortSignal): Promise<{ key: string; bytes: Uint8Array }[]>;
  /** Throws `unsupported-config` for a tensor of the file that the graph leaves out. */
  expectAllUsed(graph: Graph): void;
  /** What becomes of the file's types in the planned formats: reasons for the plan. */
  conversions(graph: Graph, formats: ReadonlyMap<string, WeightFormat>): { topic: string; reason: string }[];
}

/** Reads headers and metadata; no weights. */
export async function openGgufModel(files: ModelFiles, signal?: AbortSignal): Promise<OpenedGguf> {
  const { metadata, config, ...model } = await openGguf(files, signal);
  const { tokenizer, tokenizerConfig, endTokens } = readGgufTokenizer(metadata);
  return {
    ...model,
    description: {
      config: { ...config, eos_token_id: endTokens },
      generationConfig: undefined,
      tokenizer,
      tokenizerConfig,
      templateText: undefined,
      templateJson: undefined,
    },
  };
}
