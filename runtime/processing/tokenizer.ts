// Text to token ids and back, from a model's tokenizer.json. The algorithms are @huggingface/tokenizers'; this file checks
// what goes in (the files are untrusted), gives errors with codes, and decodes by bytes where it can, so that a whole
// text and a stream of its tokens (text-stream.ts) give the same characters.

import type { Tokenizer } from '@huggingface/tokenizers';
import { WpError } from '../errors.ts';
import { isRecord, tokenContent } from './json.ts';
import { describeTokenBytes, type TokenBytes } from './token-bytes.ts';
import { Tokenizer as LightTokenizer, type TokenizerLibrary } from './tokenizer-library.ts';

export interface TextTokenizer {
  /** Highest token id + 1, added tokens included. A model's vocabulary may be padded beyond it. */
  readonly vocabularySize: number;
  /** From tokenizer_config.json, where it names them and the vocabulary has them. */
  readonly bosId: number | undefined;
  readonly eosId: number | undefined;
  readonly unknownId: number | undefined;
  readonly padId: number | undefined;
  /** Spaces that a text loses at its very start when it is decoded. */
  readonly leadingSpaces: number;
  /**
   * Token ids of a text. `addSpecialTokens` (default true) adds what the model expects around a text (BOS, for most).
   * Lone surrogates become U+FFFD, since they have no UTF-8.
   */
  encode(text: string, options?: { addSpecialTokens?: boolean }): number[];
  /** The text of ids. `skipSpecialTokens` (default true) leaves out special tokens. Bytes that are not UTF-8 become U+FFFD. */
  decode(ids: readonly number[], options?: { skipSpecialTokens?: boolean }): string;
  /** UTF-8 (perhaps a part of a character) that the token adds to a text; undefined when tokens cannot be decoded alone. */
  tokenBytes(id: number): Uint8Array | undefined;
  /** The token as the vocabulary writes it. */
  idToToken(id: number): string | undefined;
  tokenToId(token: string): number | undefined;
  isSpecial(id: number): boolean;
}

/** A vocabulary larger than this is taken for a damaged file; the largest known has 262,144 tokens. */
const MAX_TOKEN_ID = 1 << 22;

/**
 * A tokenizer from the parsed tokenizer.json and (if there is one) tokenizer_config.json. `Library` is the edition that the
 * file needs: `libraryFor` tells.
 * @throws WpError `missing-tokenizer` without a tokenizer.json, `corrupt-file` when it contradicts its format,
 *   `unsupported-config` when it asks for an algorithm that this version does not know.
 */
export function createTokenizer(
  tokenizerJson: unknown,
  tokenizerConfigJson?: unknown,
  Library: TokenizerLibrary = LightTokenizer,
): TextTokenizer {
  if (tokenizerJson === undefined || tokenizerJson === null) {
    throw new WpError(
      'missing-tokenizer',
      'The model has no tokenizer.json.',
      'Put the tokenizer.json of the model beside its weights; slow tokenizers can be converted with transformers’ AutoTokenizer.',
    );
  }
  checkStructure(tokenizerJson);
  const config = tokenizerConfigJson ?? {};
  if (!isRecord(config)) throw corrupt('tokenizer_config.json', 'it is not an object');
  let tokenizer: Tokenizer;
  try {
    tokenizer = new Library(tokenizerJson, config);
    // Some parts are read only when they are used: use them now, so that a damaged file fails where it is loaded.
    tokenizer.encode('a b', { add_special_tokens: true });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    if (/^Unknown|[Uu]nsupported/.test(reason)) {
      throw new WpError(
        'unsupported-config',
        `The model's tokenizer.json needs something that is not supported: ${reason}`,
        'Use a model with a BPE, Unigram or WordPiece tokenizer.',
        { reason },
        { cause: error },
      );
    }
    throw corrupt('tokenizer.json', reason, error);
  }
  return new LibraryTokenizer(tokenizer, tokenizerJson, config);
}

class LibraryTokenizer implements TextTokenizer {
  readonly vocabularySize: number;
  readonly bosId: number | undefined;
  readonly eosId: number | undefined;
  readonly unknownId: number | undefined;
  readonly padId: number | undefined;
  readonly leadingSpaces: number;
  readonly #tokenizer: Tokenizer;
  readonly #pieces: TokenBytes | undefined;
  readonly #bytes: (Uint8Array | undefined)[] = [];
  readonly #added = new Set<number>();
  readonly #special = new Set<number>();
  readonly #hasWordSuffix: boolean;
  readonly #cleanUp: boolean;

