// The vocabulary in a GGUF file's metadata: tokens with their types and scores, and which of them mean something.

import { WpError } from '../errors.ts';

/** What a GGUF file says of itself, as it was read: see weights/gguf. */
export type GgufMetadata = ReadonlyMap<string, unknown>;

/** `token_type` of the format. */
export const TOKEN_TYPE = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;

export interface GgufVocabulary {
  /** By id; no two are equal. */
  tokens: readonly string[];
  types: readonly number[];
  /** By id, of SPM vocabularies. */
  scores: readonly number[] | undefined;
  /** The token of a key such as `bos_token_id`, or undefined. */
  special(key: string): number | undefined;
}

const prefix = 'tokenizer.ggml.';

export function readGgufVocabulary(metadata: GgufMetadata): GgufVocabulary {
  const listed = texts(metadata, 'tokens');
  if (!listed || listed.length === 0) throw missing('tokens');
  const types = numbers(metadata, 'token_type', listed.length) ?? listed.map(() => TOKEN_TYPE.normal);
  const tokens = distinct(listed);
  return {
    tokens,
    types,
    scores: numbers(metadata, 'scores', listed.length),
    special(key) {
      const id = metadata.get(prefix + key);
      // Some converters write −1 as an unsigned number where there is no such token.
      if (id === undefined || id === 0xffffffff || id === -1) return undefined;
      if (typeof id === 'number' && Number.isInteger(id) && id >= 0 && id < tokens.length) return id;
      throw corrupt(`${prefix}${key} is ${String(id)}; the vocabulary has ${tokens.length} tokens`, { actual: id });
    },
  };
}

export function flag(metadata: GgufMetadata, key: string, otherwise: boolean): boolean {
  const value = metadata.get(prefix + key) ?? otherwise;
  if (typeof value === 'boolean') return value;
  throw corrupt(`${prefix}${key} is ${JSON.stringify(value)?.slice(0, 40)}, not true or false`, { actual: value });
}

export function text(metadata: GgufMetadata, key: string): string | undefined {
  const value = metadata.get(prefix + key);
  if (value === undefined || typeof value === 'string') return value;
  throw corrupt(`${prefix}${key} is no text`, { actual: typeof value });
}

export function texts(metadata: GgufMetadata, key: string): readonly string[] | undefined {
  const value = metadata.get(prefix + key);
  if (value === undefined) return undefined;
  if (Array.isArray(value) && value.every((one) => typeof one === 'string')) return value;
  throw corrupt(`${prefix}${key} is not a list of texts`, {});
}

function numbers(metadata: GgufMetadata, key: string, count: number): readonly number[] | undefined {
  const value = metadata.get(prefix + key);
  if (value === undefined) return undefined;
  if (!Array.isArray(value) || !value.every((one) => typeof one === 'number')) {
    throw corrupt(`${prefix}${key} is not a list of numbers`, {});
  }
  if (value.length === count) return value;
  throw corrupt(`${prefix}${key} has ${value.length} entries for ${count} tokens`, {
    actual: value.length,
    expected: count,
  });
}

/** Files pad their vocabularies with empty and repeated texts, which no text is ever cut into: they get names. */
function distinct(tokens: readonly string[]): string[] {
  const seen = new Set<string>();
  return tokens.map((token, id) => {
    let name = token === '' ? `[EMPTY_${id}]` : token;
    while (seen.has(name)) name = `[REPEATED_${id}]${name === `[REPEATED_${id}]` ? '_' : ''}`;
    seen.add(name);
    return name;
  });
}

function missing(key: string): WpError {
  return new WpError(
    'missing-tokenizer',
    `The GGUF file has no ${prefix}${key}.`,
    'Choose a file that holds its tokenizer, as those of current converters do.',
    { field: prefix + key },
  );
}

export function corrupt(what: string, details: Record<string, unknown>): WpError {
  return new WpError(
    'corrupt-file',
    `The GGUF file's tokenizer cannot be read: ${what}.`,
    'Download the file again, or choose another one of the same model.',
    details,
  );
}
