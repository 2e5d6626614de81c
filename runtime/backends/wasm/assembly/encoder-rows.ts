// Row-wise kernels of encoders. `from` and `to` are rows of the output.

import { RowParameters } from './encoder-parameters';
import { exponential } from './exponential';
import { multiplyAdd, sumLanes } from './simd';

/** (x − mean) / sqrt(variance + epsilon) × `other` + `third`. */
export function layerNorm(parameters: usize, from: u32, to: u32): void {
  const p = changetype<RowParameters>(parameters);
  const bytes = <usize>p.columns * 4;
  const whole = bytes & ~15;
  for (let row = from; row < to; row++) {
    const x = p.input + <usize>row * bytes;
    const out = p.output + <usize>row * bytes;
    let sums = f32x4.splat(0);
    let at: usize = 0;
    for (; at < whole; at += 16) sums = f32x4.add(sums, v128.load(x + at));
    let sum = sumLanes(sums);
    for (; at < bytes; at += 4) sum += load<f32>(x + at);
    const mean = sum / <f32>p.columns;
    const means = f32x4.splat(mean);
    let squares = f32x4.splat(0);
    for (at = 0; at < whole; at += 16) {
      const d = f32x4.sub(v128.load(x + at), means);
      squares = multiplyAdd(d, d, squares);
    }
    let square = sumLanes(squares);
    for (; at < bytes; at += 4) {
      const d = load<f32>(x + at) - mean;
      square += d * d;
    }
    const inverse: f32 = <f32>1 / sqrt<f32>(square / <f32>p.columns + p.epsilon);
    const inverses = f32x4.splat(inverse);
    for (at = 0; at < whole; at += 16) {
      const normed = f32x4.mul(f32x4.sub(v128.load(x + at), means), inverses);
      const shift = p.third ? v128.load(p.third + at) : f32x4.splat(0);
      v128.store(out + at, multiplyAdd(normed, v128.load(p.other + at), shift));
    }
    for (; at < bytes; at += 4) {
      const shift: f32 = p.third ? load<f32>(p.third + at) : 0;
      store<f32>(out + at, (load<f32>(x + at) - mean) * inverse * load<f32>(p.other + at) + shift);
    }
  }
}

@inline
function sigmoid(x: v128): v128 {
  return f32x4.div(f32x4.splat(1), f32x4.add(f32x4.splat(1), exponential(f32x4.neg(x))));
}

/** x·Φ(x), with Φ by Abramowitz and Stegun's 7.1.26, whose error is below 1.5e-7: erfc(z) = t·(a1 + t·(a2 + …))·exp(−z²). */
@inline
function gelu(x: v128): v128 {
  const z = f32x4.mul(f32x4.abs(x), f32x4.splat(0.7071067811865476));
  const t = f32x4.div(f32x4.splat(1), multiplyAdd(z, f32x4.splat(0.3275911), f32x4.splat(1)));
  let y = multiplyAdd(t, f32x4.splat(1.061405429), f32x4.splat(-1.453152027));
  y = multiplyAdd(t, y, f32x4.splat(1.421413741));
  y = multiplyAdd(t, y, f32x4.splat(-0.284496736));
  y = multiplyAdd(t, y, f32x4.splat(0.254829592));
  y = f32x4.mul(f32x4.mul(y, t), exponential(f32x4.neg(f32x4.mul(z, z))));
  const half = f32x4.mul(f32x4.mul(x, f32x4.splat(0.5)), y);
  // x < 0: x·erfc/2; else x − x·erfc/2.
  const isNegative = f32x4.lt(x, f32x4.splat(0));
  return v128.bitselect(half, f32x4.sub(x, half), isNegative);
}

@inline
function geluTanh(x: v128): v128 {
  const cubic = f32x4.mul(f32x4.mul(x, x), f32x4.splat(0.044715));
  const u = f32x4.mul(f32x4.mul(x, f32x4.splat(0.7978845608028654)), f32x4.add(cubic, f32x4.splat(1)));
  return f32x4.mul(x, sigmoid(f32x4.add(u, u)));
}

