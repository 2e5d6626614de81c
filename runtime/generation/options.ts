// What a caller asks for, checked and completed with the model's own defaults (generation_config.json).

import { WpError } from '../errors.ts';
import type { GenerationOptions, ModelInfo } from '../types.ts';
import { randomSeed } from './random.ts';

export type GenerationDefaults = ModelInfo['defaults'];

/** Every option decided. */
export interface ResolvedGenerationOptions extends GenerationDefaults {
  seed: number;
  stop: readonly string[];
}

type NumericOption = keyof GenerationDefaults | 'seed';

interface Range {
  allowed: string;
  contains(value: number): boolean;
}

const RANGES: Readonly<Record<NumericOption, Range>> = {
  maxTokens: { allowed: 'an integer of 1 or more', contains: (n) => Number.isInteger(n) && n >= 1 },
  temperature: { allowed: 'a number from 0 (greedy) to 100', contains: (x) => x >= 0 && x <= 100 },
  topK: { allowed: 'an integer of 0 (all tokens) or more', contains: (n) => Number.isInteger(n) && n >= 0 },
  topP: { allowed: 'a number above 0, at most 1', contains: (x) => x > 0 && x <= 1 },
  minP: { allowed: 'a number from 0 to 1', contains: (x) => x >= 0 && x <= 1 },
  repetitionPenalty: {
    allowed: 'a number above 0, at most 100; 1 changes nothing',
    contains: (x) => x > 0 && x <= 100,
  },
  seed: { allowed: 'an integer', contains: Number.isInteger },
};

const DEFAULT_NAMES = ['maxTokens', 'temperature', 'topK', 'topP', 'minP', 'repetitionPenalty'] as const;

/** For models without a generation_config.json. topK 50 is the default of transformers. */
const FALLBACKS: GenerationDefaults = {
  maxTokens: 512,
  temperature: 0.7,
  topK: 50,
  topP: 1,
  minP: 0,
  repetitionPenalty: 1,
};

/** @throws WpError `invalid-argument` with the actual and the allowed value. */
export function resolveGenerationOptions(
  options: GenerationOptions,
  defaults: GenerationDefaults,
): ResolvedGenerationOptions {
  const pick = (name: NumericOption, fallback: number): number => {
    const value: unknown = options[name];
    if (value === undefined) return fallback;
    const { allowed, contains } = RANGES[name];
    if (typeof value === 'number' && contains(value)) return value;
    throw new WpError(
      'invalid-argument',
      `${name} is ${typeof value === 'string' ? JSON.stringify(value) : String(value)}; it must be ${allowed}.`,
      `Leave ${name} out for the model's default.`,
      { option: name, actual: value, allowed },
    );
  };
  const resolved = { ...defaults, seed: pick('seed', randomSeed()), stop: resolveStop(options.stop) };
  for (const name of DEFAULT_NAMES) resolved[name] = pick(name, defaults[name]);
  return resolved;
}

function resolveStop(stop: unknown): readonly string[] {
  if (stop === undefined) return [];
  const stops: unknown[] = Array.isArray(stop) ? stop : [stop];
  for (const item of stops) {
    if (typeof item === 'string' && item !== '') continue;
    throw new WpError(
      'invalid-argument',
      `A stop string is ${JSON.stringify(item)}; it must be a text of at least one character.`,
      'Pass a string, or a list of strings.',
      { option: 'stop', actual: item, allowed: 'a text of at least one character' },
    );
  }
  return stops as string[];
}

/**
 * Defaults from a parsed generation_config.json (undefined when the model has none).
 * `do_sample: false` means greedy; where it is not said, the model is sampled.
 * @throws WpError `corrupt-file` when a value is out of its range.
 */
export function readGenerationDefaults(generationConfig: unknown): GenerationDefaults {
  const config = (generationConfig ?? {}) as Record<string, unknown>;
  const read = (name: keyof GenerationDefaults, field: string): number => {
    const value = config[field];
    if (value === undefined || value === null) return FALLBACKS[name];
    if (typeof value === 'number' && RANGES[name].contains(value)) return value;
    throw new WpError(
      'corrupt-file',
      `generation_config.json says ${field}: ${JSON.stringify(value)}; it must be ${RANGES[name].allowed}.`,
      'Correct the file beside the weights, or remove the field.',
      { file: 'generation_config.json', field, actual: value, allowed: RANGES[name].allowed },
    );
  };
  return {
    maxTokens: read('maxTokens', 'max_new_tokens'),
    temperature: config.do_sample === false ? 0 : read('temperature', 'temperature'),
    topK: read('topK', 'top_k'),
    topP: read('topP', 'top_p'),
    minP: read('minP', 'min_p'),
    repetitionPenalty: read('repetitionPenalty', 'repetition_penalty'),
  };
}

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

/** Options of a parsed generation_config.json that would change the sampling and are not supported: told, not hidden. */
export function ignoredGenerationOptions(generationConfig: unknown): string[] {
  const config = (generationConfig ?? {}) as Record<string, unknown>;
  return Object.entries(UNSUPPORTED)
    .filter(([name, off]) => (config[name] ?? undefined) !== undefined && config[name] !== off)
    .map(([name]) => name);
}

/**
 * Ids that end an answer: the union of what generation_config.json, config.json and the tokenizer name, since chat
 * models often have one for the end of a text and one for the end of a turn.
 */
export function readEndTokens(sources: {
  generationConfig?: unknown;
  config?: unknown;
  tokenizer?: { readonly eosId: number | undefined } | undefined;
}): number[] {
  const ids = new Set<number>();
  for (const source of [sources.generationConfig, sources.config]) {
    const value = (source as { eos_token_id?: unknown } | null | undefined)?.eos_token_id;
    for (const id of Array.isArray(value) ? (value as unknown[]) : [value]) {
      if (typeof id === 'number' && Number.isInteger(id) && id >= 0) ids.add(id);
    }
  }
  if (sources.tokenizer?.eosId !== undefined) ids.add(sources.tokenizer.eosId);
  return [...ids];
}
