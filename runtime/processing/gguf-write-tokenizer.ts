// A tokenizer.json as the metadata that GGUF files carry: the other way round from gguf-tokenizer.ts. Byte-level BPE of the
// kinds that GGUF can name, and SentencePiece vocabularies in their BPE form. What cannot be said is refused: a file with
// another tokenizer would give the model other tokens.

import { WpError } from '../errors.ts';
import { PRE_TOKENIZER_NAMES, preTokenizerRules } from './gguf-pre-tokenizers.ts';
import { TOKEN_TYPE } from './gguf-vocabulary.ts';
import { isRecord } from './json.ts';

/** Values of metadata, with the type that each key has in files. */
export type TokenizerEntry =
  | { key: string; kind: 'text'; value: string }
  | { key: string; kind: 'texts'; value: readonly string[] }
  | { key: string; kind: 'i32s' | 'f32s'; value: readonly number[] }
  | { key: string; kind: 'u32' | 'bool'; value: number };

export interface WrittenTokens {
  bos: number | undefined;
  eos: number | undefined;
  pad: number | undefined;
}

/**
 * `tokens` are the ids that config.json names. `vocabularySize` is the embedding's rows: ids without a token are filled.
 * Throws `unsupported-format` for a tokenizer that GGUF cannot name.
 */
export function writeGgufTokenizer(
  tokenizer: unknown,
  tokenizerConfig: unknown,
  { bos, eos, pad }: WrittenTokens,
  vocabularySize: number,
  chatTemplate: string | undefined,
): TokenizerEntry[] {
  const model = isRecord(tokenizer) ? tokenizer['model'] : undefined;
  if (!isRecord(tokenizer) || !isRecord(model) || model['type'] !== 'BPE' || !isRecord(model['vocab'])) {
    throw unwritable(`its model is ${isRecord(model) ? String(model['type']) : 'missing'}, not BPE`);
  }
  const isSentencePiece = model['byte_fallback'] === true;
  const { tokens, types } = vocabularyOf(tokenizer, model['vocab'], vocabularySize, isSentencePiece);
  const merges = (Array.isArray(model['merges']) ? (model['merges'] as unknown[]) : []).map((merge) =>
    typeof merge === 'string' ? merge : (merge as string[]).join(' '),
  );
  const entries: TokenizerEntry[] = [
    { key: 'model', kind: 'text', value: isSentencePiece ? 'llama' : 'gpt2' },
    { key: 'tokens', kind: 'texts', value: tokens },
    { key: 'token_type', kind: 'i32s', value: types },
  ];
  if (isSentencePiece) {
    entries.push({ key: 'scores', kind: 'f32s', value: scoresOf(tokens, types, merges) });
    entries.push({ key: 'add_space_prefix', kind: 'bool', value: hasPrefix(tokenizer) ? 1 : 0 });
  } else {
    entries.push({ key: 'pre', kind: 'text', value: preTokenizerName(tokenizer, model) });
    entries.push({ key: 'merges', kind: 'texts', value: merges });
  }
  const ids = { bos_token_id: bos, eos_token_id: eos, padding_token_id: pad };
  for (const [key, value] of Object.entries(ids)) if (value !== undefined) entries.push({ key, kind: 'u32', value });
  entries.push({ key: 'add_bos_token', kind: 'bool', value: beginsWith(tokenizer, tokens[bos ?? -1]) ? 1 : 0 });
  const prefixed = entries.map((entry): TokenizerEntry => ({ ...entry, key: `tokenizer.ggml.${entry.key}` }));
  const own = isRecord(tokenizerConfig) ? tokenizerConfig['chat_template'] : undefined;
  const template = typeof own === 'string' ? own : chatTemplate;
  if (template) prefixed.push({ key: 'tokenizer.chat_template', kind: 'text', value: template });
  return prefixed;
}