  constructor(tokenizer: Tokenizer, json: TokenizerJson, config: Record<string, unknown>) {
    this.#tokenizer = tokenizer;
    const id = (name: string): number | undefined => {
      const content = tokenContent(config[name]);
      return content === undefined ? undefined : tokenizer.token_to_id(content);
    };
    this.bosId = id('bos_token');
    this.eosId = id('eos_token');
    this.unknownId = id('unk_token');
    this.padId = id('pad_token');
    for (const [tokenId, token] of tokenizer.get_added_tokens_decoder()) {
      this.#added.add(tokenId);
      if (token.special) this.#special.add(tokenId);
    }
    let highest = -1;
    for (const tokenId of tokenizer.get_vocab(true).values()) highest = Math.max(highest, tokenId);
    this.vocabularySize = highest + 1;
    // A suffix that marks the end of a word (CLIP) makes a token's text depend on its neighbours.
    this.#hasWordSuffix = Boolean(json.model.end_of_word_suffix);
    this.#pieces = this.#hasWordSuffix ? undefined : describeTokenBytes(json.decoder);
    this.leadingSpaces = this.#pieces?.leadingSpaces ?? 0;
    // `clean_up_tokenization_spaces` corrupts what a byte-exact vocabulary says ("a ." becomes "a."): like transformers
    // since version 5, it is obeyed only by the vocabularies that lost the spaces in the first place.
    this.#cleanUp = this.#pieces === undefined && config.clean_up_tokenization_spaces === true;
  }

