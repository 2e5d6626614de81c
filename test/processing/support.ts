// Where real tokenizers may lie, and the small ones that are always here.

import { existsSync, readFileSync } from 'node:fs';
import { createTokenizer, type TextTokenizer } from '../../runtime/processing/tokenizer.ts';

export interface TokenizerGolden {
  text: string;
  ids: number[];
  idsPlain: number[];
  decoded: string;
  decodedWithSpecial: string;
}

/** Made by ../fixtures/processing/make_tokenizers.py with the Python package `tokenizers`. */
export const SMALL = JSON.parse(
  readFileSync(new URL('../fixtures/processing/tokenizers.json', import.meta.url), 'utf8'),
) as Record<
  'byteLevel' | 'byteFallback' | 'unigram' | 'wordPiece',
  { tokenizer: Record<string, unknown>; goldens: TokenizerGolden[] }
>;

export function smallTokenizer(kind: keyof typeof SMALL, config?: Record<string, unknown>): TextTokenizer {
  return createTokenizer(structuredClone(SMALL[kind].tokenizer), config);
}

const SHARED = new URL('../../../shared/models/', import.meta.url);

/** For node:test's `skip`: false when the files are there, else why not. */
export function sharedSkip(...paths: string[]): string | false {
  const missing = paths.find((path) => !existsSync(new URL(path, SHARED)));
  return missing === undefined ? false : `../shared/models/${missing} is not here`;
}

export function sharedText(path: string): string {
  return readFileSync(new URL(path, SHARED), 'utf8');
}

export function sharedJson(path: string): unknown {
  return JSON.parse(sharedText(path));
}
