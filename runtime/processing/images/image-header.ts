// The size that a file says it has, read from its first bytes: a few hundred of them can announce gigabytes of pixels, and what
// decodes them would try. Formats: PNG, JPEG, GIF, WebP, BMP; undefined for others, whose size is known after decoding only.
// It imports no code: the worker and <wp-vision> each carry it.

import type { PixelSize } from './processor-config.ts';

/** Three bytes each, and as many again while a browser decodes: more is refused before it is decoded. */
export const MAX_IMAGE_PIXELS = 100_000_000;
/** Of a file. */
export const MAX_IMAGE_BYTES = 256 * 2 ** 20;

/** Bytes that are enough: a JPEG's size stands behind its colour profile and its preview. */
export const HEADER_BYTES = 1 << 20;

export function readImageSize(bytes: Uint8Array): PixelSize | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const has = (at: number, text: string) => [...text].every((letter, i) => bytes[at + i] === letter.charCodeAt(0));
  if (has(0, '\x89PNG\r\n\x1a\n') && bytes.length >= 24) {
    return { width: view.getUint32(16), height: view.getUint32(20) };
  }
  if (has(0, 'GIF8') && bytes.length >= 10) return { width: view.getUint16(6, true), height: view.getUint16(8, true) };
  if (has(0, 'BM') && bytes.length >= 26) {
    // Rows from the top have a negative height.
    return { width: Math.abs(view.getInt32(18, true)), height: Math.abs(view.getInt32(22, true)) };
  }
  if (has(0, 'RIFF') && has(8, 'WEBP') && bytes.length >= 30) return readWebp(view, has);
  if (bytes[0] === 0xff && bytes[1] === 0xd8) return readJpeg(view);
  return undefined;
}

function readWebp(view: DataView, has: (at: number, text: string) => boolean): PixelSize | undefined {
  const uint24 = (at: number) => view.getUint16(at, true) | (view.getUint8(at + 2) << 16);
  if (has(12, 'VP8X')) return { width: uint24(24) + 1, height: uint24(27) + 1 };
  if (has(12, 'VP8L')) {
    const bits = view.getUint32(21, true);
    return { width: (bits & 0x3fff) + 1, height: ((bits >>> 14) & 0x3fff) + 1 };
  }
  if (has(12, 'VP8 ')) {
    return { width: view.getUint16(26, true) & 0x3fff, height: view.getUint16(28, true) & 0x3fff };
  }
  return undefined;
}

/** From segment to segment, to the one that begins a frame. */
function readJpeg(view: DataView): PixelSize | undefined {
  let at = 2;
  while (at + 9 <= view.byteLength) {
    if (view.getUint8(at) !== 0xff) return undefined;
    const marker = view.getUint8(at + 1);
    if (marker === 0xff) {
      at += 1; // a filler
      continue;
    }
    const isFrame = marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc;
    if (isFrame) return { height: view.getUint16(at + 5), width: view.getUint16(at + 7) };
    at += 2 + view.getUint16(at + 2);
  }
  return undefined;
}
