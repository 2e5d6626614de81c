// Token ids in, text out, piece by piece: a character appears once all its bytes are there, a stop string never does.
// The work for a token does not grow with the text before it.

import { StopStrings } from './stop-strings.ts';
import type { TextTokenizer } from './tokenizer.ts';

export interface TextStreamOptions {
  /** See StopStrings. */
  stop?: readonly string[] | undefined;
  /** Special tokens add no text. Default true. */
  skipSpecialTokens?: boolean | undefined;
  /** The stream continues a text, so that a space at its start is kept. Default false. */
  continuesText?: boolean | undefined;
}

export interface TextStream {
  /** The text that became certain with this token; often ''. */
  push(id: number): string;
  /**
   * What was still held back. An unfinished character at the end of a text that was cut off is dropped; at the end of a
   * finished one it is invalid and shows as U+FFFD.
   */
  end(options?: { cutOff?: boolean }): string;
  /** True once a stop string was met. */
  readonly stopped: boolean;
}

export function createTextStream(tokenizer: TextTokenizer, options: TextStreamOptions = {}): TextStream {
  const { stop = [], skipSpecialTokens = true, continuesText = false } = options;
  const detokenizer = hasTokenBytes(tokenizer)
    ? new ByteDetokenizer(tokenizer, continuesText ? 0 : tokenizer.leadingSpaces)
    : new WindowDetokenizer(tokenizer);
  const stops = new StopStrings(stop);
  return {
    push(id) {
      if (skipSpecialTokens && tokenizer.isSpecial(id)) return '';
      return stops.push(detokenizer.push(id));
    },
    end({ cutOff = false } = {}) {
      return stops.push(detokenizer.end(cutOff)) + stops.end();
    },
    get stopped() {
      return stops.stopped;
    },
  };
}

interface Detokenizer {
  push(id: number): string;
  end(cutOff: boolean): string;
}

function hasTokenBytes(tokenizer: TextTokenizer): boolean {
  for (let id = 0; id < tokenizer.vocabularySize; id++) {
    if (tokenizer.idToToken(id) !== undefined) return tokenizer.tokenBytes(id) !== undefined;
  }
  return false;
}

/** The platform's streaming UTF-8 decoder holds back unfinished characters. */
class ByteDetokenizer implements Detokenizer {
  readonly #decoder = new TextDecoder('utf-8', { ignoreBOM: true });

  constructor(
    private readonly tokenizer: TextTokenizer,
    private leadingSpaces: number,
  ) {}

  push(id: number): string {
    return this.#trim(this.#decoder.decode(this.tokenizer.tokenBytes(id), { stream: true }));
  }

  end(cutOff: boolean): string {
    return cutOff ? '' : this.#trim(this.#decoder.decode());
  }

  #trim(text: string): string {
    if (this.leadingSpaces === 0 || text === '') return text;
    let start = 0;
    while (start < this.leadingSpaces && text[start] === ' ') start++;
    // Spaces count only while nothing else has appeared.
    this.leadingSpaces = start === text.length ? this.leadingSpaces - start : 0;
    return text.slice(start);
  }
}

/**
 * For decoders that look at neighbouring tokens: decodes a window of the last tokens with and without the new one and
 * shows the difference. Whatever ends in U+FFFD may be an unfinished character and waits.
 */
class WindowDetokenizer implements Detokenizer {
  /** Tokens whose text is shown, kept as context for the next; then the tokens that wait. */
  #context: number[] = [];
  #waiting: number[] = [];

  constructor(private readonly tokenizer: TextTokenizer) {}

  push(id: number): string {
    this.#waiting.push(id);
    const fresh = this.#fresh();
    // No character has more than four bytes: beyond that the bytes are invalid and need not wait.
    if (fresh.endsWith('\ufffd') && this.#waiting.length < 4) return '';
    this.#context = this.#waiting;
    this.#waiting = [];
    return fresh;
  }

  end(cutOff: boolean): string {
    if (this.#waiting.length === 0) return '';
    const fresh = this.#fresh();
    this.#waiting = [];
    return cutOff ? fresh.replace(/\ufffd+$/, '') : fresh;
  }

  #fresh(): string {
    const before = this.tokenizer.decode(this.#context, { skipSpecialTokens: false });
    const after = this.tokenizer.decode([...this.#context, ...this.#waiting], { skipSpecialTokens: false });
    return after.slice(before.length);
  }
}
