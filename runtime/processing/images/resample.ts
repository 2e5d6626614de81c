// Pillow's Image.resize, byte for byte: the same filters, widened by the factor of a reduction (antialiasing), coefficients in
// fixed point of 22 bits, columns first and then rows, each pass rounded to bytes. A window of the result costs only itself.
// Contract: src/libImaging/Resample.c and Geometry.c (nearest) of Pillow.

import type { PixelSize, Resampling } from './processor-config.ts';

/** Rows from the top; of 4 channels the last is left out. */
export interface ByteImage extends PixelSize {
  data: Uint8Array | Uint8ClampedArray;
  channels: 3 | 4;
}

export interface PixelWindow extends PixelSize {
  left: number;
  top: number;
}

/** Bits of a coefficient behind the point: a sum of 256 times coefficients that add up to 1 stays within 32 bits. */
const PRECISION_BITS = 22;

const sinc = (x: number): number => (x === 0 ? 1 : Math.sin(x * Math.PI) / (x * Math.PI));

/** A filter's weight at a distance in pixels, and how far it reaches. */
const FILTERS: Readonly<Record<Exclude<Resampling, 'nearest'>, { support: number; weight: (x: number) => number }>> = {
  box: { support: 0.5, weight: (x) => (x > -0.5 && x <= 0.5 ? 1 : 0) },
  bilinear: { support: 1, weight: (x) => Math.max(0, 1 - Math.abs(x)) },
  hamming: {
    support: 1,
    weight: (signed) => {
      const x = Math.abs(signed);
      if (x === 0) return 1;
      return x >= 1 ? 0 : sinc(x) * (0.54 + 0.46 * Math.cos(x * Math.PI));
    },
  },
  bicubic: {
    support: 2,
    weight: (signed) => {
      const x = Math.abs(signed);
      const a = -0.5;
      if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
      return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
    },
  },
  lanczos: { support: 3, weight: (x) => (x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0) },
};

/** The window of what `image` is when it has been resized to `size`: RGB, 3 bytes a pixel. */
export function resample(image: ByteImage, size: PixelSize, window: PixelWindow, resampling: Resampling): Uint8Array {
  if (size.width === image.width && size.height === image.height) return cut(image, window);
  if (resampling === 'nearest') return nearest(image, size, window);
  const columns = taps(image.width, size.width, window.left, window.width, resampling);
  const rows = taps(image.height, size.height, window.top, window.height, resampling);
  // Only the source's rows that the second pass reads.
  const first = rows.starts[0]!;
  const last = rows.starts.at(-1)! + rows.counts.at(-1)!;
  const narrow = resampleColumns(image, columns, first, last);
  return resampleRows(narrow, window.width * 3, rows, first);
}

/** Of each pixel along one axis: where its inputs begin, how many there are, and their coefficients, `stride` apart. */
interface Taps {
  starts: Int32Array;
  counts: Int32Array;
  coefficients: Int32Array;
  stride: number;
}

function taps(inputs: number, outputs: number, from: number, count: number, resampling: keyof typeof FILTERS): Taps {
  // An axis that keeps its size is not filtered.
  if (inputs === outputs) {
    return {
      starts: Int32Array.from({ length: count }, (_, i) => from + i),
      counts: new Int32Array(count).fill(1),
      coefficients: new Int32Array(count).fill(2 ** PRECISION_BITS),
      stride: 1,
    };
  }
  const { support: reach, weight } = FILTERS[resampling];
  const scale = inputs / outputs;
  const filterScale = Math.max(scale, 1);
  const support = reach * filterScale;
  const stride = Math.ceil(support) * 2 + 1;
  const starts = new Int32Array(count);
  const counts = new Int32Array(count);
  const coefficients = new Int32Array(count * stride);
  const weights = new Float64Array(stride);
  const inverse = 1 / filterScale;
  for (let i = 0; i < count; i++) {
    const center = (from + i + 0.5) * scale;
    const start = Math.max(0, Math.trunc(center - support + 0.5));
    const length = Math.min(inputs, Math.trunc(center + support + 0.5)) - start;
    let sum = 0;
    for (let j = 0; j < length; j++) {
      weights[j] = weight((j + start - center + 0.5) * inverse);
      sum += weights[j]!;
    }
    for (let j = 0; j < length; j++) {
      const scaled = (sum === 0 ? weights[j]! : weights[j]! / sum) * 2 ** PRECISION_BITS;
      coefficients[i * stride + j] = Math.trunc(scaled < 0 ? scaled - 0.5 : scaled + 0.5);
    }
    starts[i] = start;
    counts[i] = length;
  }
  return { starts, counts, coefficients, stride };
}

