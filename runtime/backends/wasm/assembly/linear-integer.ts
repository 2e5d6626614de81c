// y = x·Wᵀ + b for weights of 4 and 8 bits and activations in int8: dot-integer.ts says how the numbers stand in memory.
//
// One token: two blocks of four rows at a time. Several: tiles of four rows × four tokens, so that codes are unpacked once for
// four tokens; the rows come in panels that stay in the cache while all tokens pass by. Every output is the same sum in the same
// order whatever the tile it fell into.

import { Codes4, Codes8 } from './codes';
import { codeBytes, dotPass, hasSecondPass, initialSum, unpack } from './dot-integer';
import { HALF_UNFOLD, loadHalfFolded } from './half';
import { LinearParameters } from './parameters';
import { groupBytes } from './quantize-activations';
import { PANEL_BYTES, multiplyAdd, storeRows } from './simd';

/** The sum of one group for one block of rows and one token. */
// @ts-ignore: decorator
@inline
function groupSum<Codes>(w: usize, x: usize): v128 {
  let sum = initialSum<Codes>(x);
  sum = dotPass<Codes>(
    x, 0, sum,
    unpack<Codes>(w, 0, 0), unpack<Codes>(w, 0, 1), unpack<Codes>(w, 0, 2), unpack<Codes>(w, 0, 3),
    unpack<Codes>(w, 0, 4), unpack<Codes>(w, 0, 5), unpack<Codes>(w, 0, 6), unpack<Codes>(w, 0, 7),
  ); // prettier-ignore
  if (!hasSecondPass()) return sum;
  return dotPass<Codes>(
    x, 1, sum,
    unpack<Codes>(w, 1, 0), unpack<Codes>(w, 1, 1), unpack<Codes>(w, 1, 2), unpack<Codes>(w, 1, 3),
    unpack<Codes>(w, 1, 4), unpack<Codes>(w, 1, 5), unpack<Codes>(w, 1, 6), unpack<Codes>(w, 1, 7),
  ); // prettier-ignore
}

/** One token × eight rows (two blocks). */
// @ts-ignore: decorator
@inline
function eightRows<Codes>(p: LinearParameters, block: u32, groups: u32, x: usize, out: usize): void {
  const codeStride = <usize>groups * codeBytes<Codes>();
  const scaleStride = <usize>groups * 8;
  let w = p.weights + <usize>block * codeStride;
  let s = p.scales + <usize>block * scaleStride;
  let sum0 = f32x4.splat(0);
  let sum1 = f32x4.splat(0);
  for (let g: u32 = 0; g < groups; g++) {
    const scale = v128.load_splat<u32>(x);
    const d0 = groupSum<Codes>(w, x);
    const d1 = groupSum<Codes>(w + codeStride, x);
    sum0 = multiplyAdd(f32x4.convert_i32x4_s(d0), f32x4.mul(loadHalfFolded(s), scale), sum0);
    sum1 = multiplyAdd(f32x4.convert_i32x4_s(d1), f32x4.mul(loadHalfFolded(s + scaleStride), scale), sum1);
    w += codeBytes<Codes>();
    s += 8;
    x += groupBytes<Codes>();
  }
  const unfold = f32x4.splat(HALF_UNFOLD);
  storeRows(p, block, out, f32x4.mul(sum0, unfold));
  storeRows(p, block + 1, out, f32x4.mul(sum1, unfold));
}

/** One token × four rows. */
// @ts-ignore: decorator
@inline
function fourRows<Codes>(p: LinearParameters, block: u32, groups: u32, x: usize, out: usize): void {
  let w = p.weights + <usize>block * (<usize>groups * codeBytes<Codes>());
  let s = p.scales + <usize>block * (<usize>groups * 8);
  let sum = f32x4.splat(0);
  for (let g: u32 = 0; g < groups; g++) {
    const scale = f32x4.mul(loadHalfFolded(s), v128.load_splat<u32>(x));
    sum = multiplyAdd(f32x4.convert_i32x4_s(groupSum<Codes>(w, x)), scale, sum);
    w += codeBytes<Codes>();
    s += 8;
    x += groupBytes<Codes>();
  }
  storeRows(p, block, out, f32x4.mul(sum, f32x4.splat(HALF_UNFOLD)));
}

