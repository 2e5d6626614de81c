// What lies beside an ONNX export and says how texts become its ids: config.json, tokenizer.json, and sentence-transformers' files.

import { isAbortError, throwIfAborted, WpError } from '../../errors.ts';
import type { ModelFiles } from '../../loading/model-files.ts';
import { isRecord } from '../../processing/json.ts';
import { readSequenceTemplate } from '../../processing/sequence-template.ts';
import { createTokenizer } from '../../processing/tokenizer.ts';
import { libraryFor } from '../../processing/tokenizer-library.ts';
import type { EncoderTextModel } from '../../tasks/text-model.ts';
import type { TensorInfo } from '../../tensors.ts';
import { longestText } from '../encoder-options.ts';

export type Config = Readonly<Record<string, unknown>>;

/** A whole number of config.json, where it has one. */
export function countIn(config: Config, ...names: readonly string[]): number | undefined {
  const name = names.find((field) => typeof config[field] === 'number');
  return name === undefined ? undefined : (config[name] as number);
}

/** A part of its own in the configuration of a model of two towers: `text_config`, `vision_config`; else the whole. */
export function partOf(config: Config, name: 'text_config' | 'vision_config'): Config {
  const part = config[name];
  return isRecord(part) ? part : config;
}

/** Names of a head's columns: as many as the file declares, else as config.json has. */
export function labelNames(config: Config, declared: number | undefined): string[] {
  const names = isRecord(config.id2label) ? config.id2label : {};
  const count = declared ?? (Object.keys(names).length || 2);
  return Array.from({ length: count }, (_, i) => String(names[i] ?? `LABEL_${i}`));
}

/** Also undefined where a server answers with a page, or refuses, for what does not exist. */
export async function readOptional(files: ModelFiles, name: string, signal: AbortSignal): Promise<unknown> {
  try {
    return await (await files.open(name, signal))?.readJson(signal);
  } catch (thrown) {
    const isNoFile = thrown instanceof WpError && (thrown.code === 'not-a-model' || thrown.details['status'] === 403);
    if (isAbortError(thrown) || !isNoFile) throw thrown;
    return undefined;
  }
}

export interface TextReader extends Pick<EncoderTextModel, 'tokenizer' | 'template'> {
  /** Of a text, special tokens included; at most what the page asked for. */
  maxTokens: number;
  /** What the model itself takes. */
  modelTokens: number;
  /** Where the graph takes no other: the length of every text, in tokens. */
  fixedTokens: number | undefined;
  padId: number;
}

export interface TextReaderRequest {
  files: ModelFiles;
  /** Of the texts' side of the model. */
  config: Config;
  /** Of the graph: `input_ids`. */
  ids: TensorInfo;
  /** Positions where config.json is silent, and what sentence-transformers declare. */
  positions: number;
  declaredTokens: number | undefined;
  contextLength: number | undefined;
  signal: AbortSignal;
}

/** Undefined without a tokenizer.json. Throws `invalid-argument` for a `contextLength` that the model does not take. */
export async function readTexts({
  files,
  config,
  ids,
  positions,
  declaredTokens,
  contextLength,
  signal,
}: TextReaderRequest): Promise<TextReader | undefined> {
  const [tokenizerJson, tokenizerConfig] = await Promise.all(
    ['tokenizer.json', 'tokenizer_config.json'].map((name) => readOptional(files, name, signal)),
  );
  if (tokenizerJson === undefined) return undefined;
  const tokenizer = createTokenizer(tokenizerJson, tokenizerConfig, await libraryFor(tokenizerJson));
  throwIfAborted(signal);
  const fixed = ids.dims?.[1];
  const fixedTokens = typeof fixed === 'number' ? fixed : undefined;
  const modelTokens = Math.min(
    longestText(countIn(config, 'max_position_embeddings') ?? positions, declaredTokens, tokenizerConfig),
    fixedTokens ?? Infinity,
  );
  const isTaken =
    contextLength === undefined ||
    (Number.isInteger(contextLength) && contextLength >= 1 && contextLength <= modelTokens);
  if (!isTaken) {
    throw new WpError(
      'invalid-argument',
      `contextLength is ${contextLength}; the model takes 1 to ${modelTokens} tokens.`,
      'Leave it out, or pass a smaller one.',
      { actual: contextLength, allowed: [1, modelTokens] },
    );
  }
  return {
    tokenizer,
    template: readSequenceTemplate(tokenizerJson),
    maxTokens: contextLength ?? modelTokens,
    modelTokens,
    fixedTokens,
    padId: countIn(config, 'pad_token_id') ?? 0,
  };
}