const HALF = 1 << (PRECISION_BITS - 1);

function resampleColumns(
  { data, width, channels }: ByteImage,
  columns: Taps,
  first: number,
  last: number,
): Uint8ClampedArray {
  const { starts, counts, coefficients, stride } = columns;
  const result = new Uint8ClampedArray((last - first) * starts.length * 3);
  let at = 0;
  for (let y = first; y < last; y++) {
    for (let x = 0; x < starts.length; x++) {
      let source = (y * width + starts[x]!) * channels;
      let red = HALF;
      let green = HALF;
      let blue = HALF;
      const end = x * stride + counts[x]!;
      for (let k = x * stride; k < end; k++, source += channels) {
        const coefficient = coefficients[k]!;
        red += data[source]! * coefficient;
        green += data[source + 1]! * coefficient;
        blue += data[source + 2]! * coefficient;
      }
      result[at] = red >> PRECISION_BITS;
      result[at + 1] = green >> PRECISION_BITS;
      result[at + 2] = blue >> PRECISION_BITS;
      at += 3;
    }
  }
  return result;
}

function resampleRows(data: Uint8ClampedArray, rowBytes: number, rows: Taps, first: number): Uint8Array {
  const { starts, counts, coefficients, stride } = rows;
  const result = new Uint8ClampedArray(starts.length * rowBytes);
  const sums = new Int32Array(rowBytes);
  for (let y = 0; y < starts.length; y++) {
    sums.fill(HALF);
    for (let k = 0; k < counts[y]!; k++) {
      const coefficient = coefficients[y * stride + k]!;
      const source = (starts[y]! - first + k) * rowBytes;
      for (let i = 0; i < rowBytes; i++) sums[i]! += data[source + i]! * coefficient;
    }
    for (let i = 0; i < rowBytes; i++) result[y * rowBytes + i] = sums[i]! >> PRECISION_BITS;
  }
  return new Uint8Array(result.buffer);
}

function nearest(image: ByteImage, size: PixelSize, window: PixelWindow): Uint8Array {
  const columns = nearestInputs(image.width, size.width, window.left, window.width);
  const rows = nearestInputs(image.height, size.height, window.top, window.height);
  return pick(image, columns, rows);
}

/** Added up, as Pillow does, so that rounding errors fall where its do. */
function nearestInputs(inputs: number, outputs: number, from: number, count: number): Int32Array {
  const scale = inputs / outputs;
  const picked = new Int32Array(count);
  let position = scale * 0.5;
  for (let i = 0; i < from + count; i++, position += scale) {
    if (i >= from) picked[i - from] = Math.min(inputs - 1, Math.trunc(position));
  }
  return picked;
}

function cut(image: ByteImage, { left, top, width, height }: PixelWindow): Uint8Array {
  const columns = Int32Array.from({ length: width }, (_, x) => left + x);
  const rows = Int32Array.from({ length: height }, (_, y) => top + y);
  return pick(image, columns, rows);
}

function pick({ data, width, channels }: ByteImage, columns: Int32Array, rows: Int32Array): Uint8Array {
  const result = new Uint8Array(rows.length * columns.length * 3);
  let at = 0;
  for (const y of rows) {
    for (const x of columns) {
      const source = (y * width + x) * channels;
      result[at] = data[source]!;
      result[at + 1] = data[source + 1]!;
      result[at + 2] = data[source + 2]!;
      at += 3;
    }
  }
  return result;
}
