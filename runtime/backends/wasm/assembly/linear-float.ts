// y = x·Wᵀ + b for weights in f16 and f32, activations in f32.
//
// Weights stand in blocks of four rows (repack.ts), column by column: four numbers of one column, one of each row, so that a
// lane belongs to a row and nothing is summed across lanes. f16 weights are read as w × 2^-112 and the activations carry 2^96
// (half.ts, foldActivations): converting a number costs a shift and a mask. Tiles and panels are as in linear-integer.ts.

import { HALF_FOLD, HALF_UNFOLD, loadHalfFolded } from './half';
import { LinearParameters } from './parameters';
import { PANEL_BYTES, multiplyAdd, storeRows } from './simd';

@inline
function column<Number>(w: usize): v128 {
  return sizeof<Number>() == 2 ? loadHalfFolded(w) : v128.load(w);
}

@inline
function finish<Number>(p: LinearParameters, sum: v128): v128 {
  return sizeof<Number>() == 2 ? f32x4.mul(sum, f32x4.splat(HALF_UNFOLD * p.unit)) : sum;
}

/** One token × four rows; four partial sums hide the latency of the addition. */
@inline
function fourRows<Number>(p: LinearParameters, block: u32, x: usize, out: usize): void {
  const size: usize = 4 * sizeof<Number>();
  const columns = p.columns;
  let w = p.weights + <usize>block * columns * size;
  let sum0 = f32x4.splat(0);
  let sum1 = f32x4.splat(0);
  let sum2 = f32x4.splat(0);
  let sum3 = f32x4.splat(0);
  let c: u32 = 0;
  for (; c + 4 <= columns; c += 4) {
    sum0 = multiplyAdd(column<Number>(w), v128.load_splat<u32>(x), sum0);
    sum1 = multiplyAdd(column<Number>(w + size), v128.load_splat<u32>(x, 4), sum1);
    sum2 = multiplyAdd(column<Number>(w + 2 * size), v128.load_splat<u32>(x, 8), sum2);
    sum3 = multiplyAdd(column<Number>(w + 3 * size), v128.load_splat<u32>(x, 12), sum3);
    w += 4 * size;
    x += 16;
  }
  for (; c < columns; c++) {
    sum0 = multiplyAdd(column<Number>(w), v128.load_splat<u32>(x), sum0);
    w += size;
    x += 4;
  }
  storeRows(p, block, out, finish<Number>(p, f32x4.add(f32x4.add(sum0, sum1), f32x4.add(sum2, sum3))));
}

/** Four tokens × four rows. */
@inline
function tile<Number>(p: LinearParameters, block: u32, x: usize, out: usize): void {
  const size: usize = 4 * sizeof<Number>();
  const columns = p.columns;
  const xStride = <usize>columns * 4;
  let w = p.weights + <usize>block * columns * size;
  let x1 = x + xStride;
  let x2 = x1 + xStride;
  let x3 = x2 + xStride;
  let sum0 = f32x4.splat(0);
  let sum1 = f32x4.splat(0);
  let sum2 = f32x4.splat(0);
  let sum3 = f32x4.splat(0);
  let other0 = f32x4.splat(0);
  let other1 = f32x4.splat(0);
  let other2 = f32x4.splat(0);
  let other3 = f32x4.splat(0);
  let c: u32 = 0;
  for (; c + 2 <= columns; c += 2) {
    const w0 = column<Number>(w);
    const w1 = column<Number>(w + size);
    sum0 = multiplyAdd(w0, v128.load_splat<u32>(x), sum0);
    sum1 = multiplyAdd(w0, v128.load_splat<u32>(x1), sum1);
    sum2 = multiplyAdd(w0, v128.load_splat<u32>(x2), sum2);
    sum3 = multiplyAdd(w0, v128.load_splat<u32>(x3), sum3);
    other0 = multiplyAdd(w1, v128.load_splat<u32>(x, 4), other0);
    other1 = multiplyAdd(w1, v128.load_splat<u32>(x1, 4), other1);
    other2 = multiplyAdd(w1, v128.load_splat<u32>(x2, 4), other2);
    other3 = multiplyAdd(w1, v128.load_splat<u32>(x3, 4), other3);
    w += 2 * size;
    x += 8;
    x1 += 8;
    x2 += 8;
    x3 += 8;
  }
  if (c < columns) {
    const last = column<Number>(w);
    sum0 = multiplyAdd(last, v128.load_splat<u32>(x), sum0);
    sum1 = multiplyAdd(last, v128.load_splat<u32>(x1), sum1);
    sum2 = multiplyAdd(last, v128.load_splat<u32>(x2), sum2);
    sum3 = multiplyAdd(last, v128.load_splat<u32>(x3), sum3);
  }
  const outStride = <usize>p.rows * 4;
  storeRows(p, block, out, finish<Number>(p, f32x4.add(sum0, other0)));
  storeRows(p, block, out + outStride, finish<Number>(p, f32x4.add(sum1, other1)));
  storeRows(p, block, out + 2 * outStride, finish<Number>(p, f32x4.add(sum2, other2)));
  storeRows(p, block, out + 3 * outStride, finish<Number>(p, f32x4.add(sum3, other3)));
}

@inline
function linear<Number>(p: LinearParameters, input: usize, from: u32, to: u32): void {
  const count = load<u32>(p.count);
  const xStride = <usize>p.columns * 4;
  const outStride = <usize>p.rows * 4;
  const panel = max<u32>(1, PANEL_BYTES / <u32>(p.columns * 4 * sizeof<Number>()));
  while (from < to) {
    const end = min<u32>(to, from + panel);
    let x = input;
    let out = p.output;
    let token: u32 = 0;
    for (; token + 4 <= count; token += 4) {
      for (let block = from; block < end; block++) tile<Number>(p, block, x, out);
      x += 4 * xStride;
      out += 4 * outStride;
    }
    for (; token < count; token++) {
      for (let block = from; block < end; block++) fourRows<Number>(p, block, x, out);
      x += xStride;
      out += outStride;
    }
    from = end;
  }
}

/** Weights in f16, activations prepared by `foldActivations`; `from` and `to` are blocks of four rows. */
export function linearF16(parameters: usize, from: u32, to: u32): void {
  const p = changetype<LinearParameters>(parameters);
  linear<u16>(p, p.prepared, from, to);
}

/** Weights in f32; `from` and `to` are blocks of four rows. */
export function linearF32(parameters: usize, from: u32, to: u32): void {
  const p = changetype<LinearParameters>(parameters);
  linear<f32>(p, p.input, from, to);
}

/** Copies rows `from` … `to` of the activations, × 2^96. */
export function foldActivations(parameters: usize, from: u32, to: u32): void {
  const p = changetype<LinearParameters>(parameters);
  const fold = f32x4.splat(HALF_FOLD);
  let x = p.input + <usize>from * p.columns * 4;
  let out = p.prepared + <usize>from * p.columns * 4;
  const end = p.input + <usize>to * p.columns * 4;
  for (; x + 16 <= end; x += 16, out += 16) v128.store(out, f32x4.mul(v128.load(x), fold));
  for (; x < end; x += 4, out += 4) f32.store(out, f32.load(x) * HALF_FOLD);
}