function vocabularyOf(
  tokenizer: Record<string, unknown>,
  vocab: Record<string, unknown>,
  size: number,
  isSentencePiece: boolean,
): { tokens: string[]; types: number[] } {
  const tokens: (string | undefined)[] = Array.from({ length: size }, () => undefined);
  const types: number[] = tokens.map(() => TOKEN_TYPE.unused);
  const set = (id: unknown, token: string, type: number): void => {
    if (typeof id !== 'number' || !Number.isInteger(id) || id < 0 || id >= size) return;
    tokens[id] = token;
    types[id] = type;
  };
  for (const [token, id] of Object.entries(vocab)) {
    const isByte = isSentencePiece && /^<0x[0-9A-F]{2}>$/.test(token);
    set(id, token, isByte ? TOKEN_TYPE.byte : TOKEN_TYPE.normal);
  }
  const added = Array.isArray(tokenizer['added_tokens']) ? (tokenizer['added_tokens'] as unknown[]) : [];
  for (const one of added) {
    if (!isRecord(one) || typeof one['content'] !== 'string') continue;
    const unknown = isSentencePiece && one['content'] === '<unk>';
    const type = unknown ? TOKEN_TYPE.unknown : one['special'] === true ? TOKEN_TYPE.control : TOKEN_TYPE.userDefined;
    set(one['id'], one['content'], type);
  }
  return { tokens: tokens.map((token, id) => token ?? `[PAD${id}]`), types };
}

/** Merges come in the order of the scores of what they make. */
function scoresOf(tokens: readonly string[], types: readonly number[], merges: readonly string[]): number[] {
  const rank = new Map<string, number>();
  merges.forEach((merge, i) => {
    const made = merge.replace(' ', '');
    if (!rank.has(made)) rank.set(made, -1 - i);
  });
  return tokens.map((token, id) => (types[id] === TOKEN_TYPE.normal ? (rank.get(token) ?? -1e9) : 0));
}

function hasPrefix(tokenizer: Record<string, unknown>): boolean {
  return /"type":"Prepend"|"prepend_scheme":"(?:first|always)"/.test(
    JSON.stringify([tokenizer['normalizer'], tokenizer['pre_tokenizer']]),
  );
}

function beginsWith(tokenizer: Record<string, unknown>, token: string | undefined): boolean {
  const processors = JSON.stringify(tokenizer['post_processor'] ?? null);
  return token !== undefined && processors.includes(`"single":[{"SpecialToken":{"id":${JSON.stringify(token)}`);
}

/** The regular expression that ByteLevel cuts by, when it does. */
const GPT2 = preTokenizerRules('gpt-2').patterns[0]!;

function preTokenizerName(tokenizer: Record<string, unknown>, model: Record<string, unknown>): string {
  const patterns = patternsOf(tokenizer['pre_tokenizer']);
  const ignoresMerges = model['ignore_merges'] === true;
  const normalizer = tokenizer['normalizer'];
  const composes = isRecord(normalizer) && normalizer['type'] === 'NFC';
  if (patterns && (composes || normalizer === null || normalizer === undefined)) {
    for (const name of PRE_TOKENIZER_NAMES) {
      const rules = preTokenizerRules(name);
      const isSame =
        rules.patterns.length === patterns.length &&
        rules.patterns.every((pattern, i) => canonical(pattern) === canonical(patterns[i]!));
      if (isSame && (rules.ignoreMerges ?? false) === ignoresMerges && (rules.composes ?? false) === composes)
        return name;
    }
  }
  throw unwritable('it cuts text in a way that GGUF has no name for');
}

function patternsOf(preTokenizer: unknown): string[] | undefined {
  if (!isRecord(preTokenizer)) return undefined;
  switch (preTokenizer['type']) {
    case 'ByteLevel':
      return preTokenizer['use_regex'] === false ? [] : [GPT2];
    case 'Digits':
      return preTokenizer['individual_digits'] === true ? ['\\p{N}'] : ['\\p{N}+'];
    case 'Split': {
      const pattern = preTokenizer['pattern'];
      const regex = isRecord(pattern) ? pattern['Regex'] : undefined;
      return typeof regex === 'string' && preTokenizer['behavior'] === 'Isolated' ? [regex] : undefined;
    }
    case 'Sequence': {
      const list = preTokenizer['pretokenizers'];
      const parts = Array.isArray(list) ? list.map(patternsOf) : [undefined];
      return parts.some((part) => part === undefined) ? undefined : (parts as string[][]).flat();
    }
    default:
      return undefined;
  }
}

/** The same expression is written in several ways. */
function canonical(pattern: string): string {
  return pattern
    .replace("(?i:'s|'t|'re|'ve|'m|'ll|'d)", "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])")
    .replace(/\\p\{N\}\{1,1\}/g, '\\p{N}')
    .replace(/\s+$/, '');
}

function unwritable(why: string): WpError {
  return new WpError(
    'unsupported-format',
    `The tokenizer cannot be written to a GGUF file: ${why}.`,
    'Write a folder of safetensors instead, which keeps tokenizer.json as it is.',
  );
}
