// What the minimums of weights add to a product: out += Σ minimum × Σx, over the groups of a row. The sums of the activations
// are prepared with them (quantize-activations.ts), so this is a product with one number a group, whatever the codes' width: a
// pass of its own, over outputs that are still in the cache.

import { HALF_UNFOLD, loadHalfFolded } from './half';
import { LinearParameters } from './parameters';
import { multiplyAdd } from './simd';

/** Where minimums come from. */
@unmanaged
class PlainMinimums {
  kind: u8;
}

/** Q2_K: 4 bits for 16 columns, above a scale's. */
@unmanaged
class MinimumCodes4 {
  kind: u16;
}

/** Q4_K and Q5_K: 6 bits for 32 columns. */
@unmanaged
class MinimumCodes6 {
  kind: u32;
}

/** The minimums of group `g` of four rows; `minimums` and `codes` are those of the rows. */
@inline
function minimumOf<Kind>(minimums: usize, codes: usize, g: u32): v128 {
  if (offsetof<Kind>() == 1) return loadHalfFolded(minimums + <usize>g * 8);
  if (offsetof<Kind>() == 2) {
    // Loaded from the byte where it begins, as scales.ts does.
    const code = v128.and(i32x4.shr_u(v128.load(codes + <usize>(g >> 2) * 16 + (g & 3)), 4), i32x4.splat(15));
    return f32x4.mul(loadHalfFolded(minimums + <usize>(g >> 4) * 8), f32x4.convert_i32x4_s(code));
  }
  const at = codes + <usize>(g >> 3) * 48;
  const b = <i32>(g & 7);
  const low = v128.and(i32x4.shr_u(v128.load(at, 16), b * 4), i32x4.splat(15));
  const high = v128.and(i32x4.shr_u(v128.load(at, 32), 16 + b * 2), i32x4.splat(3));
  const code = v128.or(low, i32x4.shl(high, 4));
  return f32x4.mul(loadHalfFolded(minimums + <usize>(g >> 3) * 8), f32x4.convert_i32x4_s(code));
}

/** Adds to a block's four rows of the output; the last block of a matrix may have fewer. */
function addRows(p: LinearParameters, block: u32, out: usize, sum: v128): void {
  sum = f32x4.mul(sum, f32x4.splat(HALF_UNFOLD * p.unit));
  const pointer = out + <usize>block * 16;
  const left = p.rows - block * 4;
  if (left >= 4) {
    v128.store(pointer, f32x4.add(v128.load(pointer), sum));
    return;
  }
  f32.store(pointer, f32.load(pointer) + f32x4.extract_lane(sum, 0));
  if (left > 1) f32.store(pointer, f32.load(pointer, 4) + f32x4.extract_lane(sum, 1), 4);
  if (left > 2) f32.store(pointer, f32.load(pointer, 8) + f32x4.extract_lane(sum, 2), 8);
}

/** Groups that share an f16 minimum. */
@inline
function groupsOf<Kind>(): u32 {
  return offsetof<Kind>() == 1 ? 1 : offsetof<Kind>() == 2 ? 16 : 8;
}

@inline
function minimumsOf<Kind>(p: LinearParameters, block: u32, groups: u32): usize {
  return p.minimums + <usize>(block * (groups / groupsOf<Kind>())) * 8;
}

/** The codes of a superblock's four rows take 64 bytes or 48. */
@inline
function codesOf<Kind>(p: LinearParameters, block: u32, groups: u32): usize {
  if (offsetof<Kind>() == 1) return 0;
  return p.scaleCodes + <usize>(block * (groups / groupsOf<Kind>())) * (offsetof<Kind>() == 2 ? 64 : 48);
}