@inline
function apply(kind: u32, x: v128): v128 {
  switch (kind) {
    case 0:
      return gelu(x);
    case 1:
      return geluTanh(x);
    case 2:
      return f32x4.mul(x, sigmoid(f32x4.mul(x, f32x4.splat(1.702))));
    case 3:
      return f32x4.mul(x, sigmoid(x));
    case 4:
      return f32x4.max(x, f32x4.splat(0));
    case 5:
      return f32x4.sub(f32x4.mul(f32x4.splat(2), sigmoid(f32x4.add(x, x))), f32x4.splat(1));
    default:
      return sigmoid(x);
  }
}

/** `size`: which function, by its place in ACTIVATION_KINDS of encoder/compile.ts. */
export function activation(parameters: usize, from: u32, to: u32): void {
  const p = changetype<RowParameters>(parameters);
  const kind = p.size;
  const end = <usize>to * p.columns * 4;
  let at = <usize>from * p.columns * 4;
  for (; at + 16 <= end; at += 16) v128.store(p.output + at, apply(kind, v128.load(p.input + at)));
  for (; at < end; at += 4) {
    f32.store(p.output + at, f32x4.extract_lane(apply(kind, v128.load_splat<u32>(p.input + at)), 0));
  }
}

/** (gate | up) → gelu(gate) × up; `columns` are the input's. */
export function gatedExactGelu(parameters: usize, from: u32, to: u32): void {
  const p = changetype<RowParameters>(parameters);
  const bytes = <usize>p.columns * 2;
  for (let row = from; row < to; row++) {
    const gate = p.input + <usize>row * 2 * bytes;
    const out = p.output + <usize>row * bytes;
    let at: usize = 0;
    for (; at + 16 <= bytes; at += 16) {
      v128.store(out + at, f32x4.mul(gelu(v128.load(gate + at)), v128.load(gate + bytes + at)));
    }
    for (; at < bytes; at += 4) {
      const x = f32x4.extract_lane(gelu(v128.load_splat<u32>(gate + at)), 0);
      f32.store(out + at, x * f32.load(gate + bytes + at));
    }
  }
}

/** Rotates the first `count` heads of `size` numbers by `other`, whose rows are as long as a head; copies the rest. */
export function rotate(parameters: usize, from: u32, to: u32): void {
  const p = changetype<RowParameters>(parameters);
  const bytes = <usize>p.columns * 4;
  const half = <usize>p.size * 2;
  for (let row = from; row < to; row++) {
    let x = p.input + <usize>row * bytes;
    let out = p.output + <usize>row * bytes;
    const angles = p.other + <usize>row * 2 * half;
    for (let head: u32 = 0; head < p.count; head++) {
      for (let at: usize = 0; at < half; at += 4) {
        const a = load<f32>(x + at);
        const b = load<f32>(x + half + at);
        const cos = load<f32>(angles + at);
        const sin = load<f32>(angles + half + at);
        store<f32>(out + at, a * cos - b * sin);
        store<f32>(out + half + at, b * cos + a * sin);
      }
      x += 2 * half;
      out += 2 * half;
    }
    memory.copy(out, x, bytes - <usize>p.count * 2 * half);
  }
}

/** `out` += row. */
@inline
function addTo(out: usize, row: usize, bytes: usize): void {
  let at: usize = 0;
  for (; at + 16 <= bytes; at += 16) v128.store(out + at, f32x4.add(v128.load(out + at), v128.load(row + at)));
  for (; at < bytes; at += 4) store<f32>(out + at, load<f32>(out + at) + load<f32>(row + at));
}

@inline
function multiplyRow(x: usize, out: usize, bytes: usize, factor: f32): void {
  const factors = f32x4.splat(factor);
  let at: usize = 0;
  for (; at + 16 <= bytes; at += 16) v128.store(out + at, f32x4.mul(v128.load(x + at), factors));
  for (; at < bytes; at += 4) store<f32>(out + at, load<f32>(x + at) * factor);
}

