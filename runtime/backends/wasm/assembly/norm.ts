// Root-mean-square norms, one row at a time. `from` and `to` are rows.

import { NormParameters } from './parameters';
import { multiplyAdd, sumLanes } from './simd';

/** `out` = x / sqrt(mean(x²) + epsilon) × weight, over `columns` numbers; `out` may be `x`. */
export function normRow(x: usize, weight: usize, out: usize, columns: u32, epsilon: f32): void {
  const bytes = <usize>columns * 4;
  const whole = bytes & ~15;
  let squares = f32x4.splat(0);
  let others = f32x4.splat(0);
  let at: usize = 0;
  for (; at + 32 <= bytes; at += 32) {
    const a = v128.load(x + at);
    const b = v128.load(x + at, 16);
    squares = multiplyAdd(a, a, squares);
    others = multiplyAdd(b, b, others);
  }
  for (; at < whole; at += 16) squares = multiplyAdd(v128.load(x + at), v128.load(x + at), squares);
  let sum = sumLanes(f32x4.add(squares, others));
  for (; at < bytes; at += 4) sum += load<f32>(x + at) * load<f32>(x + at);

  const scale: f32 = <f32>1 / sqrt<f32>(sum / <f32>columns + epsilon);
  const scales = f32x4.splat(scale);
  for (at = 0; at < whole; at += 16) {
    v128.store(out + at, f32x4.mul(f32x4.mul(v128.load(x + at), scales), v128.load(weight + at)));
  }
  for (; at < bytes; at += 4) store<f32>(out + at, load<f32>(x + at) * scale * load<f32>(weight + at));
}

export function rmsNorm(parameters: usize, from: u32, to: u32): void {
  const p = changetype<NormParameters>(parameters);
  for (let row = from; row < to; row++) {
    const offset = <usize>row * p.columns * 4;
    normRow(p.input + offset, p.weight, p.output + offset, p.columns, p.epsilon);
  }
}

/** `sum` = input + residual; `output` = the norm of the sum. */
export function addRmsNorm(parameters: usize, from: u32, to: u32): void {
  const p = changetype<NormParameters>(parameters);
  for (let row = from; row < to; row++) {
    const offset = <usize>row * p.columns * 4;
    addRow(p.input + offset, p.residual + offset, p.sum + offset, p.columns);
    normRow(p.sum + offset, p.weight, p.output + offset, p.columns, p.epsilon);
  }
}

/** `out` = a + b. */
export function addRow(a: usize, b: usize, out: usize, columns: u32): void {
  const bytes = <usize>columns * 4;
  let at: usize = 0;
  for (; at + 16 <= bytes; at += 16) v128.store(out + at, f32x4.add(v128.load(a + at), v128.load(b + at)));
  for (; at < bytes; at += 4) store<f32>(out + at, load<f32>(a + at) + load<f32>(b + at));
}
