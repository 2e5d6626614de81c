// y = x·Wᵀ + b for quantised weights and activations in int8. A kernel is a width of codes (unpack.ts) and a source of scales
// (scales.ts), joined here; linear-kernels.ts names the combinations that there are.
//
// One token: four rows at a time. Several: tiles of four rows × four tokens, so that codes are unpacked and scales decoded once
// for four tokens; the rows come in panels that stay in the cache while all tokens pass by. Every output is the same sum in the
// same order whatever the tile it fell into.

import { dotHalf, hasNegativePart } from './dot-integer';
import { HALF_UNFOLD, loadHalfFolded } from './half';
import { addMinimums } from './minimums';
import { LinearParameters } from './parameters';
import { GROUP, groupBytes } from './quantize-activations';
import { hasHalves, isNarrow, scaleCodeBytes, scaleOf } from './scales';
import { PANEL_BYTES, multiplyAdd, storeRows } from './simd';
import { codeBytes, unpack } from './unpack';

// The places of a block of four rows. Each is where its rows begin; blocks of columns are counted by `g`.
@inline
function codesOf<Codes>(p: LinearParameters, block: u32, groups: u32): usize {
  return p.weights + <usize>block * (<usize>groups * codeBytes<Codes>());
}

/** Scales of four rows: one for `scaleColumns` columns. */
@inline
function scalesOf(p: LinearParameters, block: u32): usize {
  return p.scales + <usize>(block * (p.columns / p.scaleColumns)) * 8;
}

@inline
function scaleCodesOf<Scales>(p: LinearParameters, block: u32): usize {
  return scaleCodeBytes<Scales>() == 0 ? 0 : p.scaleCodes + <usize>(block * (p.columns / 256)) * scaleCodeBytes<Scales>();
}

/** Adds a block's sum × the scales of weights and activations. */
@inline
function finish(sum: v128, d: v128, scale: v128, x: usize): v128 {
  return multiplyAdd(f32x4.convert_i32x4_s(d), f32x4.mul(scale, v128.load_splat<u32>(x)), sum);
}

/** What a block's sum starts from: the correction of the columns that it is for. */
@inline
function initialSum<Scales>(x: usize): v128 {
  return hasHalves<Scales>() ? v128.load_splat<u32>(x, 8) : v128.load_splat<u32>(x, 4);
}

/** One token × four rows. */
@inline
function fourRows<Codes, Scales>(p: LinearParameters, block: u32, groups: u32, x: usize, out: usize): void {
  const scales = scalesOf(p, block);
  const scaleCodes = scaleCodesOf<Scales>(p, block);
  const mask = p.scaleColumns / GROUP - 1;
  let w = codesOf<Codes>(p, block, groups);
  let s = scales;
  let base = f32x4.splat(0);
  let sum = f32x4.splat(0);
  for (let g: u32 = 0; g < groups; g++) {
    if (!isNarrow<Scales>()) {
      if ((g & mask) == 0) {
        base = loadHalfFolded(s);
        s += 8;
      }
    }
    let d = dotHalf<Codes>(
      x, 0, initialSum<Scales>(x),
      unpack<Codes>(w, 0), unpack<Codes>(w, 1), unpack<Codes>(w, 2), unpack<Codes>(w, 3),
    ); // prettier-ignore
    if (hasHalves<Scales>()) {
      sum = finish(sum, d, scaleOf<Scales>(base, scales, scaleCodes, g, 0), x);
      d = v128.load_splat<u32>(x, 12);
    }
    d = dotHalf<Codes>(
      x, 1, d,
      unpack<Codes>(w, 4), unpack<Codes>(w, 5), unpack<Codes>(w, 6), unpack<Codes>(w, 7),
    ); // prettier-ignore
    sum = finish(sum, d, scaleOf<Scales>(base, scales, scaleCodes, g, 1), x);
    w += codeBytes<Codes>();
    x += groupBytes(hasNegativePart<Codes>());
  }
  storeRows(p, block, out, f32x4.mul(sum, f32x4.splat(HALF_UNFOLD * p.unit)));
}

