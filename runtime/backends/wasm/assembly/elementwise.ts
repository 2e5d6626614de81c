// Sums, gated activations and the choice of rows. `from` and `to` are rows of the output.

import { exponential } from './exponential';
import { addRow } from './norm';
import { ElementwiseParameters } from './parameters';

export function add(parameters: usize, from: u32, to: u32): void {
  const p = changetype<ElementwiseParameters>(parameters);
  const offset = <usize>from * p.columns * 4;
  addRow(p.input + offset, p.other + offset, p.output + offset, (to - from) * p.columns);
}

export function selectRows(parameters: usize, from: u32, to: u32): void {
  const p = changetype<ElementwiseParameters>(parameters);
  const bytes = <usize>p.columns * 4;
  for (let row = from; row < to; row++) {
    const source = load<u32>(p.other + <usize>row * 4);
    memory.copy(p.output + <usize>row * bytes, p.input + <usize>source * bytes, bytes);
  }
}

/** x·sigmoid(x). */
@inline
function silu(x: v128): v128 {
  return f32x4.div(x, f32x4.add(f32x4.splat(1), exponential(f32x4.neg(x))));
}

/** 0.5·x·(1 + tanh(u)) = x·sigmoid(2u), with u = √(2/π)·(x + 0.044715·x³). */
@inline
function geluTanh(x: v128): v128 {
  const cubic = f32x4.mul(f32x4.mul(x, x), f32x4.splat(0.044715));
  const u = f32x4.mul(f32x4.mul(x, f32x4.splat(0.7978845608028654)), f32x4.add(cubic, f32x4.splat(1)));
  return f32x4.div(x, f32x4.add(f32x4.splat(1), exponential(f32x4.mul(u, f32x4.splat(-2)))));
}

@inline
function gated(p: ElementwiseParameters, from: u32, to: u32, isSilu: bool): void {
  const bytes = <usize>p.columns * 4;
  for (let row = from; row < to; row++) {
    const gate = p.input + <usize>row * 2 * bytes;
    const up = gate + bytes;
    const out = p.output + <usize>row * bytes;
    let at: usize = 0;
    for (; at + 16 <= bytes; at += 16) {
      const x = v128.load(gate + at);
      v128.store(out + at, f32x4.mul(isSilu ? silu(x) : geluTanh(x), v128.load(up + at)));
    }
    for (; at < bytes; at += 4) {
      const x = v128.load_splat<u32>(gate + at);
      f32.store(out + at, f32x4.extract_lane(isSilu ? silu(x) : geluTanh(x), 0) * f32.load(up + at));
    }
  }
}

/** (gate | up) [rows, 2 × columns] → silu(gate) × up [rows, columns]. */
export function gatedSilu(parameters: usize, from: u32, to: u32): void {
  gated(changetype<ElementwiseParameters>(parameters), from, to, true);
}

/** (gate | up) [rows, 2 × columns] → gelu(gate) × up [rows, columns]; gelu by its tanh approximation. */
export function gatedGelu(parameters: usize, from: u32, to: u32): void {
  gated(changetype<ElementwiseParameters>(parameters), from, to, false);
}
