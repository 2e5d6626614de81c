// Kernels on images, channels last. `from` and `to` are rows (pixels) of the output, but where it says otherwise.

import { ImageParameters } from './encoder-parameters';
import { multiplyAdd } from './simd';

/**
 * What a kernel sees, row after row: (channel, y, x). `groups` is the first row, which is written first. Channels come apart
 * in the output, so that a pixel's are read once and written in steps of the kernel's area.
 */
export function unfold(parameters: usize, from: u32, to: u32): void {
  const p = changetype<ImageParameters>(parameters);
  const area = p.kernelHeight * p.kernelWidth;
  const columns = p.channels * area;
  const step = <usize>area * 4;
  for (let row = from; row < to; row++) {
    const place = row + p.groups;
    const outX = place % p.outWidth;
    const outY = (place / p.outWidth) % p.outHeight;
    const image = place / (p.outWidth * p.outHeight);
    const target = p.output + <usize>row * columns * 4;
    for (let tap: u32 = 0; tap < area; tap++) {
      const y = <i32>(outY * p.stride + (tap / p.kernelWidth) * p.dilation) - <i32>p.padding;
      const x = <i32>(outX * p.stride + (tap % p.kernelWidth) * p.dilation) - <i32>p.padding;
      let out = target + <usize>tap * 4;
      if (y < 0 || y >= <i32>p.height || x < 0 || x >= <i32>p.width) {
        for (let c: u32 = 0; c < p.channels; c++) {
          store<f32>(out, 0);
          out += step;
        }
        continue;
      }
      let pixel = p.input + <usize>((image * p.height + <u32>y) * p.width + <u32>x) * p.channels * 4;
      for (let c: u32 = 0; c < p.channels; c++) {
        store<f32>(out, load<f32>(pixel));
        pixel += 4;
        out += step;
      }
    }
  }
}

/** A pixel's sums before anything is added to them. */
@inline
function startWithBias(p: ImageParameters, out: usize): void {
  for (let f: u32 = 0; f < p.features; f++) {
    store<f32>(out + <usize>f * 4, p.bias ? load<f32>(p.bias + <usize>f * 4) : 0);
  }
}

/** Convolution of few channels a group (depth-wise, most often): the weight is f32 [features, channels / groups, area]. */
export function groupedConv(parameters: usize, from: u32, to: u32): void {
  const p = changetype<ImageParameters>(parameters);
  const area = p.kernelHeight * p.kernelWidth;
  const groupChannels = p.channels / p.groups;
  const groupFeatures = p.features / p.groups;
  for (let row = from; row < to; row++) {
    const outX = row % p.outWidth;
    const outY = (row / p.outWidth) % p.outHeight;
    const image = row / (p.outWidth * p.outHeight);
    const out = p.output + <usize>row * p.features * 4;
    startWithBias(p, out);
    for (let tap: u32 = 0; tap < area; tap++) {
      const y = <i32>(outY * p.stride + (tap / p.kernelWidth) * p.dilation) - <i32>p.padding;
      const x = <i32>(outX * p.stride + (tap % p.kernelWidth) * p.dilation) - <i32>p.padding;
      if (y < 0 || y >= <i32>p.height || x < 0 || x >= <i32>p.width) continue;
      const pixel = p.input + <usize>((image * p.height + <u32>y) * p.width + <u32>x) * p.channels * 4;
      for (let f: u32 = 0; f < p.features; f++) {
        const channel = pixel + <usize>((f / groupFeatures) * groupChannels) * 4;
        const weight = p.weight + <usize>(f * groupChannels * area + tap) * 4;
        let sum = load<f32>(out + <usize>f * 4);
        for (let c: u32 = 0; c < groupChannels; c++) {
          sum += load<f32>(channel + <usize>c * 4) * load<f32>(weight + <usize>(c * area) * 4);
        }
        store<f32>(out + <usize>f * 4, sum);
      }
    }
  }
}

/** Transposed convolution, gathered: each output pixel asks which inputs reach it. Weight f32 [channels, features / groups, area]. */
export function transposedConv(parameters: usize, from: u32, to: u32): void {
  const p = changetype<ImageParameters>(parameters);
  const area = p.kernelHeight * p.kernelWidth;
  const groupChannels = p.channels / p.groups;
  const groupFeatures = p.features / p.groups;
  for (let row = from; row < to; row++) {
    const outX = row % p.outWidth;
    const outY = (row / p.outWidth) % p.outHeight;
    const image = row / (p.outWidth * p.outHeight);
    const out = p.output + <usize>row * p.features * 4;
    startWithBias(p, out);
    for (let tap: u32 = 0; tap < area; tap++) {
      const y = <i32>(outY + p.padding) - <i32>((tap / p.kernelWidth) * p.dilation);
      const x = <i32>(outX + p.padding) - <i32>((tap % p.kernelWidth) * p.dilation);
      const stride = <i32>p.stride;
      if (y < 0 || x < 0 || y % stride != 0 || x % stride != 0) continue;
      if (y / stride >= <i32>p.height || x / stride >= <i32>p.width) continue;
      const place = (image * p.height + <u32>(y / stride)) * p.width + <u32>(x / stride);
      const pixel = p.input + <usize>place * p.channels * 4;
      for (let channel: u32 = 0; channel < p.channels; channel++) {
        const value = load<f32>(pixel + <usize>channel * 4);
        let target = out + <usize>((channel / groupChannels) * groupFeatures) * 4;
        let weight = p.weight + <usize>(channel * groupFeatures * area + tap) * 4;
        for (let f: u32 = 0; f < groupFeatures; f++) {
          store<f32>(target, load<f32>(target) + value * load<f32>(weight));
          target += 4;
          weight += <usize>area * 4;
        }
      }
    }
  }
}