/** Four tokens × four rows. */
// @ts-ignore: decorator
@inline
function tile<Codes>(p: LinearParameters, block: u32, groups: u32, x: usize, out: usize): void {
  let w = p.weights + <usize>block * (<usize>groups * codeBytes<Codes>());
  let s = p.scales + <usize>block * (<usize>groups * 8);
  const xStride = <usize>groups * groupBytes<Codes>();
  let x1 = x + xStride;
  let x2 = x1 + xStride;
  let x3 = x2 + xStride;
  let sum0 = f32x4.splat(0);
  let sum1 = f32x4.splat(0);
  let sum2 = f32x4.splat(0);
  let sum3 = f32x4.splat(0);
  for (let g: u32 = 0; g < groups; g++) {
    let c0 = unpack<Codes>(w, 0, 0);
    let c1 = unpack<Codes>(w, 0, 1);
    let c2 = unpack<Codes>(w, 0, 2);
    let c3 = unpack<Codes>(w, 0, 3);
    let c4 = unpack<Codes>(w, 0, 4);
    let c5 = unpack<Codes>(w, 0, 5);
    let c6 = unpack<Codes>(w, 0, 6);
    let c7 = unpack<Codes>(w, 0, 7);
    let d0 = dotPass<Codes>(x, 0, initialSum<Codes>(x), c0, c1, c2, c3, c4, c5, c6, c7);
    let d1 = dotPass<Codes>(x1, 0, initialSum<Codes>(x1), c0, c1, c2, c3, c4, c5, c6, c7);
    let d2 = dotPass<Codes>(x2, 0, initialSum<Codes>(x2), c0, c1, c2, c3, c4, c5, c6, c7);
    let d3 = dotPass<Codes>(x3, 0, initialSum<Codes>(x3), c0, c1, c2, c3, c4, c5, c6, c7);
    if (hasSecondPass()) {
      c0 = unpack<Codes>(w, 1, 0);
      c1 = unpack<Codes>(w, 1, 1);
      c2 = unpack<Codes>(w, 1, 2);
      c3 = unpack<Codes>(w, 1, 3);
      c4 = unpack<Codes>(w, 1, 4);
      c5 = unpack<Codes>(w, 1, 5);
      c6 = unpack<Codes>(w, 1, 6);
      c7 = unpack<Codes>(w, 1, 7);
      d0 = dotPass<Codes>(x, 1, d0, c0, c1, c2, c3, c4, c5, c6, c7);
      d1 = dotPass<Codes>(x1, 1, d1, c0, c1, c2, c3, c4, c5, c6, c7);
      d2 = dotPass<Codes>(x2, 1, d2, c0, c1, c2, c3, c4, c5, c6, c7);
      d3 = dotPass<Codes>(x3, 1, d3, c0, c1, c2, c3, c4, c5, c6, c7);
    }
    const scale = loadHalfFolded(s);
    sum0 = multiplyAdd(f32x4.convert_i32x4_s(d0), f32x4.mul(scale, v128.load_splat<u32>(x)), sum0);
    sum1 = multiplyAdd(f32x4.convert_i32x4_s(d1), f32x4.mul(scale, v128.load_splat<u32>(x1)), sum1);
    sum2 = multiplyAdd(f32x4.convert_i32x4_s(d2), f32x4.mul(scale, v128.load_splat<u32>(x2)), sum2);
    sum3 = multiplyAdd(f32x4.convert_i32x4_s(d3), f32x4.mul(scale, v128.load_splat<u32>(x3)), sum3);
    w += codeBytes<Codes>();
    s += 8;
    x += groupBytes<Codes>();
    x1 += groupBytes<Codes>();
    x2 += groupBytes<Codes>();
    x3 += groupBytes<Codes>();
  }
  const unfold = f32x4.splat(HALF_UNFOLD);
  const outStride = <usize>p.rows * 4;
  storeRows(p, block, out, f32x4.mul(sum0, unfold));
  storeRows(p, block, out + outStride, f32x4.mul(sum1, unfold));
  storeRows(p, block, out + 2 * outStride, f32x4.mul(sum2, unfold));
  storeRows(p, block, out + 3 * outStride, f32x4.mul(sum3, unfold));
}

// @ts-ignore: decorator
@inline
function linear<Codes>(p: LinearParameters, from: u32, to: u32): void {
  const count = load<u32>(p.count);
  const groups = p.columns / 32;
  const xStride = <usize>groups * groupBytes<Codes>();
  const outStride = <usize>p.rows * 4;
  const panel = max<u32>(2, (PANEL_BYTES / <u32>(groups * codeBytes<Codes>())) & ~1);
  while (from < to) {
    const end = min<u32>(to, from + panel);
    let x = p.prepared;
    let out = p.output;
    let token: u32 = 0;
    for (; token + 4 <= count; token += 4) {
      for (let block = from; block < end; block++) tile<Codes>(p, block, groups, x, out);
      x += 4 * xStride;
      out += 4 * outStride;
    }
    for (; token < count; token++) {
      let block = from;
      for (; block + 2 <= end; block += 2) eightRows<Codes>(p, block, groups, x, out);
      if (block < end) fourRows<Codes>(p, block, groups, x, out);
      x += xStride;
      out += outStride;
    }
    from = end;
  }
}

/** Weights in q4g32; `from` and `to` are blocks of four rows. */
export function linearQ4(parameters: usize, from: u32, to: u32): void {
  linear<Codes4>(changetype<LinearParameters>(parameters), from, to);
}

/** Weights in q8g32; `from` and `to` are blocks of four rows. */
export function linearQ8(parameters: usize, from: u32, to: u32): void {
  linear<Codes8>(changetype<LinearParameters>(parameters), from, to);
}