  encode(text: string, { addSpecialTokens = true }: { addSpecialTokens?: boolean } = {}): number[] {
    const wellFormed = replaceLoneSurrogates(text);
    const { ids } = attempt(() => this.#tokenizer.encode(wellFormed, { add_special_tokens: addSpecialTokens }));
    const missing = ids.findIndex((id) => !Number.isInteger(id));
    if (missing >= 0) {
      throw new WpError(
        'invalid-argument',
        'The text holds something that the model’s vocabulary cannot express, and the vocabulary has no token for the unknown.',
        'Remove unusual characters from the text.',
        { position: missing },
      );
    }
    return ids;
  }

  decode(ids: readonly number[], { skipSpecialTokens = true }: { skipSpecialTokens?: boolean } = {}): string {
    const kept = ids.filter((id) => {
      if (this.idToToken(id) === undefined) throw unknownToken(id, this.vocabularySize);
      return !(skipSpecialTokens && this.#special.has(id));
    });
    if (kept.length === 0) return '';
    if (!this.#pieces) {
      const cleanUp = this.#cleanUp;
      const text = attempt(() =>
        this.#tokenizer.decode(kept, { skip_special_tokens: false, clean_up_tokenization_spaces: cleanUp }),
      );
      // The suffix of the last word has become a space.
      return this.#hasWordSuffix ? text.trim() : text;
    }
    const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
    let text = '';
    for (const id of kept) text += decoder.decode(this.tokenBytes(id), { stream: true });
    text += decoder.decode();
    let start = 0;
    while (start < this.leadingSpaces && text[start] === ' ') start++;
    return text.slice(start);
  }

  tokenBytes(id: number): Uint8Array | undefined {
    if (!this.#pieces) return undefined;
    const known = this.#bytes[id];
    if (known) return known;
    const token = this.idToToken(id);
    if (token === undefined) throw unknownToken(id, this.vocabularySize);
    const bytes = this.#pieces.bytes(token, this.#added.has(id));
    this.#bytes[id] = bytes;
    return bytes;
  }

  idToToken(id: number): string | undefined {
    return this.#tokenizer.id_to_token(id);
  }

  tokenToId(token: string): number | undefined {
    return this.#tokenizer.token_to_id(token);
  }

  isSpecial(id: number): boolean {
    return this.#special.has(id);
  }
}

/** UTF-16 halves without their other half become U+FFFD. */
export function replaceLoneSurrogates(text: string): string {
  return text.replace(/\p{Surrogate}/gu, '\ufffd');
}

const MODEL_TYPES: readonly string[] = ['BPE', 'Unigram', 'WordPiece', 'WordLevel'];

interface TokenizerJson extends Record<string, unknown> {
  model: Record<string, unknown>;
  added_tokens: { id: number; content: string }[];
}

/** The library trusts these; a file that breaks them would fail later, far from its cause. */
function checkStructure(json: unknown): asserts json is TokenizerJson {
  if (!isRecord(json)) throw corrupt('tokenizer.json', 'it is not an object');
  if (!isRecord(json.model)) throw corrupt('tokenizer.json', 'it has no model');
  for (const part of ['normalizer', 'pre_tokenizer', 'post_processor', 'decoder']) {
    json[part] ??= null;
    if (json[part] !== null && !isRecord(json[part])) throw corrupt('tokenizer.json', `its ${part} is not an object`);
  }
  json.added_tokens ??= [];
  if (!Array.isArray(json.added_tokens)) throw corrupt('tokenizer.json', 'its added_tokens are not a list');
  for (const token of json.added_tokens as unknown[]) {
    if (!isRecord(token) || typeof token.content !== 'string' || !isTokenId(token.id)) {
      throw corrupt('tokenizer.json', `an added token is ${JSON.stringify(token)?.slice(0, 80)}`);
    }
  }
  const { type } = json.model;
  // The library would guess by the other fields. Old files leave the type out.
  if (type !== undefined && !MODEL_TYPES.includes(String(type))) {
    throw new WpError(
      'unsupported-config',
      `The model's tokenizer is of the type ${JSON.stringify(type)}, which is not supported.`,
      `Supported: ${MODEL_TYPES.join(', ')}.`,
      { actual: type, allowed: MODEL_TYPES },
    );
  }
  checkVocabulary(json.model);
}

function checkVocabulary(model: Record<string, unknown>): void {
  const { vocab, merges } = model;
  if (Array.isArray(vocab)) {
    const bad = vocab.findIndex(
      (entry: unknown) => !Array.isArray(entry) || typeof entry[0] !== 'string' || typeof entry[1] !== 'number',
    );
    if (bad >= 0) throw corrupt('tokenizer.json', `entry ${bad} of its vocabulary is not [token, score]`);
    if (vocab.length === 0) throw corrupt('tokenizer.json', 'its vocabulary is empty');
  } else if (isRecord(vocab)) {
    let count = 0;
    // Not by Object.entries, which takes three times as long: vocabularies have tens of thousands of tokens.
    for (const token in vocab) {
      const id = vocab[token];
      if (!isTokenId(id)) throw corrupt('tokenizer.json', `the id of token ${JSON.stringify(token)} is ${String(id)}`);
      count++;
    }
    if (count === 0) throw corrupt('tokenizer.json', 'its vocabulary is empty');
  } else {
    throw corrupt('tokenizer.json', 'its model has no vocabulary');
  }
  if (merges === undefined) return;
  if (!Array.isArray(merges)) throw corrupt('tokenizer.json', 'its merges are not a list');
  const bad = merges.findIndex((merge: unknown) => {
    const pair: unknown = typeof merge === 'string' ? merge.split(' ') : merge;
    return !Array.isArray(pair) || pair.length !== 2 || !pair.every((part) => typeof part === 'string');
  });
  if (bad >= 0) throw corrupt('tokenizer.json', `merge ${bad} is not a pair of tokens`);
}

function isTokenId(id: unknown): id is number {
  return typeof id === 'number' && Number.isInteger(id) && id >= 0 && id < MAX_TOKEN_ID;
}

/** The library's own errors here come from files that it trusted. */
function attempt<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw corrupt('tokenizer.json', error instanceof Error ? error.message : String(error), error);
  }
}

function corrupt(file: string, reason: string, cause?: unknown): WpError {
  return new WpError(
    'corrupt-file',
    `${file} is not a tokenizer file that can be read: ${reason}.`,
    'Download the file again, or take it from the original repository of the model.',
    { file, reason },
    { cause },
  );
}

function unknownToken(id: number, vocabularySize: number): WpError {
  return new WpError(
    'invalid-argument',
    `Token ${id} is not in the vocabulary.`,
    `Token ids are integers from 0 to ${vocabularySize - 1}.`,
    { actual: id, allowed: [0, vocabularySize - 1] },
  );
}
