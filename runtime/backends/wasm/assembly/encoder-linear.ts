// y = x·Wᵀ + b for weights of 8 bits with relaxed SIMD, made for many rows at once: an encoder's. The relaxed dot product wants one
// operand of 0 … 127. linear-integer.ts splits activations into two such parts, and multiplies twice; here they are rounded to
// −63 … 63 and stored with 64 added, and 64 × the sum of a block's codes, which is taken once for all rows, comes off again: half of
// the products, for one bit less of an activation. A block of 32 activations is f32 scale (× HALF_FOLD), padding to 16 bytes, 32 bytes.
//
// `sums` is room for the codes' sums, i32 [blocks of four rows, columns / 32, 4].

import { codeBytes } from './unpack';
import { Codes8 } from './codes';
import { HALF_FOLD, HALF_UNFOLD, loadHalfFolded } from './half';
import { LinearParameters } from './parameters';
import { GROUP, GROUP_HEADER, groupBytes } from './quantize-activations';
import { PANEL_BYTES, maxLanes, multiplyAdd, storeRows } from './simd';

const OFFSET: i8 = 64;
const LARGEST: f32 = 63;

@inline
function magnitude(x: usize): f32 {
  let largest = f32x4.abs(v128.load(x));
  for (let at: usize = 16; at < GROUP * 4; at += 16) largest = f32x4.max(largest, f32x4.abs(v128.load(x + at)));
  return maxLanes(largest);
}

@inline
function rounded(pointer: usize, inverse: v128): v128 {
  return i32x4.trunc_sat_f32x4_s(f32x4.nearest(f32x4.mul(v128.load(pointer), inverse)));
}

@inline
function sixteen(x: usize, inverse: v128): v128 {
  const low = i16x8.narrow_i32x4_s(rounded(x, inverse), rounded(x + 16, inverse));
  const high = i16x8.narrow_i32x4_s(rounded(x + 32, inverse), rounded(x + 48, inverse));
  return i8x16.add(i8x16.narrow_i16x8_s(low, high), i8x16.splat(OFFSET));
}

/** Rows `from` … `to` of the activations. */
export function offsetActivations(parameters: usize, from: u32, to: u32): void {
  const p = changetype<LinearParameters>(parameters);
  const blocks = p.columns / GROUP;
  let x = p.input + <usize>from * p.columns * 4;
  let out = p.prepared + <usize>from * blocks * groupBytes(false);
  for (let i = (to - from) * blocks; i > 0; i--) {
    const largest = magnitude(x);
    const inverse = f32x4.splat(largest > 0 ? LARGEST / largest : 0);
    store<f32>(out, (largest / LARGEST) * HALF_FOLD);
    v128.store(out + GROUP_HEADER, sixteen(x, inverse));
    v128.store(out + GROUP_HEADER, sixteen(x + 64, inverse), 16);
    x += GROUP * 4;
    out += groupBytes(false);
  }
}

@inline
function dot(x: usize, codes: v128, sum: v128): v128 {
  if (!ASC_FEATURE_RELAXED_SIMD) return sum;
  return i32x4.relaxed_dot_i8x16_i7x16_add_s(codes, v128.load_splat<u32>(x), sum);
}

/** Half a block of four rows. */
@inline
function half(x: usize, c0: v128, c1: v128, c2: v128, c3: v128, sum: v128): v128 {
  return dot(x + 12, c3, dot(x + 8, c2, dot(x + 4, c1, dot(x, c0, sum))));
}

@inline
function finish(x: usize, d: v128, scale: v128, sum: v128): v128 {
  return multiplyAdd(f32x4.convert_i32x4_s(d), f32x4.mul(scale, v128.load_splat<u32>(x)), sum);
}

