// Images on their way to the worker. What only a page has (elements, a video's frame) becomes a bitmap here; all else is fetched
// and decoded in the worker. A chunk of its own, fetched with the first image.

import { WpError } from './errors.ts';
import type { ImagePayload, ImagePixels, ImageSource } from './model.ts';

/** Throws `invalid-argument` for what is no image, or an element that shows none. */
export async function toPayloads(
  images: ImageSource | readonly ImageSource[],
): Promise<{ payloads: ImagePayload[]; transfer: Transferable[] }> {
  const transfer: Transferable[] = [];
  const list = Array.isArray(images) ? (images as readonly ImageSource[]) : [images as ImageSource];
  const payloads = await Promise.all(list.map((image, index) => toPayload(image, index, transfer)));
  return { payloads, transfer };
}

async function toPayload(image: ImageSource, index: number, transfer: Transferable[]): Promise<ImagePayload> {
  if (typeof image === 'string' || image instanceof URL) return { address: absolute(String(image), index) };
  if (image instanceof Blob || is(image, 'ImageBitmap')) return image as Blob | ImageBitmap;
  if (isPixels(image)) return { data: image.data, width: image.width, height: image.height };
  const kind = KINDS.find((name) => is(image, name));
  if (!kind) throw notAnImage(image, index);
  await expectShown(image as HTMLImageElement, index);
  try {
    // Bytes as the file has them: neither blended with their transparency nor brought into another colour space.
    const bitmap = await createImageBitmap(image as ImageBitmapSource, {
      premultiplyAlpha: 'none',
      colorSpaceConversion: 'none',
    });
    transfer.push(bitmap);
    return bitmap;
  } catch (thrown) {
    throw new WpError(
      'invalid-argument',
      `Image ${index}, a ${kind}, cannot be read: ${thrown instanceof Error ? thrown.message : String(thrown)}`,
      'It must show an image of this origin, or one that was fetched with CORS (crossorigin="anonymous").',
      { actual: kind, index },
      { cause: thrown },
    );
  }
}

const KINDS = ['HTMLImageElement', 'HTMLCanvasElement', 'OffscreenCanvas', 'HTMLVideoElement', 'VideoFrame'];

/** Of a class that this browser may not have. */
function is(value: unknown, name: string): boolean {
  const kind = (globalThis as Record<string, unknown>)[name];
  return typeof kind === 'function' && value instanceof kind;
}

function isPixels(image: unknown): image is ImagePixels {
  const { data } = (image ?? {}) as Partial<ImagePixels>;
  return data instanceof Uint8ClampedArray || data instanceof Uint8Array;
}

/** Relative addresses are relative to the page, which the worker does not know. */
function absolute(address: string, index: number): string {
  const { document } = globalThis as { document?: { baseURI: string } };
  try {
    return new URL(address, document?.baseURI).href;
  } catch (thrown) {
    throw new WpError(
      'invalid-argument',
      `Image ${index} is no address: ${JSON.stringify(address.slice(0, 80))}.`,
      'Pass the URL of an image, a Blob, or pixels.',
      { actual: address.slice(0, 200), index },
      { cause: thrown },
    );
  }
}

async function expectShown(image: HTMLImageElement | HTMLVideoElement, index: number): Promise<void> {
  // A broken or an empty image fails as it is decoded, just below.
  if (is(image, 'HTMLImageElement')) await (image as HTMLImageElement).decode().catch(() => undefined);
  if (is(image, 'HTMLVideoElement') && (image as HTMLVideoElement).readyState < 2) {
    throw new WpError(
      'invalid-argument',
      `Image ${index} is a video that has no frame yet.`,
      'Wait for its event loadeddata.',
      { actual: (image as HTMLVideoElement).readyState, allowed: '2 or more', index },
    );
  }
}

function notAnImage(image: unknown, index: number): WpError {
  const actual = image === null ? 'null' : typeof image;
  return new WpError(
    'invalid-argument',
    `Image ${index} is ${actual === 'object' ? 'an object of another kind' : actual}; it must be an image.`,
    'Pass an address, a Blob, pixels ({ data, width, height }), an ImageBitmap, <img>, <canvas> or <video>.',
    { actual, index },
  );
}
