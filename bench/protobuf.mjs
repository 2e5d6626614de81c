// The part of the protocol-buffer wire format that an ONNX file needs, as functions that return bytes. A message is the
// concatenation of its fields; https://protobuf.dev/programming-guides/encoding/ is the source.

const VARINT = 0;
const LENGTH_DELIMITED = 2;
const FIXED32 = 5;

const utf8 = new TextEncoder();

/** @param {Uint8Array[]} parts */
export function concatenate(parts) {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** Seven bits a byte, least significant first; a negative number is its 64-bit two's complement. */
function varint(value) {
  let rest = BigInt.asUintN(64, BigInt(value));
  const bytes = [];
  do {
    const more = rest > 127n ? 128 : 0;
    bytes.push(Number(rest & 127n) | more);
    rest >>= 7n;
  } while (rest > 0n);
  return Uint8Array.from(bytes);
}

const tag = (field, wireType) => varint((field << 3) | wireType);

export const integer = (field, value) => concatenate([tag(field, VARINT), varint(value)]);

export const float = (field, value) =>
  concatenate([tag(field, FIXED32), new Uint8Array(new Float32Array([value]).buffer)]);

/** A nested message, or raw bytes: on the wire they are the same. */
export const bytes = (field, content) => concatenate([tag(field, LENGTH_DELIMITED), varint(content.length), content]);

export const string = (field, text) => bytes(field, utf8.encode(text));

/** A nested message of the given fields. */
export const message = (field, ...fields) => bytes(field, concatenate(fields));
