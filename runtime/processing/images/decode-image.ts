// An image as it came from the page, as bytes: fetched, decoded by the browser, drawn in tiles. The bytes are the file's, as
// Pillow reads them: no colour profile is applied, transparency is dropped and not blended; EXIF's rotation is applied, and of an
// animation the first frame is read, as transformers does. What a JPEG decodes to may differ by a few steps between decoders.

import { isAbortError, throwIfAborted, WpError } from '../../errors.ts';
import type { ImagePayload, ImagePixels } from '../../model.ts';
import { HEADER_BYTES, MAX_IMAGE_BYTES, MAX_IMAGE_PIXELS, readImageSize } from './image-header.ts';
import type { PixelSize } from './processor-config.ts';
import { readTransparent } from './read-transparent.ts';
import type { ByteImage } from './resample.ts';
import { copyTile, tiles } from './tiles.ts';

export { MAX_IMAGE_PIXELS } from './image-header.ts';

/** Throws a WpError that names the image by `index`: `invalid-argument`, `unsupported-format`, `network`, `not-found`. */
export async function decodeImage(payload: ImagePayload, index: number, signal?: AbortSignal): Promise<ByteImage> {
  throwIfAborted(signal);
  if ('data' in payload) return checkPixels(payload, index);
  if (typeof createImageBitmap === 'undefined' || typeof OffscreenCanvas === 'undefined') {
    throw new WpError(
      'unsupported-operation',
      `Image ${index} is a file, and images are decoded by a browser only; here there is none.`,
      'In Node, decode it with a library of your choice and pass its pixels: { data, width, height }, RGB or RGBA.',
      { index, allowed: ['{ data, width, height }'] },
    );
  }
  // A bitmap of the caller's is a copy here: it is closed like our own.
  const bitmap =
    'address' in payload
      ? await decodeBlob(await fetchImage(payload.address, index, signal), index)
      : payload instanceof Blob
        ? await decodeBlob(payload, index)
        : payload;
  try {
    checkSize(bitmap, index);
    throwIfAborted(signal);
    return await readBytes(bitmap, index);
  } finally {
    bitmap.close();
  }
}

function checkPixels({ data, width, height }: ImagePixels, index: number): ByteImage {
  checkSize({ width, height }, index);
  const channels = data.length / (width * height);
  if (channels === 3 || channels === 4) return { data, width, height, channels };
  throw new WpError(
    'invalid-argument',
    `Image ${index} has ${data.length} bytes for ${width} × ${height} pixels.`,
    'Pass 3 (RGB) or 4 (RGBA) bytes a pixel.',
    { index, actual: data.length, allowed: [3 * width * height, 4 * width * height] },
  );
}

function checkSize({ width, height }: PixelSize, index: number): void {
  const isWhole = (edge: number) => Number.isInteger(edge) && edge >= 1;
  if (!isWhole(width) || !isWhole(height)) {
    throw new WpError(
      'invalid-argument',
      `Image ${index} has ${width} × ${height} pixels: it is empty.`,
      'Pass an image of at least one pixel.',
      { index, actual: [width, height] },
    );
  }
  if (width * height <= MAX_IMAGE_PIXELS) return;
  throw new WpError(
    'invalid-argument',
    `Image ${index} has ${width} × ${height} pixels; at most ${MAX_IMAGE_PIXELS / 1e6} million are read.`,
    'Make it smaller: the model looks at a few hundred pixels along each edge.',
    { index, actual: width * height, allowed: MAX_IMAGE_PIXELS },
  );
}

async function fetchImage(address: string, index: number, signal: AbortSignal | undefined): Promise<Blob> {
  let response: Response;
  try {
    response = await fetch(address, { signal: signal ?? null });
    if (response.ok) return await response.blob();
  } catch (thrown) {
    if (isAbortError(thrown)) throw thrown;
    throw new WpError(
      'network',
      `Image ${index} could not be fetched from ${shorten(address)}: ${thrown instanceof Error ? thrown.message : String(thrown)}`,
      'Check the address; another origin must allow this page by CORS.',
      { index, url: shorten(address) },
      { cause: thrown },
    );
  }
  throw new WpError(
    response.status === 404 ? 'not-found' : 'network',
    `Image ${index}: ${shorten(address)} answered ${response.status}.`,
    'Check the address.',
    { index, url: shorten(address), status: response.status },
  );
}

/** A data: URL may be megabytes. */
const shorten = (address: string): string => (address.length > 200 ? `${address.slice(0, 200)}…` : address);

async function decodeBlob(blob: Blob, index: number): Promise<ImageBitmap> {
  if (blob.size > MAX_IMAGE_BYTES) {
    throw new WpError(
      'invalid-argument',
      `Image ${index} is a file of ${blob.size} bytes; at most ${MAX_IMAGE_BYTES} are read.`,
      'Make it smaller.',
      { index, actual: blob.size, allowed: MAX_IMAGE_BYTES },
    );
  }
  const size = readImageSize(new Uint8Array(await blob.slice(0, HEADER_BYTES).arrayBuffer()));
  if (size) checkSize(size, index);
  try {
    return await createImageBitmap(blob, {
      imageOrientation: 'from-image',
      premultiplyAlpha: 'none',
      colorSpaceConversion: 'none',
    });
  } catch (thrown) {
    throw new WpError(
      'unsupported-format',
      `Image ${index}${blob.type ? ` (${blob.type})` : ''} cannot be decoded: it is no image, is damaged, or of a format that this browser does not read.`,
      'Browsers read PNG, JPEG, WebP, GIF, BMP and most of them AVIF.',
      { index, type: blob.type, bytes: blob.size },
      { cause: thrown },
    );
  }
}

/** A canvas of this edge exists everywhere; phones allow none of a photo's size. */
const TILE_EDGE = 2048;

async function readBytes(bitmap: ImageBitmap, index: number): Promise<ByteImage> {
  const { width, height } = bitmap;
  const data = new Uint8Array(width * height * 3);
  const canvas = new OffscreenCanvas(Math.min(width, TILE_EDGE), Math.min(height, TILE_EDGE));
  // On the processor: a graphics card's canvas may round otherwise.
  const context = canvas.getContext('2d', { willReadFrequently: true, colorSpace: 'srgb' });
  if (!context)
    throw new WpError('out-of-memory', `There is no canvas to read image ${index} with.`, 'Close other tabs.');
  let isOpaque = true;
  for (const tile of tiles(width, height, TILE_EDGE)) {
    context.clearRect(0, 0, tile.width, tile.height);
    context.drawImage(bitmap, -tile.left, -tile.top);
    const { data: bytes } = readPixels(context, tile, index);
    isOpaque = copyTile(bytes, tile, data, width) && isOpaque;
  }
  // A canvas multiplies colours with their opacity, and what was divided back has lost its low bits.
  if (!isOpaque) await readTransparent(bitmap, data, tiles(width, height, TILE_EDGE));
  return { data, width, height, channels: 3 };
}

function readPixels(context: OffscreenCanvasRenderingContext2D, tile: PixelSize, index: number): ImageData {
  try {
    return context.getImageData(0, 0, tile.width, tile.height);
  } catch (thrown) {
    throw new WpError(
      'invalid-argument',
      `Image ${index} is of another origin, which does not let this page read it.`,
      'Fetch it with CORS (crossorigin="anonymous" on the element).',
      { index },
      { cause: thrown },
    );
  }
}
