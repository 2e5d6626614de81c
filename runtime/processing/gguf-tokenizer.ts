// The tokenizer in a GGUF file's metadata as the tokenizer.json and tokenizer_config.json that it would have beside
// safetensors: one engine (tokenizer.ts) serves all. Keys: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.

import { WpError } from '../errors.ts';
import { preTokenizerRules } from './gguf-pre-tokenizers.ts';
import { mergesOfScores } from './gguf-spm.ts';
import {
  flag,
  corrupt,
  readGgufVocabulary,
  text,
  texts,
  TOKEN_TYPE,
  type GgufMetadata,
  type GgufVocabulary,
} from './gguf-vocabulary.ts';

export interface GgufTokenizer {
  /** For `createTokenizer`. */
  tokenizer: Record<string, unknown>;
  tokenizerConfig: Record<string, unknown>;
  /** Ids that end an answer: of a text, of a turn. */
  endTokens: readonly number[];
}

/** What a kind of vocabulary decides; the rest is the same for all. */
interface Kind {
  normalizer: unknown;
  preTokenizer: unknown;
  decoder: unknown;
  model: Record<string, unknown>;
  addsBos: boolean;
  addsEos: boolean;
  /** The keys of the tokens around a text. */
  first: string;
  last: string;
}

const KINDS: Readonly<Record<string, (vocabulary: GgufVocabulary, metadata: GgufMetadata) => Kind>> = {
  gpt2: byteLevel,
  llama: sentencePiece,
  bert: wordPiece,
};

/**
 * Throws `missing-tokenizer` when the file has no vocabulary, `corrupt-file` when it contradicts itself, and
 * `unsupported-config` for a kind of vocabulary or of cutting that is not known.
 */
export function readGgufTokenizer(metadata: GgufMetadata): GgufTokenizer {
  const vocabulary = readGgufVocabulary(metadata);
  const name = text(metadata, 'model') ?? '';
  const kind = Object.hasOwn(KINDS, name) ? KINDS[name] : undefined;
  if (!kind) {
    const allowed = Object.keys(KINDS);
    throw new WpError(
      'unsupported-config',
      `The model's vocabulary is of the kind ${JSON.stringify(name.slice(0, 80))} (tokenizer.ggml.model); supported: ${allowed.join(', ')}.`,
      'Choose another model.',
      { field: 'tokenizer.ggml.model', actual: name.slice(0, 80), allowed },
    );
  }
  const { normalizer, preTokenizer, decoder, model, addsBos, addsEos, first, last } = kind(vocabulary, metadata);
  const { tokens, types } = vocabulary;
  const token = (key: string): Token | undefined => {
    const id = vocabulary.special(key);
    return id === undefined ? undefined : { id, content: tokens[id]! };
  };
  const around = {
    before: flag(metadata, 'add_bos_token', addsBos) ? token(first) : undefined,
    after: flag(metadata, 'add_eos_token', addsEos) ? token(last) : undefined,
  };
  const template = metadata.get('tokenizer.chat_template');
  return {
    tokenizer: {
      version: '1.0',
      added_tokens: addedTokens(tokens, types),
      normalizer,
      pre_tokenizer: preTokenizer,
      post_processor: surroundings(around),
      decoder,
      model,
    },
    tokenizerConfig: {
      bos_token: token('bos_token_id')?.content,
      eos_token: token('eos_token_id')?.content,
      unk_token: token('unknown_token_id')?.content,
      pad_token: token('padding_token_id')?.content,
      clean_up_tokenization_spaces: false,
      ...(typeof template === 'string' && { chat_template: template }),
    },
    endTokens: endTokens(vocabulary),
  };
}

function addedTokens(tokens: readonly string[], types: readonly number[]): unknown[] {
  const added: unknown[] = [];
  tokens.forEach((content, id) => {
    const type = types[id];
    const special = type === TOKEN_TYPE.control || type === TOKEN_TYPE.unknown;
    if (special || type === TOKEN_TYPE.userDefined) {
      added.push({ id, content, special, single_word: false, lstrip: false, rstrip: false, normalized: false });
    }
  });
  return added;
}

interface Token {
  id: number;
  content: string;
}

function surroundings({ before, after }: { before: Token | undefined; after: Token | undefined }): unknown {
  const around = [before, after].filter((token) => token !== undefined);
  if (around.length === 0) return null;
  const special = (token: Token | undefined, type: number): unknown[] =>
    token ? [{ SpecialToken: { id: token.content, type_id: type } }] : [];
  const single = [...special(before, 0), { Sequence: { id: 'A', type_id: 0 } }, ...special(after, 0)];
  const pair = [...single, { Sequence: { id: 'B', type_id: 1 } }, ...special(after, 1)];
  const described = around.map(({ id, content }) => [content, { id: content, ids: [id], tokens: [content] }] as const);
  return { type: 'TemplateProcessing', single, pair, special_tokens: Object.fromEntries(described) };
}

