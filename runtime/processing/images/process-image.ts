// An image as the numbers that a model reads: resized, cropped, rescaled and normalised as its processor says.

import { WpError } from '../../errors.ts';
import type { ImageProcessorConfig, PixelSize } from './processor-config.ts';
import { resample, type ByteImage } from './resample.ts';

/** Where the three numbers of a pixel go: [height, width, 3] (our graphs) or [3, height, width] (transformers, ONNX files). */
export type PixelLayout = 'channels-last' | 'channels-first';

/**
 * Writes 3·width·height numbers into `target` from `offset` on. `size` is what the model reads; throws `invalid-argument` when
 * this processor makes another size of this image.
 */
export function processImage(
  image: ByteImage,
  config: ImageProcessorConfig,
  size: PixelSize,
  target: Float32Array,
  { offset = 0, layout = 'channels-last' as PixelLayout } = {},
): void {
  const resized = resizedSize(image, config);
  const { crop } = config;
  const made = crop ?? resized;
  if (made.width !== size.width || made.height !== size.height) {
    throw new WpError(
      'invalid-argument',
      `An image of ${image.width} × ${image.height} pixels becomes ${made.width} × ${made.height}; the model reads ${size.width} × ${size.height}.`,
      'The checkpoint’s processor does not bring every image to the model’s size: resize the image before.',
      { actual: made, allowed: size },
    );
  }
  const across = placeOf(resized.width, size.width);
  const down = placeOf(resized.height, size.height);
  const window = { left: across.start, top: down.start, width: across.length, height: down.length };
  const bytes = resample(image, resized, window, config.resampling);

  const tables = [0, 1, 2].map((channel) => byteValues(config, channel));
  const area = size.width * size.height;
  const [pixelStride, channelStride] = layout === 'channels-last' ? [3, 1] : [1, area];
  const isPadded = window.width < size.width || window.height < size.height;
  for (let channel = 0; channel < 3; channel++) {
    const values = tables[channel]!;
    const first = offset + channel * channelStride;
    if (isPadded) for (let i = 0; i < area; i++) target[first + i * pixelStride] = values[0]!;
    for (let y = 0; y < window.height; y++) {
      let at = first + ((down.padding + y) * size.width + across.padding) * pixelStride;
      let source = y * window.width * 3 + channel;
      for (let x = 0; x < window.width; x++, at += pixelStride, source += 3) target[at] = values[bytes[source]!]!;
    }
  }
}

/** What an image is resized to, before the middle is cut out. */
export function resizedSize({ width, height }: PixelSize, { resize }: ImageProcessorConfig): PixelSize {
  if (!resize) return { width, height };
  if (!('shortestEdge' in resize)) return resize;
  const { shortestEdge } = resize;
  const long = (longer: number, shorter: number) => Math.trunc((shortestEdge * longer) / shorter);
  return width <= height
    ? { width: shortestEdge, height: long(height, width) }
    : { width: long(width, height), height: shortestEdge };
}

/** The middle of an axis, or the axis between paddings: the side before gets the odd pixel. */
function placeOf(resized: number, wanted: number): { start: number; length: number; padding: number } {
  if (resized >= wanted) return { start: Math.floor((resized - wanted) / 2), length: wanted, padding: 0 };
  return { start: 0, length: resized, padding: Math.ceil((wanted - resized) / 2) };
}

/** What each byte becomes, rounded to f32 where NumPy rounds. */
function byteValues({ rescaleFactor, normalization }: ImageProcessorConfig, channel: number): Float32Array {
  const mean = Math.fround(normalization?.mean[channel] ?? 0);
  const deviation = Math.fround(normalization?.deviation[channel] ?? 1);
  return Float32Array.from({ length: 256 }, (_, byte) => {
    const number = Math.fround(rescaleFactor === undefined ? byte : byte * rescaleFactor);
    return Math.fround(number - mean) / deviation;
  });
}
