// CRC-32 (the one of zlib and PNG): enough to notice a damaged block, and fast enough to be checked at every read.

/** Sixteen tables, one behind the other, so that sixteen bytes go in a step. */
const tables = new Int32Array(16 * 256);
for (let i = 0; i < tables.length; i++) {
  let value = i;
  if (i < 256) for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  else value = (tables[i - 256]! >>> 8) ^ tables[tables[i - 256]! & 0xff]!;
  tables[i] = value;
}

/** An unsigned 32-bit number. */
export function crc32(bytes: Uint8Array): number {
  const t = tables;
  // Words are read at addresses that are multiples of four; every engine that runs WebAssembly has the low byte first.
  const aligned = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
  const words = new Int32Array(aligned.buffer, aligned.byteOffset, (aligned.length >> 4) * 4);
  let crc = -1;
  for (let i = 0; i < words.length; i += 4) {
    let word = crc ^ words[i]!;
    crc =
      t[0xf00 + (word & 0xff)]! ^
      t[0xe00 + ((word >>> 8) & 0xff)]! ^
      t[0xd00 + ((word >>> 16) & 0xff)]! ^
      t[0xc00 + (word >>> 24)]!;
    word = words[i + 1]!;
    crc ^=
      t[0xb00 + (word & 0xff)]! ^
      t[0xa00 + ((word >>> 8) & 0xff)]! ^
      t[0x900 + ((word >>> 16) & 0xff)]! ^
      t[0x800 + (word >>> 24)]!;
    word = words[i + 2]!;
    crc ^=
      t[0x700 + (word & 0xff)]! ^
      t[0x600 + ((word >>> 8) & 0xff)]! ^
      t[0x500 + ((word >>> 16) & 0xff)]! ^
      t[0x400 + (word >>> 24)]!;
    word = words[i + 3]!;
    crc ^=
      t[0x300 + (word & 0xff)]! ^
      t[0x200 + ((word >>> 8) & 0xff)]! ^
      t[0x100 + ((word >>> 16) & 0xff)]! ^
      t[word >>> 24]!;
  }
  for (let i = words.length * 4; i < bytes.length; i++) crc = (crc >>> 8) ^ t[(crc ^ bytes[i]!) & 0xff]!;
  return ~crc >>> 0;
}