/** Control tokens that end a turn, by the names that models give them; files name only one of theirs as the end. */
const END_NAMES: ReadonlySet<string> = new Set([
  ...['<|im_end|>', '<|eot_id|>', '<|eom_id|>', '<|end|>', '<end_of_turn>', '<|endoftext|>', '<|end_of_text|>'],
  ...['<｜end▁of▁sentence｜>', '<EOT>', '_<EOT>'],
]);

function endTokens({ tokens, types, special }: GgufVocabulary): number[] {
  const ends = ['eos_token_id', 'eot_token_id', 'eom_token_id'].map(special).filter((id) => id !== undefined);
  tokens.forEach((token, id) => {
    if (types[id] === TOKEN_TYPE.control && END_NAMES.has(token)) ends.push(id);
  });
  return [...new Set(ends)];
}

function idsOf(tokens: readonly string[]): Record<string, number> {
  // Not by assignment: a token may be called __proto__.
  return Object.fromEntries(tokens.map((token, id) => [token, id]));
}

function byteLevel({ tokens }: GgufVocabulary, metadata: GgufMetadata): Kind {
  const merges = texts(metadata, 'merges');
  if (!merges) throw corrupt('there are no tokenizer.ggml.merges', {});
  const rules = preTokenizerRules(text(metadata, 'pre') ?? 'default');
  const bytes = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false };
  return {
    normalizer: rules.composes ? { type: 'NFC' } : null,
    preTokenizer: {
      type: 'Sequence',
      pretokenizers: [
        ...rules.patterns.map((Regex) => ({ type: 'Split', pattern: { Regex }, behavior: 'Isolated', invert: false })),
        bytes,
      ],
    },
    decoder: bytes,
    model: { type: 'BPE', vocab: idsOf(tokens), merges, unk_token: null, ignore_merges: rules.ignoreMerges ?? false },
    addsBos: rules.addsBos ?? false,
    addsEos: false,
    first: 'bos_token_id',
    last: 'eos_token_id',
  };
}

function sentencePiece(vocabulary: GgufVocabulary, metadata: GgufMetadata): Kind {
  if (!vocabulary.scores) throw corrupt('there are no tokenizer.ggml.scores', {});
  const { tokens } = vocabulary;
  const beginsWithSpace = flag(metadata, 'add_space_prefix', true);
  const unknown = vocabulary.special('unknown_token_id');
  const replace = { type: 'Replace', pattern: { String: ' ' }, content: '▁' };
  return {
    normalizer: {
      type: 'Sequence',
      normalizers: [...(beginsWithSpace ? [{ type: 'Prepend', prepend: '▁' }] : []), replace],
    },
    preTokenizer: null,
    decoder: {
      type: 'Sequence',
      decoders: [
        { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
        { type: 'ByteFallback' },
        { type: 'Fuse' },
        ...(beginsWithSpace ? [{ type: 'Strip', content: ' ', start: 1, stop: 0 }] : []),
      ],
    },
    model: {
      type: 'BPE',
      vocab: idsOf(tokens),
      merges: mergesOfScores(vocabulary),
      unk_token: unknown === undefined ? null : tokens[unknown],
      fuse_unk: true,
      byte_fallback: true,
      ignore_merges: false,
    },
    addsBos: true,
    addsEos: false,
    first: 'bos_token_id',
    last: 'eos_token_id',
  };
}

/** GGUF marks the beginning of a word (▁), WordPiece what continues one (##). */
function wordPiece({ tokens, types, special }: GgufVocabulary): Kind {
  const unknown = special('unknown_token_id');
  if (unknown === undefined) throw corrupt('there is no tokenizer.ggml.unknown_token_id', {});
  const first = special('cls_token_id') === undefined ? 'bos_token_id' : 'cls_token_id';
  const last = special('seperator_token_id') === undefined ? 'separator_token_id' : 'seperator_token_id';
  const written = tokens.map((token, id) => {
    if (types[id] !== TOKEN_TYPE.normal || /^\[.*\]$/.test(token)) return token;
    return token.startsWith('▁') ? token.slice(1) : `##${token}`;
  });
  return {
    normalizer: {
      type: 'BertNormalizer',
      clean_text: true,
      handle_chinese_chars: true,
      strip_accents: null,
      lowercase: true,
    },
    preTokenizer: { type: 'BertPreTokenizer' },
    decoder: { type: 'WordPiece', prefix: '##', cleanup: false },
    model: {
      type: 'WordPiece',
      vocab: idsOf(written),
      unk_token: tokens[unknown],
      continuing_subword_prefix: '##',
      max_input_chars_per_word: 100,
    },
    addsBos: true,
    addsEos: true,
    first,
    last: special(last) === undefined ? 'eos_token_id' : last,
  };
}