/** The means of rows first … end − 1, which `other` says as pairs. */
export function meanRows(parameters: usize, from: u32, to: u32): void {
  const p = changetype<RowParameters>(parameters);
  const bytes = <usize>p.columns * 4;
  for (let row = from; row < to; row++) {
    const first = load<u32>(p.other + <usize>row * 8);
    const end = load<u32>(p.other + <usize>row * 8, 4);
    const out = p.output + <usize>row * bytes;
    memory.fill(out, 0, bytes);
    if (end <= first) continue;
    for (let i = first; i < end; i++) addTo(out, p.input + <usize>i * bytes, bytes);
    multiplyRow(out, out, bytes, <f32>1 / <f32>(end - first));
  }
}

/** Rows of length 1; shorter ones than epsilon are divided by epsilon. */
export function normalizeRows(parameters: usize, from: u32, to: u32): void {
  const p = changetype<RowParameters>(parameters);
  const bytes = <usize>p.columns * 4;
  for (let row = from; row < to; row++) {
    const x = p.input + <usize>row * bytes;
    let squares = f32x4.splat(0);
    let at: usize = 0;
    for (; at + 16 <= bytes; at += 16) squares = multiplyAdd(v128.load(x + at), v128.load(x + at), squares);
    let sum = sumLanes(squares);
    for (; at < bytes; at += 4) sum += load<f32>(x + at) * load<f32>(x + at);
    multiplyRow(x, p.output + <usize>row * bytes, bytes, <f32>1 / max<f32>(sqrt<f32>(sum), p.epsilon));
  }
}

/** × `epsilon` (a factor), and × `other` where there is one. */
export function scaleColumns(parameters: usize, from: u32, to: u32): void {
  const p = changetype<RowParameters>(parameters);
  const bytes = <usize>p.columns * 4;
  for (let row = from; row < to; row++) {
    const x = p.input + <usize>row * bytes;
    const out = p.output + <usize>row * bytes;
    for (let at: usize = 0; at < bytes; at += 4) {
      const scale: f32 = p.other ? load<f32>(p.other + at) : 1;
      store<f32>(out + at, load<f32>(x + at) * p.epsilon * scale);
    }
  }
}

/** Row i of the output is row i mod `count` of the table `other`; where there is an input it is added. */
export function tableRows(parameters: usize, from: u32, to: u32): void {
  const p = changetype<RowParameters>(parameters);
  const bytes = <usize>p.columns * 4;
  for (let row = from; row < to; row++) {
    const out = p.output + <usize>row * bytes;
    memory.copy(out, p.other + <usize>(row % p.count) * bytes, bytes);
    if (p.input) addTo(out, p.input + <usize>row * bytes, bytes);
  }
}

/** The `count` rows of the table `other` in each run of `size` rows, after `place` of them. */
export function insertRows(parameters: usize, from: u32, to: u32): void {
  const p = changetype<RowParameters>(parameters);
  const bytes = <usize>p.columns * 4;
  const run = p.count + p.size;
  for (let row = from; row < to; row++) {
    const group = row / run;
    const at = row % run;
    let source = p.input + <usize>(group * p.size + (at < p.place ? at : at - p.count)) * bytes;
    if (at >= p.place && at < p.place + p.count) source = p.other + <usize>(at - p.place) * bytes;
    memory.copy(p.output + <usize>row * bytes, source, bytes);
  }
}

/** Rows of `columns` numbers, and of `size` numbers from `other` behind. */
export function concatColumns(parameters: usize, from: u32, to: u32): void {
  const p = changetype<RowParameters>(parameters);
  const first = <usize>p.columns * 4;
  const second = <usize>p.size * 4;
  for (let row = from; row < to; row++) {
    const out = p.output + <usize>row * (first + second);
    memory.copy(out, p.input + <usize>row * first, first);
    memory.copy(out + first, p.other + <usize>row * second, second);
  }
}
