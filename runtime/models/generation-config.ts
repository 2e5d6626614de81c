// generation_config.json: how a model wants to be sampled, and which tokens end its answer. All of it may be absent.

import type { ModelInfo } from '../types.ts';
import { ConfigReader } from './config-reader.ts';
import type { DecoderConfig } from './decoder-config.ts';

export interface GenerationConfig {
  /** Any of these ends a generation: those of generation_config.json, else those of config.json. */
  eosTokens: readonly number[];
  bosToken: number | undefined;
  padToken: number | undefined;
  defaults: ModelInfo['defaults'];
  /** Options of the file that would change the sampling and are not supported here, by name, for the report. */
  ignored: readonly string[];
}

/** What holds where the file is silent. */
const DEFAULTS: ModelInfo['defaults'] = {
  maxTokens: 512,
  temperature: 0.7,
  topK: 0,
  topP: 1,
  minP: 0,
  repetitionPenalty: 1,
};

/** Options of transformers that are on when they differ from these values. */
const UNSUPPORTED: Readonly<Record<string, unknown>> = {
  num_beams: 1,
  typical_p: 1,
  epsilon_cutoff: 0,
  eta_cutoff: 0,
  top_h: undefined,
  no_repeat_ngram_size: 0,
  encoder_repetition_penalty: 1,
  length_penalty: 1,
  penalty_alpha: undefined,
  guidance_scale: undefined,
  bad_words_ids: undefined,
  suppress_tokens: undefined,
  begin_suppress_tokens: undefined,
  sequence_bias: undefined,
  forced_bos_token_id: undefined,
  forced_eos_token_id: undefined,
  exponential_decay_length_penalty: undefined,
  min_new_tokens: undefined,
  stop_strings: undefined,
};

/**
 * Reads a parsed generation_config.json, or undefined where there is none.
 * Throws `unsupported-config` for a value out of its range.
 */
export function readGenerationConfig(
  json: unknown,
  config: Pick<DecoderConfig, 'eosTokens' | 'bosToken' | 'padToken'>,
): GenerationConfig {
  const reader = new ConfigReader(json ?? {}, 'generation_config.json');
  const eosTokens = reader.tokens('eos_token_id');
  const isGreedy = !reader.flag('do_sample', true);
  const temperature = number(reader, 'temperature', DEFAULTS.temperature, 0, 100);
  return {
    eosTokens: eosTokens.length > 0 ? eosTokens : config.eosTokens,
    bosToken: reader.tokens('bos_token_id')[0] ?? config.bosToken,
    padToken: reader.value('pad_token_id') === -1 ? undefined : (reader.tokens('pad_token_id')[0] ?? config.padToken),
    defaults: {
      maxTokens: reader.count('max_new_tokens', 1 << 26, DEFAULTS.maxTokens),
      temperature: isGreedy ? 0 : temperature,
      topK: Math.floor(number(reader, 'top_k', DEFAULTS.topK, 0, Infinity)),
      topP: number(reader, 'top_p', DEFAULTS.topP, 0, 1),
      minP: number(reader, 'min_p', DEFAULTS.minP, 0, 1),
      repetitionPenalty: number(reader, 'repetition_penalty', DEFAULTS.repetitionPenalty, 1e-3, 1e3),
    },
    ignored: Object.entries(UNSUPPORTED)
      .filter(([name, off]) => reader.value(name) !== undefined && reader.value(name) !== off)
      .map(([name]) => name),
  };
}

function number(reader: ConfigReader, name: string, otherwise: number, least: number, greatest: number): number {
  const value = reader.value(name) ?? otherwise;
  if (typeof value === 'number' && value >= least && value <= greatest) return value;
  throw reader.unsupported(name, value, `a number from ${least} to ${greatest}`);
}
