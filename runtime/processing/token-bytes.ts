// What one token adds to the text, as bytes. Language models emit pieces of UTF-8: a byte-level BPE token may hold half a
// character, and an SPM vocabulary falls back to single bytes (`<0xF0>`). Joining bytes and decoding them as a stream is
// exact and costs O(1) a token. Only decoders that treat each token alone can be described so; for the rest (WordPiece,
// CTC, …) `describeTokenBytes` gives undefined and text-stream.ts decodes a sliding window instead.

import { isRecord } from './json.ts';

export interface TokenBytes {
  /** UTF-8 (perhaps only a part of a character) that the token adds to the text. */
  bytes(token: string, isAdded: boolean): Uint8Array;
  /** Spaces to drop from the very start of a text: SPM vocabularies mark a word's start with one. */
  leadingSpaces: number;
}

/** Describes the `decoder` of a tokenizer.json, or gives undefined when its tokens cannot be decoded one by one. */
export function describeTokenBytes(decoder: unknown): TokenBytes | undefined {
  if (!isRecord(decoder)) return undefined;
  switch (decoder.type) {
    case 'ByteLevel':
      return { bytes: byteLevelBytes, leadingSpaces: 0 };
    case 'Metaspace': {
      const replacement = typeof decoder.replacement === 'string' ? decoder.replacement : '▁';
      return {
        bytes: (token) => encoder.encode(token.replaceAll(replacement, ' ')),
        leadingSpaces: decoder.prepend_scheme === 'never' || decoder.add_prefix_space === false ? 0 : 1,
      };
    }
    case 'Sequence':
      return describeSequence(decoder.decoders);
    default:
      return undefined;
  }
}

/** Replace (text by text), then ByteFallback, then Fuse, then Strip at the start: what converted SPM vocabularies use. */
function describeSequence(decoders: unknown): TokenBytes | undefined {
  if (!Array.isArray(decoders)) return undefined;
  if (decoders.length === 1) return describeTokenBytes(decoders[0]);
  const replacements: { from: string; to: string }[] = [];
  let byteFallback = false;
  let fused = false;
  let leadingSpaces = 0;
  for (const step of decoders as unknown[]) {
    if (!isRecord(step)) return undefined;
    if (step.type === 'Replace' && !byteFallback && !fused) {
      const pattern = isRecord(step.pattern) ? step.pattern.String : undefined;
      if (typeof pattern !== 'string' || typeof step.content !== 'string') return undefined;
      replacements.push({ from: pattern, to: step.content });
    } else if (step.type === 'ByteFallback' && !byteFallback && !fused) {
      byteFallback = true;
    } else if (step.type === 'Fuse') {
      fused = true;
    } else if (step.type === 'Strip' && fused && step.content === ' ' && (step.stop ?? 0) === 0) {
      leadingSpaces = typeof step.start === 'number' ? step.start : 0;
    } else {
      return undefined;
    }
  }
  return {
    leadingSpaces,
    bytes(token) {
      const byte = byteFallback ? /^<0x([0-9A-Fa-f]{2})>$/.exec(token)?.[1] : undefined;
      if (byte !== undefined) return Uint8Array.of(parseInt(byte, 16));
      return encoder.encode(replacements.reduce((text, { from, to }) => text.replaceAll(from, to), token));
    },
  };
}

const encoder = new TextEncoder();

// Byte-level vocabularies write each byte as a printable character: those that are printable in Latin-1 stand for
// themselves, the other 68 are numbered from U+0100 on.
const byteOfCharacter: ReadonlyMap<string, number> = (() => {
  const map = new Map<string, number>();
  let next = 0x100;
  for (let byte = 0; byte < 256; byte++) {
    const printable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
    map.set(String.fromCharCode(printable ? byte : next++), byte);
  }
  return map;
})();

function byteLevelBytes(token: string, isAdded: boolean): Uint8Array {
  if (isAdded) return encoder.encode(token);
  const bytes = new Uint8Array(token.length);
  for (let i = 0; i < token.length; i++) {
    const byte = byteOfCharacter.get(token.charAt(i));
    // A token outside the alphabet is text as it stands, as the reference implementation has it.
    if (byte === undefined) return encoder.encode(token);
    bytes[i] = byte;
  }
  return bytes;
}