/** Four tokens × four rows. */
@inline
function tile<Codes, Scales>(p: LinearParameters, block: u32, groups: u32, x: usize, out: usize): void {
  const scales = scalesOf(p, block);
  const scaleCodes = scaleCodesOf<Scales>(p, block);
  const mask = p.scaleColumns / GROUP - 1;
  const step = groupBytes(hasNegativePart<Codes>());
  const xStride = <usize>groups * step;
  let w = codesOf<Codes>(p, block, groups);
  let s = scales;
  let x1 = x + xStride;
  let x2 = x1 + xStride;
  let x3 = x2 + xStride;
  let base = f32x4.splat(0);
  let sum0 = f32x4.splat(0);
  let sum1 = f32x4.splat(0);
  let sum2 = f32x4.splat(0);
  let sum3 = f32x4.splat(0);
  for (let g: u32 = 0; g < groups; g++) {
    if (!isNarrow<Scales>()) {
      if ((g & mask) == 0) {
        base = loadHalfFolded(s);
        s += 8;
      }
    }
    let c0 = unpack<Codes>(w, 0);
    let c1 = unpack<Codes>(w, 1);
    let c2 = unpack<Codes>(w, 2);
    let c3 = unpack<Codes>(w, 3);
    let d0 = dotHalf<Codes>(x, 0, initialSum<Scales>(x), c0, c1, c2, c3);
    let d1 = dotHalf<Codes>(x1, 0, initialSum<Scales>(x1), c0, c1, c2, c3);
    let d2 = dotHalf<Codes>(x2, 0, initialSum<Scales>(x2), c0, c1, c2, c3);
    let d3 = dotHalf<Codes>(x3, 0, initialSum<Scales>(x3), c0, c1, c2, c3);
    if (hasHalves<Scales>()) {
      const scale = scaleOf<Scales>(base, scales, scaleCodes, g, 0);
      sum0 = finish(sum0, d0, scale, x);
      sum1 = finish(sum1, d1, scale, x1);
      sum2 = finish(sum2, d2, scale, x2);
      sum3 = finish(sum3, d3, scale, x3);
      d0 = v128.load_splat<u32>(x, 12);
      d1 = v128.load_splat<u32>(x1, 12);
      d2 = v128.load_splat<u32>(x2, 12);
      d3 = v128.load_splat<u32>(x3, 12);
    }
    c0 = unpack<Codes>(w, 4);
    c1 = unpack<Codes>(w, 5);
    c2 = unpack<Codes>(w, 6);
    c3 = unpack<Codes>(w, 7);
    d0 = dotHalf<Codes>(x, 1, d0, c0, c1, c2, c3);
    d1 = dotHalf<Codes>(x1, 1, d1, c0, c1, c2, c3);
    d2 = dotHalf<Codes>(x2, 1, d2, c0, c1, c2, c3);
    d3 = dotHalf<Codes>(x3, 1, d3, c0, c1, c2, c3);
    const scale = scaleOf<Scales>(base, scales, scaleCodes, g, 1);
    sum0 = finish(sum0, d0, scale, x);
    sum1 = finish(sum1, d1, scale, x1);
    sum2 = finish(sum2, d2, scale, x2);
    sum3 = finish(sum3, d3, scale, x3);
    w += codeBytes<Codes>();
    x += step;
    x1 += step;
    x2 += step;
    x3 += step;
  }
  const unfold = f32x4.splat(HALF_UNFOLD * p.unit);
  const outStride = <usize>p.rows * 4;
  storeRows(p, block, out, f32x4.mul(sum0, unfold));
  storeRows(p, block, out + outStride, f32x4.mul(sum1, unfold));
  storeRows(p, block, out + 2 * outStride, f32x4.mul(sum2, unfold));
  storeRows(p, block, out + 3 * outStride, f32x4.mul(sum3, unfold));
}

/** Blocks `from` … `to` of four rows. */
@inline
export function linear<Codes, Scales>(parameters: usize, from: u32, to: u32): void {
  const p = changetype<LinearParameters>(parameters);
  const count = load<u32>(p.count);
  const groups = p.columns / GROUP;
  const xStride = <usize>groups * groupBytes(hasNegativePart<Codes>());
  const outStride = <usize>p.rows * 4;
  const panel = max<u32>(1, PANEL_BYTES / <u32>(groups * codeBytes<Codes>()));
  while (from < to) {
    const end = min<u32>(to, from + panel);
    let x = p.prepared;
    let out = p.output;
    let token: u32 = 0;
    for (; token + 4 <= count; token += 4) {
      for (let block = from; block < end; block++) tile<Codes, Scales>(p, block, groups, x, out);
      x += 4 * xStride;
      out += 4 * outStride;
    }
    for (; token < count; token++) {
      for (let block = from; block < end; block++) fourRows<Codes, Scales>(p, block, groups, x, out);
      x += xStride;
      out += outStride;
    }
    if (p.minimums) addMinimums(p, from, end);
    from = end;
  }
}
