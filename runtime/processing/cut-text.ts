// The first tokens of a text that may be far longer than a model takes: only as much of it is read as is needed.

import type { TextTokenizer } from './tokenizer.ts';

/** Of a text, no more than this is ever read: a million spaces have no token, and a page should not wait for them. */
const mostCharacters = (maxTokens: number): number => Math.max(1 << 17, 64 * maxTokens);

export interface CutText {
  /** At most `maxTokens`, without special tokens. */
  ids: number[];
  isTruncated: boolean;
}

export function encodeCut(tokenizer: TextTokenizer, text: string, maxTokens: number): CutText {
  const readable = Math.min(text.length, mostCharacters(maxTokens));
  let length = Math.min(readable, Math.max(4096, 16 * maxTokens));
  for (;;) {
    const isWhole = length === text.length;
    const ids = tokenizer.encode(isWhole ? text : text.slice(0, length), { addSpecialTokens: false });
    // A cut may change the tokens before it; twice as many as are kept, they cannot be those.
    if (isWhole || length === readable || ids.length >= 2 * maxTokens + 2) {
      return { ids: ids.slice(0, maxTokens), isTruncated: !isWhole || ids.length > maxTokens };
    }
    length = Math.min(readable, 4 * length);
  }
}