/** Four rows × `tokens` (4, 2 or 1, a constant). */
@inline
function tile(p: LinearParameters, block: u32, groups: u32, x: usize, out: usize, tokens: i32): void {
  const step = groupBytes(false);
  const xStride = <usize>groups * step;
  const mask = p.scaleColumns / GROUP - 1;
  let w = p.weights + <usize>block * (<usize>groups * codeBytes<Codes8>());
  let s = p.scales + <usize>(block * (p.columns / p.scaleColumns)) * 8;
  let offset = p.sums + <usize>(block * groups) * 16;
  let x1 = x + xStride;
  let x2 = x1 + xStride;
  let x3 = x2 + xStride;
  let scale = f32x4.splat(0);
  let sum0 = f32x4.splat(0);
  let sum1 = f32x4.splat(0);
  let sum2 = f32x4.splat(0);
  let sum3 = f32x4.splat(0);
  for (let g: u32 = 0; g < groups; g++) {
    if ((g & mask) == 0) {
      scale = loadHalfFolded(s);
      s += 8;
    }
    let c0 = v128.load(w);
    let c1 = v128.load(w, 16);
    let c2 = v128.load(w, 32);
    let c3 = v128.load(w, 48);
    let d0 = v128.load(offset);
    let d1 = d0;
    let d2 = d0;
    let d3 = d0;
    d0 = half(x + GROUP_HEADER, c0, c1, c2, c3, d0);
    if (tokens > 1) d1 = half(x1 + GROUP_HEADER, c0, c1, c2, c3, d1);
    if (tokens > 2) d2 = half(x2 + GROUP_HEADER, c0, c1, c2, c3, d2);
    if (tokens > 2) d3 = half(x3 + GROUP_HEADER, c0, c1, c2, c3, d3);
    c0 = v128.load(w, 64);
    c1 = v128.load(w, 80);
    c2 = v128.load(w, 96);
    c3 = v128.load(w, 112);
    sum0 = finish(x, half(x + GROUP_HEADER + 16, c0, c1, c2, c3, d0), scale, sum0);
    if (tokens > 1) sum1 = finish(x1, half(x1 + GROUP_HEADER + 16, c0, c1, c2, c3, d1), scale, sum1);
    if (tokens > 2) sum2 = finish(x2, half(x2 + GROUP_HEADER + 16, c0, c1, c2, c3, d2), scale, sum2);
    if (tokens > 2) sum3 = finish(x3, half(x3 + GROUP_HEADER + 16, c0, c1, c2, c3, d3), scale, sum3);
    w += codeBytes<Codes8>();
    offset += 16;
    x += step;
    x1 += step;
    x2 += step;
    x3 += step;
  }
  const unfold = f32x4.splat(HALF_UNFOLD * p.unit);
  const outStride = <usize>p.rows * 4;
  storeRows(p, block, out, f32x4.mul(sum0, unfold));
  if (tokens > 1) storeRows(p, block, out + outStride, f32x4.mul(sum1, unfold));
  if (tokens > 2) storeRows(p, block, out + 2 * outStride, f32x4.mul(sum2, unfold));
  if (tokens > 2) storeRows(p, block, out + 3 * outStride, f32x4.mul(sum3, unfold));
}

/** −64 × the sums of the codes of blocks `from` … `to`. */
@inline
function sumCodes(p: LinearParameters, from: u32, to: u32, groups: u32): void {
  if (!ASC_FEATURE_RELAXED_SIMD) return;
  const ones = i8x16.splat(OFFSET);
  let w = p.weights + <usize>from * (<usize>groups * codeBytes<Codes8>());
  let out = p.sums + <usize>(from * groups) * 16;
  for (let i = (to - from) * groups; i > 0; i--) {
    let sum = i32x4.splat(0);
    for (let k: usize = 0; k < 128; k += 16) {
      sum = i32x4.relaxed_dot_i8x16_i7x16_add_s(v128.load(w + k), ones, sum);
    }
    v128.store(out, i32x4.neg(sum));
    w += codeBytes<Codes8>();
    out += 16;
  }
}

/** Blocks `from` … `to` of four rows; the build without relaxed SIMD has kernels of its own. */
export function linearQ8Offset(parameters: usize, from: u32, to: u32): void {
  if (!ASC_FEATURE_RELAXED_SIMD) return;
  const p = changetype<LinearParameters>(parameters);
  const count = load<u32>(p.count);
  const groups = p.columns / GROUP;
  const xStride = <usize>groups * groupBytes(false);
  const outStride = <usize>p.rows * 4;
  const panel = max<u32>(1, PANEL_BYTES / <u32>(groups * codeBytes<Codes8>()));
  while (from < to) {
    const end = min<u32>(to, from + panel);
    sumCodes(p, from, end, groups);
    let x = p.prepared;
    let out = p.output;
    let left = count;
    for (; left >= 4; left -= 4) {
      for (let block = from; block < end; block++) tile(p, block, groups, x, out, 4);
      x += 4 * xStride;
      out += 4 * outStride;
    }
    if (left >= 2) {
      for (let block = from; block < end; block++) tile(p, block, groups, x, out, 2);
      x += 2 * xStride;
      out += 2 * outStride;
      left -= 2;
    }
    if (left > 0) {
      for (let block = from; block < end; block++) tile(p, block, groups, x, out, 1);
    }
    from = end;
  }
}
