import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createRandom } from '../../runtime/generation/random.ts';
import { StopStrings } from '../../runtime/processing/stop-strings.ts';
import { createTextStream, type TextStreamOptions } from '../../runtime/processing/text-stream.ts';
import type { TextTokenizer } from '../../runtime/processing/tokenizer.ts';
import { SMALL, smallTokenizer } from './support.ts';

const random = createRandom(11);
const below = (n: number): number => Math.floor(random.next() * n);

const SCRAPS = [
  'a',
  ' ',
  'the boat',
  'ß',
  'й',
  '女',
  '。',
  '🦙',
  '👩‍👩‍👧‍👦',
  '🇩🇪',
  'e\u0301',
  '\n',
  '\u{10ffff}',
  '\u07ff',
  '\uffff',
  '\ufeff',
  '\u2581',
  '\u0000',
];

function randomText(): string {
  return Array.from({ length: 1 + below(12) }, () => SCRAPS[below(SCRAPS.length)]!).join('');
}

/** Any tokens that spell the text, not only those that the tokenizer would choose: models do so too. */
function randomTokens(tokenizer: TextTokenizer, text: string, byteToken: (byte: number) => string): number[] {
  const ids: number[] = [];
  for (const piece of text.match(/[\s\S]{1,3}/gu) ?? []) {
    if (random.next() < 0.5) {
      for (const byte of new TextEncoder().encode(piece)) ids.push(tokenizer.tokenToId(byteToken(byte))!);
    } else {
      ids.push(...tokenizer.encode(piece, { addSpecialTokens: false }));
    }
  }
  return ids;
}

function byteLevelToken(byte: number): string {
  const printable = (b: number): boolean => (b >= 0x21 && b <= 0x7e) || (b >= 0xa1 && b <= 0xac) || b >= 0xae;
  if (printable(byte)) return String.fromCharCode(byte);
  let hidden = 0;
  for (let b = 0; b < byte; b++) if (!printable(b)) hidden++;
  return String.fromCharCode(0x100 + hidden);
}