/** Four tokens, or four blocks of rows, at a time: four sums hide the latency of the addition. */
@inline
function fourTokens<Kind>(p: LinearParameters, block: u32, groups: u32, x: usize, out: usize): void {
  const minimums = minimumsOf<Kind>(p, block, groups);
  const codes = codesOf<Kind>(p, block, groups);
  const xStride = <usize>groups * 4;
  const outStride = <usize>p.rows * 4;
  let sum0 = f32x4.splat(0);
  let sum1 = f32x4.splat(0);
  let sum2 = f32x4.splat(0);
  let sum3 = f32x4.splat(0);
  for (let g: u32 = 0; g < groups; g++) {
    const minimum = minimumOf<Kind>(minimums, codes, g);
    sum0 = multiplyAdd(minimum, v128.load_splat<u32>(x), sum0);
    sum1 = multiplyAdd(minimum, v128.load_splat<u32>(x + xStride), sum1);
    sum2 = multiplyAdd(minimum, v128.load_splat<u32>(x + 2 * xStride), sum2);
    sum3 = multiplyAdd(minimum, v128.load_splat<u32>(x + 3 * xStride), sum3);
    x += 4;
  }
  addRows(p, block, out, sum0);
  addRows(p, block, out + outStride, sum1);
  addRows(p, block, out + 2 * outStride, sum2);
  addRows(p, block, out + 3 * outStride, sum3);
}

@inline
function fourBlocks<Kind>(p: LinearParameters, block: u32, groups: u32, x: usize, out: usize): void {
  const stride = minimumsOf<Kind>(p, 1, groups) - p.minimums;
  const codeStride = offsetof<Kind>() == 1 ? 0 : codesOf<Kind>(p, 1, groups) - p.scaleCodes;
  const minimums = minimumsOf<Kind>(p, block, groups);
  const codes = codesOf<Kind>(p, block, groups);
  let sum0 = f32x4.splat(0);
  let sum1 = f32x4.splat(0);
  let sum2 = f32x4.splat(0);
  let sum3 = f32x4.splat(0);
  for (let g: u32 = 0; g < groups; g++) {
    const sums = v128.load_splat<u32>(x);
    sum0 = multiplyAdd(minimumOf<Kind>(minimums, codes, g), sums, sum0);
    sum1 = multiplyAdd(minimumOf<Kind>(minimums + stride, codes + codeStride, g), sums, sum1);
    sum2 = multiplyAdd(minimumOf<Kind>(minimums + 2 * stride, codes + 2 * codeStride, g), sums, sum2);
    sum3 = multiplyAdd(minimumOf<Kind>(minimums + 3 * stride, codes + 3 * codeStride, g), sums, sum3);
    x += 4;
  }
  addRows(p, block, out, sum0);
  addRows(p, block + 1, out, sum1);
  addRows(p, block + 2, out, sum2);
  addRows(p, block + 3, out, sum3);
}

@inline
function oneBlock<Kind>(p: LinearParameters, block: u32, groups: u32, x: usize, out: usize): void {
  const minimums = minimumsOf<Kind>(p, block, groups);
  const codes = codesOf<Kind>(p, block, groups);
  let sum = f32x4.splat(0);
  for (let g: u32 = 0; g < groups; g++) {
    sum = multiplyAdd(minimumOf<Kind>(minimums, codes, g), v128.load_splat<u32>(x), sum);
    x += 4;
  }
  addRows(p, block, out, sum);
}

function add<Kind>(p: LinearParameters, from: u32, to: u32): void {
  const count = load<u32>(p.count);
  const groups = p.columns / p.sumColumns;
  const xStride = <usize>groups * 4;
  const outStride = <usize>p.rows * 4;
  let x = p.sums;
  let out = p.output;
  let token: u32 = 0;
  for (; token + 4 <= count; token += 4) {
    for (let block = from; block < to; block++) fourTokens<Kind>(p, block, groups, x, out);
    x += 4 * xStride;
    out += 4 * outStride;
  }
  for (; token < count; token++) {
    let block = from;
    for (; block + 4 <= to; block += 4) fourBlocks<Kind>(p, block, groups, x, out);
    for (; block < to; block++) oneBlock<Kind>(p, block, groups, x, out);
    x += xStride;
    out += outStride;
  }
}

/** For blocks `from` … `to` of four rows, all tokens. The products stand in the output already. */
export function addMinimums(p: LinearParameters, from: u32, to: u32): void {
  if (p.scaleCodes == 0) add<PlainMinimums>(p, from, to);
  else if (p.sumColumns == 16) add<MinimumCodes4>(p, from, to);
  else add<MinimumCodes6>(p, from, to);
}
