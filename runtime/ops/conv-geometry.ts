// The arithmetic of kernels on images, which unfold, conv2d, convTranspose2d, and every backend's kernels share.

import type { ConvGeometry, Dim } from '../graph/types.ts';
import { expectThat } from './operation.ts';

export interface ImageSize {
  height: number;
  width: number;
}

/** What a convolution makes of an image. */
export function convOutput({
  height,
  width,
  kernelHeight,
  kernelWidth,
  stride,
  padding,
  dilation,
}: ConvGeometry): ImageSize {
  const along = (size: number, kernel: number) =>
    Math.floor((size + 2 * padding - dilation * (kernel - 1) - 1) / stride) + 1;
  return { height: along(height, kernelHeight), width: along(width, kernelWidth) };
}

/** What a transposed convolution makes of an image. */
export function convTransposeOutput(geometry: ConvGeometry & { outputPadding: number }): ImageSize {
  const { height, width, kernelHeight, kernelWidth, stride, padding, dilation, outputPadding } = geometry;
  const along = (size: number, kernel: number) =>
    (size - 1) * stride - 2 * padding + dilation * (kernel - 1) + outputPadding + 1;
  return { height: along(height, kernelHeight), width: along(width, kernelWidth) };
}

/** Throws for a geometry that no image has. */
export function expectGeometry(op: string, geometry: ConvGeometry, output: ImageSize): void {
  const { height, width, kernelHeight, kernelWidth, stride, padding, dilation } = geometry;
  const counts = { height, width, kernelHeight, kernelWidth, stride, dilation };
  for (const [name, value] of Object.entries(counts)) {
    expectThat(op, Number.isInteger(value) && value >= 1, `${name} is ${value}; it must be a whole number from 1 on.`);
  }
  expectThat(
    op,
    Number.isInteger(padding) && padding >= 0,
    `padding is ${padding}; it must be a whole number from 0 on.`,
  );
  expectThat(op, output.height >= 1 && output.width >= 1, `a kernel of ${kernelHeight} × ${kernelWidth} does not fit.`);
}

/** How many images of height × width the rows are; throws unless they are whole. */
export function imageCount(op: string, rows: Dim, { height, width }: ImageSize): number {
  const images = typeof rows === 'number' ? rows / (height * width) : NaN;
  expectThat(op, Number.isInteger(images), `${String(rows)} rows are no images of ${height} × ${width}.`);
  return images;
}
