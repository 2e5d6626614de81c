// The tokenizers library in two editions. Most chat models are byte-level BPE, which needs half of it: in the bundles this
// file holds that half (scripts/light-tokenizers.mjs leaves the rest out), and tokenizer-library-full.ts all of it, fetched
// when a tokenizer.json names anything else. Outside the bundles both are the whole library.

import { Tokenizer } from '@huggingface/tokenizers';
import { isRecord } from './json.ts';

export { Tokenizer };
export type TokenizerLibrary = typeof Tokenizer;

/** The `type`s of tokenizer.json that the light edition knows. A regular expression needs the full one: it is translated. */
export const LIGHT_TYPES: ReadonlySet<unknown> = new Set([
  'BPE',
  'ByteFallback',
  'ByteLevel',
  'Digits',
  'Fuse',
  'Lowercase',
  'Metaspace',
  'NFC',
  'NFD',
  'NFKC',
  'NFKD',
  'Prepend',
  'Replace',
  'RobertaProcessing',
  'Sequence',
  'Split',
  'Strip',
  'TemplateProcessing',
]);

/** The edition that a parsed tokenizer.json needs. */
export async function libraryFor(tokenizerJson: unknown): Promise<TokenizerLibrary> {
  return needsFullLibrary(tokenizerJson) ? (await import('./tokenizer-library-full.ts')).Tokenizer : Tokenizer;
}

/** Whether anything in a parsed tokenizer.json is beyond the light edition. */
export function needsFullLibrary(tokenizerJson: unknown): boolean {
  if (!isRecord(tokenizerJson)) return false;
  const { model, normalizer, pre_tokenizer, post_processor, decoder } = tokenizerJson;
  if (!isRecord(model) || model.type !== 'BPE') return true;
  return ![normalizer, pre_tokenizer, post_processor, decoder].every(isLightPart);
}

/** A part of tokenizer.json, with the parts that a sequence or a pattern holds. */
function isLightPart(part: unknown): boolean {
  if (Array.isArray(part)) return part.every(isLightPart);
  if (!isRecord(part)) return true;
  if ('Regex' in part || ('type' in part && !LIGHT_TYPES.has(part.type))) return false;
  return Object.values(part).every(isLightPart);
}
