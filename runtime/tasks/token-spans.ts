// Where a text's tokens stand in it. Tokenizers say ids only, so the tokens are laid along the text again: by bytes where the
// vocabulary spells a text exactly, else letter by letter with case, accents and widths left out on both sides, as a
// vocabulary's normalisation may have done it.

import type { TextTokenizer } from '../processing/tokenizer.ts';

/** In UTF-16 units, as `text.slice` takes them; both alike for a token that spells nothing of the text. */
export interface Span {
  start: number;
  end: number;
}

/** `ids` without special tokens, from the text's beginning. */
export function tokenSpans(tokenizer: TextTokenizer, text: string, ids: readonly number[]): Span[] {
  return byteSpans(tokenizer, text, ids) ?? letterSpans(tokenizer, text, ids);
}

/** WordPiece, whose tokens are parts of words, and whose unknown token stands for a whole one. */
export function hasWordPieces(tokenizer: TextTokenizer, ids: readonly number[]): boolean {
  return ids.some((id) => tokenizer.tokenBytes(id) === undefined);
}

/** Undefined where the tokens' bytes are not the text's. Spaces at a token's ends are left out of its span. */
function byteSpans(tokenizer: TextTokenizer, text: string, ids: readonly number[]): Span[] | undefined {
  const walk = new ByteWalk(text);
  const spans: Span[] = [];
  for (const id of ids) {
    const bytes = id === tokenizer.unknownId ? undefined : tokenizer.tokenBytes(id);
    if (!bytes) return undefined;
    // A vocabulary may put a space before a text.
    const isAdded = spans.length === 0 && tokenizer.leadingSpaces > 0 && bytes[0] === 0x20 && !text.startsWith(' ');
    const span = walk.take(isAdded ? bytes.subarray(1) : bytes);
    if (!span) return undefined;
    while (span.start < span.end && text[span.start] === ' ') span.start++;
    while (span.end > span.start && text[span.end - 1] === ' ') span.end--;
    spans.push(span);
  }
  return spans;
}

const isSpace = (character: string): boolean => /\s/.test(character);

/** A text's UTF-8, character by character. */
class ByteWalk {
  readonly #encoder = new TextEncoder();
  #bytes: Uint8Array = new Uint8Array(0);
  /** Of the character whose bytes these are: where it starts and ends, and how many of its bytes are taken. */
  #start = 0;
  #end = 0;
  #taken = 0;

  constructor(private readonly text: string) {}

  /** The span of the characters that these bytes are of, wholly or in part; undefined when the text goes on otherwise. */
  take(bytes: Uint8Array): Span | undefined {
    let start: number | undefined;
    for (const byte of bytes) {
      if (this.#taken === this.#bytes.length && !this.#next()) return undefined;
      if (this.#bytes[this.#taken++] !== byte) return undefined;
      start ??= this.#start;
    }
    return { start: start ?? this.#end, end: this.#end };
  }

  #next(): boolean {
    const code = this.text.codePointAt(this.#end);
    if (code === undefined) return false;
    const character = String.fromCodePoint(code);
    this.#bytes = this.#encoder.encode(character);
    this.#start = this.#end;
    this.#end += character.length;
    this.#taken = 0;
    return true;
  }
}

/** A letter of the text as it is compared; several may come of one character. */
interface Letter extends Span {
  letter: string;
  /** It begins a word: a space, punctuation or an ideograph is on one side of its beginning. */
  startsWord: boolean;
}

/** Between an unknown token and the next known one lies no more than this. */
const LONGEST_UNKNOWN = 256;

function letterSpans(tokenizer: TextTokenizer, text: string, ids: readonly number[]): Span[] {
  const letters = new LetterWalk(text);
  const isWordPiece = hasWordPieces(tokenizer, ids);
  const spelled = ids.map((id) =>
    id === tokenizer.unknownId ? undefined : fold(surface(tokenizer.idToToken(id) ?? '', isWordPiece)),
  );
  let at = 0;
  return spelled.map((token, i) => {
    const start = at;
    if (token !== undefined && letters.match(at, token)) at += token.length;
    else if (isWordPiece) at = letters.wordEnd(at);
    else
      at = endOfUnknown(
        letters,
        at,
        spelled.slice(i + 1).find((next) => next !== undefined && next.length > 0),
      );
    return letters.span(start, at);
  });
}

function endOfUnknown(letters: LetterWalk, at: number, next: readonly string[] | undefined): number {
  for (let end = at + 1; next && end < at + LONGEST_UNKNOWN; end++) if (letters.match(end, next)) return end;
  return letters.wordEnd(at);
}

/** A token without what its vocabulary marks words with. */
function surface(token: string, isWordPiece: boolean): string {
  return isWordPiece ? token.replace(/^##/, '').replace(/<\/w>$/, '') : token.replaceAll('▁', '');
}

/** Letters without case, accents and widths; none of spaces, control characters and what stands for half a surrogate pair. */
function fold(text: string): string[] {
  return Array.from(
    text
      .normalize('NFKD')
      .toLowerCase()
      .replace(/[\p{M}\p{C}\s\ufffd]/gu, ''),
  );
}

/** Each on its own to a tokenizer of words: punctuation, ASCII's other signs among it, and ideographs. */
const ALONE = /[\p{P}\p{Script=Han}$+<=>^`|~]/u;

const IN_WORD = /[^\s\p{P}\p{Script=Han}$+<=>^`|~]*/uy;

/** A text's letters, read as far as they are asked for. */
class LetterWalk {
  readonly #letters: Letter[] = [];
  #read = 0;
  #startsWord = true;

  constructor(private readonly text: string) {}

  match(at: number, letters: readonly string[]): boolean {
    return letters.every((letter, i) => this.#at(at + i)?.letter === letter);
  }

  /** The first letter after `at` that begins a word; the text's end when there is none. */
  wordEnd(at: number): number {
    let end = at;
    while (this.#at(end) && (end === at || !this.#at(end)!.startsWord)) {
      end++;
      if (end === at + LONGEST_UNKNOWN) this.#skipWord();
    }
    return end;
  }

  span(from: number, to: number): Span {
    const first = this.#at(from);
    if (to > from && first) return { start: first.start, end: this.#at(to - 1)!.end };
    const start = this.#at(from - 1)?.end ?? 0;
    return { start, end: start };
  }

  /** A word of a million letters is unknown as a whole: its rest becomes one letter that no token has. */
  #skipWord(): void {
    IN_WORD.lastIndex = this.#read;
    const [rest] = IN_WORD.exec(this.text)!;
    if (rest === '') return;
    const start = this.#read;
    this.#read += rest.length;
    this.#letters.push({ letter: '', start, end: this.#read, startsWord: false });
  }

  #at(index: number): Letter | undefined {
    while (this.#letters.length <= index && this.#read < this.text.length) {
      const character = String.fromCodePoint(this.text.codePointAt(this.#read)!);
      const start = this.#read;
      this.#read += character.length;
      const isAlone = ALONE.test(character);
      if (isAlone || isSpace(character)) this.#startsWord = true;
      for (const letter of fold(character)) {
        this.#letters.push({ letter, start, end: this.#read, startsWord: this.#startsWord });
        this.#startsWord = false;
      }
      if (isAlone) this.#startsWord = true;
    }
    return this.#letters[index];
  }
}
