// An image on a canvas, as a person sees it: turned by its EXIF rotation, an animation by its first frame, never larger than
// `MAX_EDGE`. What is fetched is fetched once, and given to the model as it arrived. A file that announces more pixels than the
// model reads is refused before a browser tries to decode it.

import { WpError, type ImagePixels, type ImageSource } from '../../runtime/index.ts';
import {
  HEADER_BYTES,
  MAX_IMAGE_BYTES,
  MAX_IMAGE_PIXELS,
  readImageSize,
} from '../../runtime/processing/images/image-header.ts';

const MAX_EDGE = 1024;

/** An image that needs no fetching. */
export type Picture = Exclude<ImageSource, string | URL>;

export class DrawnImage {
  #shown: { source: ImageSource; canvas: HTMLCanvasElement; picture: Picture } | undefined;

  /**
   * Draws the image, unless this canvas shows it already. Throws `network`, `not-found`, `unsupported-format` or
   * `invalid-argument`; an abort is an AbortError.
   */
  async show(source: ImageSource, canvas: HTMLCanvasElement, signal: AbortSignal): Promise<Picture> {
    const { source: last, canvas: place, picture: kept } = this.#shown ?? {};
    if (kept && last === source && place === canvas && isUnchanging(source)) return kept;
    this.#shown = undefined;
    const picture = typeof source === 'string' || source instanceof URL ? await fetchImage(source, signal) : source;
    await draw(picture, canvas, signal);
    this.#shown = { source, canvas, picture };
    return picture;
  }
}

/** Elements and bitmaps may show something else by now. */
const isUnchanging = (source: ImageSource): boolean =>
  typeof source === 'string' || source instanceof URL || source instanceof Blob;

async function fetchImage(source: string | URL, signal: AbortSignal): Promise<Blob> {
  const url = shorten(String(source));
  if (!URL.canParse(source, document.baseURI)) {
    const message = `${JSON.stringify(url)} is no address of an image.`;
    throw new WpError('invalid-argument', message, 'Pass the URL of an image, a Blob, or pixels.', { actual: url });
  }
  let response: Response;
  try {
    response = await fetch(new URL(source, document.baseURI), { signal });
    if (response.ok) return await response.blob();
  } catch (thrown) {
    signal.throwIfAborted();
    const message = `The image could not be fetched from ${url}: ${messageOf(thrown)}`;
    const hint = 'Check the address; another origin must allow this page by CORS.';
    throw new WpError('network', message, hint, { url }, { cause: thrown });
  }
  const { status } = response;
  const code = status === 404 ? 'not-found' : 'network';
  throw new WpError(code, `${url} answered ${status}.`, 'Check the address of the image.', { url, status });
}

async function draw(picture: Picture, canvas: HTMLCanvasElement, signal: AbortSignal): Promise<void> {
  if (picture instanceof Blob) await checkFile(picture);
  else if ('data' in picture) checkSize(picture);
  const bitmap = await toBitmap(picture, signal);
  try {
    signal.throwIfAborted();
    checkSize(bitmap);
    const scale = Math.min(1, MAX_EDGE / Math.max(bitmap.width, bitmap.height));
    canvas.width = Math.max(1, Math.round(bitmap.width * scale));
    canvas.height = Math.max(1, Math.round(bitmap.height * scale));
    const context = canvas.getContext('2d');
    if (!context) throw new WpError('out-of-memory', 'There is no canvas to draw the image on.', 'Close other tabs.');
    context.imageSmoothingQuality = 'high';
    context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  } finally {
    bitmap.close();
  }
}

async function checkFile(file: Blob): Promise<void> {
  if (file.size > MAX_IMAGE_BYTES) {
    const message = `The image is a file of ${file.size} bytes; at most ${MAX_IMAGE_BYTES} are read.`;
    throw new WpError('invalid-argument', message, 'Make it smaller.', { actual: file.size, allowed: MAX_IMAGE_BYTES });
  }
  const size = readImageSize(new Uint8Array(await file.slice(0, HEADER_BYTES).arrayBuffer()));
  if (size) checkSize(size);
}

function checkSize({ width, height }: { width: number; height: number }): void {
  if (width * height <= MAX_IMAGE_PIXELS) return;
  throw new WpError(
    'invalid-argument',
    `The image has ${width} × ${height} pixels; at most ${MAX_IMAGE_PIXELS / 1e6} million are read.`,
    'Make it smaller: the model looks at a few hundred pixels along each edge.',
    { actual: width * height, allowed: MAX_IMAGE_PIXELS },
  );
}

async function toBitmap(picture: Picture, signal: AbortSignal): Promise<ImageBitmap> {
  try {
    if (picture instanceof HTMLImageElement) await picture.decode();
    return await createImageBitmap('data' in picture ? toImageData(picture) : picture);
  } catch (thrown) {
    signal.throwIfAborted();
    const type = picture instanceof Blob ? picture.type : '';
    throw new WpError(
      'unsupported-format',
      `This${type ? ` file (${type})` : ''} cannot be shown as an image: it is none, is damaged, or of a format that this browser does not read.`,
      'Browsers read PNG, JPEG, WebP, GIF, BMP and most of them AVIF.',
      { type, reason: messageOf(thrown) },
      { cause: thrown },
    );
  }
}

function toImageData({ data, width, height }: ImagePixels): ImageData {
  const channels = data.length / (width * height);
  const image = new ImageData(width, height);
  for (let i = 0; i < width * height; i++) {
    for (let c = 0; c < 3; c++) image.data[4 * i + c] = data[channels * i + c]!;
    image.data[4 * i + 3] = 255;
  }
  return image;
}

/** A data: URL may be megabytes. */
const shorten = (url: string): string => (url.length > 200 ? `${url.slice(0, 200)}…` : url);

const messageOf = (thrown: unknown): string => (thrown instanceof Error ? thrown.message : String(thrown));