/** `from` and `to` are images × groups; `height` is the area of an image, `kernelHeight` the epsilon's bits. */
export function groupNorm(parameters: usize, from: u32, to: u32): void {
  const p = changetype<ImageParameters>(parameters);
  const size = p.channels / p.groups;
  const epsilon = reinterpret<f32>(p.kernelHeight);
  const stride = <usize>p.channels * 4;
  for (let index = from; index < to; index++) {
    const group = index % p.groups;
    const start = (<usize>(index / p.groups) * p.height * p.channels + group * size) * 4;
    // In f64: an image is large, and a sum of all its numbers would lose them one by one.
    let sum: f64 = 0;
    let at = p.input + start;
    for (let pixel: u32 = 0; pixel < p.height; pixel++) {
      for (let c: u32 = 0; c < size; c++) sum += <f64>load<f32>(at + <usize>c * 4);
      at += stride;
    }
    const mean = <f32>(sum / <f64>(p.height * size));
    let squares: f64 = 0;
    at = p.input + start;
    for (let pixel: u32 = 0; pixel < p.height; pixel++) {
      for (let c: u32 = 0; c < size; c++) {
        const d = load<f32>(at + <usize>c * 4) - mean;
        squares += <f64>(d * d);
      }
      at += stride;
    }
    const inverse = <f32>(1 / sqrt<f64>(squares / <f64>(p.height * size) + <f64>epsilon));
    at = p.input + start;
    let out = p.output + start;
    const weight = p.weight + <usize>(group * size) * 4;
    const bias = p.bias + <usize>(group * size) * 4;
    for (let pixel: u32 = 0; pixel < p.height; pixel++) {
      for (let c: usize = 0; c < <usize>size * 4; c += 4) {
        store<f32>(out + c, (load<f32>(at + c) - mean) * inverse * load<f32>(weight + c) + load<f32>(bias + c));
      }
      at += stride;
      out += stride;
    }
  }
}

/** `groups` is the scale. */
export function upsampleNearest(parameters: usize, from: u32, to: u32): void {
  const p = changetype<ImageParameters>(parameters);
  const bytes = <usize>p.channels * 4;
  for (let row = from; row < to; row++) {
    const x = (row % p.outWidth) / p.groups;
    const y = ((row / p.outWidth) % p.outHeight) / p.groups;
    const image = row / (p.outWidth * p.outHeight);
    const source = p.input + <usize>((image * p.height + y) * p.width + x) * bytes;
    memory.copy(p.output + <usize>row * bytes, source, bytes);
  }
}

/** `groups` is the scale; the output's centres lie at (i + ½)/scale − ½ of the input, edges repeated. */
export function upsampleBilinear(parameters: usize, from: u32, to: u32): void {
  const p = changetype<ImageParameters>(parameters);
  const bytes = <usize>p.channels * 4;
  const scale = <f32>p.groups;
  for (let row = from; row < to; row++) {
    const image = row / (p.outWidth * p.outHeight);
    const xPlace = max<f32>(0, (<f32>(row % p.outWidth) + 0.5) / scale - 0.5);
    const yPlace = max<f32>(0, (<f32>((row / p.outWidth) % p.outHeight) + 0.5) / scale - 0.5);
    const x0 = <u32>xPlace;
    const y0 = <u32>yPlace;
    const dx = xPlace - <f32>x0;
    const dy = yPlace - <f32>y0;
    const x1 = min<u32>(x0 + 1, p.width - 1);
    const y1 = min<u32>(y0 + 1, p.height - 1);
    const top = p.input + <usize>((image * p.height + y0) * p.width) * bytes;
    const bottom = p.input + <usize>((image * p.height + y1) * p.width) * bytes;
    const one: f32 = 1;
    const w00 = (one - dx) * (one - dy);
    const w01 = dx * (one - dy);
    const w10 = (one - dx) * dy;
    const w11 = dx * dy;
    const out = p.output + <usize>row * bytes;
    const left = <usize>x0 * bytes;
    const right = <usize>x1 * bytes;
    let at: usize = 0;
    for (; at + 16 <= bytes; at += 16) {
      let sum = f32x4.mul(v128.load(top + left + at), f32x4.splat(w00));
      sum = multiplyAdd(v128.load(top + right + at), f32x4.splat(w01), sum);
      sum = multiplyAdd(v128.load(bottom + left + at), f32x4.splat(w10), sum);
      sum = multiplyAdd(v128.load(bottom + right + at), f32x4.splat(w11), sum);
      v128.store(out + at, sum);
    }
    for (; at < bytes; at += 4) {
      const upper = load<f32>(top + left + at) * w00 + load<f32>(top + right + at) * w01;
      const lower = load<f32>(bottom + left + at) * w10 + load<f32>(bottom + right + at) * w11;
      store<f32>(out + at, upper + lower);
    }
  }
}