const fallbackToken = (byte: number): string => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`;

function stream(
  tokenizer: TextTokenizer,
  ids: readonly number[],
  options?: TextStreamOptions,
): { pieces: string[]; rest: string } {
  const each = createTextStream(tokenizer, options);
  return { pieces: ids.map((id) => each.push(id)), rest: each.end() };
}

describe('text stream', () => {
  for (const [kind, byteToken] of [
    ['byteLevel', byteLevelToken],
    ['byteFallback', fallbackToken],
  ] as const) {
    it(`shows whole characters only, each as soon as it is complete: ${kind}`, () => {
      const tokenizer = smallTokenizer(kind);
      for (let round = 0; round < 400; round++) {
        const ids = randomTokens(tokenizer, randomText(), byteToken);
        const { pieces, rest } = stream(tokenizer, ids, { continuesText: true });
        const bytes = ids.map((id) => tokenizer.tokenBytes(id)!);
        const whole = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
        assert.equal(pieces.join('') + rest, whole.decode(concatenate(bytes)));
        assert.equal(rest, '');
        // After each token: everything up to the last complete character, and no replacement.
        let shown = '';
        for (const [i, piece] of pieces.entries()) {
          assert.ok(!piece.includes('\ufffd'));
          assert.doesNotMatch(piece, /\p{Surrogate}/u);
          shown += piece;
          const soFar = concatenate(bytes.slice(0, i + 1));
          assert.equal(new TextEncoder().encode(shown).length, completeLength(soFar));
        }
      }
    });
  }

  it('shows bytes that are not UTF-8 as replacements, and goes on', () => {
    const tokenizer = smallTokenizer('byteLevel');
    const id = (byte: number): number => tokenizer.tokenToId(byteLevelToken(byte))!;
    assert.deepEqual(stream(tokenizer, [0xf0, 0x9f, 0x61, 0xff, 0x62].map(id)), {
      pieces: ['', '', '\ufffda', '\ufffd', 'b'],
      rest: '',
    });
    assert.equal(
      stream(tokenizer, [0x61, 0xf0, 0x9f].map(id)).rest,
      '\ufffd',
      'a finished text that ends amid a character',
    );
    const cut = createTextStream(tokenizer);
    for (const byte of [0x61, 0xf0, 0x9f]) cut.push(id(byte));
    assert.equal(cut.end({ cutOff: true }), '', 'a text that was cut off amid a character');
  });

  it('drops the space at the start of an answer and keeps that of a continuation', () => {
    const tokenizer = smallTokenizer('byteFallback');
    const ids = tokenizer.encode('the boat', { addSpecialTokens: false });
    assert.equal(stream(tokenizer, ids).pieces.join(''), 'the boat');
    assert.equal(stream(tokenizer, ids, { continuesText: true }).pieces.join(''), ' the boat');
  });

  it('leaves special tokens out, or shows them', () => {
    const tokenizer = smallTokenizer('byteLevel');
    const ids = tokenizer.encode('<|im_start|>a<think>b<|im_end|>');
    assert.equal(stream(tokenizer, ids).pieces.join(''), 'a<think>b');
    assert.equal(
      stream(tokenizer, ids, { skipSpecialTokens: false }).pieces.join(''),
      '<|im_start|>a<think>b<|im_end|>',
    );
  });

  it('streams a vocabulary whose tokens depend on their neighbours', () => {
    const tokenizer = smallTokenizer('wordPiece');
    for (const golden of SMALL.wordPiece.goldens) {
      const { pieces, rest } = stream(tokenizer, golden.ids);
      assert.equal(pieces.join('') + rest, golden.decoded);
    }
  });

  it('does no more work for the last token than for the first', () => {
    const tokenizer = smallTokenizer('wordPiece');
    let decoded = 0;
    const counting: TextTokenizer = Object.create(tokenizer, {
      decode: {
        value: (ids: number[], options: object) => {
          decoded += ids.length;
          return tokenizer.decode(ids, options);
        },
      },
      tokenBytes: { value: () => undefined },
      vocabularySize: { value: tokenizer.vocabularySize },
      idToToken: { value: (id: number) => tokenizer.idToToken(id) },
      isSpecial: { value: (id: number) => tokenizer.isSpecial(id) },
    }) as TextTokenizer;
    const ids = tokenizer.encode('the boat is small and the answer is quick '.repeat(20), { addSpecialTokens: false });
    const text = stream(counting, ids).pieces.join('');
    assert.equal(text, tokenizer.decode(ids));
    assert.ok(decoded <= 3 * ids.length, `${decoded} tokens were decoded for a text of ${ids.length}`);
  });

  it('stops at a stop string that lies across tokens', () => {
    const tokenizer = smallTokenizer('byteLevel');
    const ids = randomTokens(tokenizer, 'Hello there🦙\nUser: next', byteLevelToken);
    const each = createTextStream(tokenizer, { stop: ['\nUser:', '🦙🦙'] });
    let shown = '';
    for (const id of ids) shown += each.push(id);
    assert.equal(each.stopped, true);
    assert.equal(shown + each.end(), 'Hello there🦙');
  });
});

describe('stop strings', () => {
  /** By definition: text ends where the stop string that completes first begins. */
  function expected(text: string, stops: readonly string[]): { text: string; stopped: boolean } {
    for (let end = 0; end <= text.length; end++) {
      const starts = stops.filter((stop) => text.slice(0, end).endsWith(stop)).map((stop) => end - stop.length);
      if (starts.length > 0) return { text: text.slice(0, Math.min(...starts)), stopped: true };
    }
    return { text, stopped: false };
  }

  it('never show a part of one, whatever the pieces', () => {
    for (let round = 0; round < 5000; round++) {
      const letters = (n: number): string => Array.from({ length: n }, () => 'abc'[below(3)]!).join('');
      const text = letters(below(20));
      const stops = Array.from({ length: 1 + below(3) }, () => letters(1 + below(4)));
      const matcher = new StopStrings(stops);
      let shown = '';
      for (let at = 0; at < text.length;) {
        const length = 1 + below(4);
        shown += matcher.push(text.slice(at, at + length));
        at += length;
        // What is shown can never be taken back.
        assert.ok(expected(text, stops).text.startsWith(shown), `${text}, ${stops.join()}: ${shown}`);
      }
      const want = expected(text, stops);
      assert.equal(shown + matcher.end(), want.text, `${text}, ${stops.join()}`);
      assert.equal(matcher.stopped, want.stopped);
    }
  });

  it('hold back no more than could begin one', () => {
    const matcher = new StopStrings(['</s>', 'END']);
    assert.equal(matcher.push('a <'), 'a ');
    assert.equal(matcher.push('b'), '<b');
    assert.equal(matcher.push('E'), '');
    assert.equal(matcher.push('EN'), 'E');
    assert.equal(matcher.end(), 'EN');
  });
});

function concatenate(parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

/** Bytes of valid UTF-8 up to the end of its last complete character. */
function completeLength(bytes: Uint8Array): number {
  let at = 0;
  while (at < bytes.length) {
    const lead = bytes[at]!;
    const length = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    if (at + length > bytes.length) break;
    at += length;
  }
  return at;
}
