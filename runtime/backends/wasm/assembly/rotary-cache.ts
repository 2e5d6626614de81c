// Norms each head's query and key (where the model does), rotates them, and writes keys and values to the caches in f16.
//
// Values stand as [head][position][dimension]. Keys stand in blocks of four positions, [head][block][dimension][4], so that
// attention finds four positions' scores in four lanes and never sums across them. headDim is a multiple of 4.

import { storeHalves, toHalfBits } from './half';
import { normRow } from './norm';
import { RotaryParameters, Step } from './parameters';
import { multiplyAdd } from './simd';

/** Rotates the head at `x` in place: dimension i turns with i + headDim/2. `angles` holds cos, then sin. */
@inline
function rotate(x: usize, angles: usize, headDim: u32): void {
  const half = <usize>headDim * 2; // bytes of half a head
  let at: usize = 0;
  for (; at + 16 <= half; at += 16) {
    const a = v128.load(x + at);
    const b = v128.load(x + at + half);
    const cos = v128.load(angles + at);
    const sin = v128.load(angles + at + half);
    v128.store(x + at, f32x4.sub(f32x4.mul(a, cos), f32x4.mul(b, sin)));
    v128.store(x + at + half, multiplyAdd(b, cos, f32x4.mul(a, sin)));
  }
  for (; at < half; at += 4) {
    const a = f32.load(x + at);
    const b = f32.load(x + at + half);
    const cos = f32.load(angles + at);
    const sin = f32.load(angles + at + half);
    f32.store(x + at, a * cos - b * sin);
    f32.store(x + at + half, b * cos + a * sin);
  }
}

/**
 * Thread `thread` of `threads` takes every `threads`-th of the items, each a token's key-value head with its queries: of one
 * token the heads whose attention it computes as well (attention.ts). Keys are normed and rotated where they stand: the input
 * is read by nothing else.
 */
export function rotaryCache(parameters: usize, thread: u32, threads: u32): void {
  const p = changetype<RotaryParameters>(parameters);
  const step = changetype<Step>(p.step);
  const items = step.tokens * p.keyValueHeads;
  for (let item = thread; item < items; item += threads) {
    rotateItem(p, item / p.keyValueHeads, item % p.keyValueHeads, <usize>step.past);
  }
}

function rotateItem(p: RotaryParameters, token: u32, keyValueHead: u32, past: usize): void {
  const headDim = p.headDim;
  const headBytes = <usize>headDim * 4;
  const group = p.heads / p.keyValueHeads;
  const queryBytes = <usize>p.heads * headBytes;
  const queryStride: usize = p.rowBytes ? p.rowBytes : queryBytes;
  const keyStride: usize = p.rowBytes ? p.rowBytes : <usize>p.keyValueHeads * headBytes;
  const angles = p.rotary + <usize>token * headBytes;

  const first = <usize>keyValueHead * group * headBytes;
  const queries = p.output + <usize>token * queryBytes + first;
  memory.copy(queries, p.queryInput + <usize>token * queryStride + first, group * headBytes);
  for (let head: u32 = 0; head < group; head++) {
    const query = queries + <usize>head * headBytes;
    if (p.queryNorm) normRow(query, p.queryNorm, query, headDim, p.epsilon);
    rotate(query, angles, headDim);
  }

  const position = past + token;
  const own = <usize>token * keyStride + <usize>keyValueHead * headBytes;
  const key = p.keyInput + own;
  if (p.keyNorm) normRow(key, p.keyNorm, key, headDim, p.epsilon);
  rotate(key, angles, headDim);
  const cache = <usize>keyValueHead * p.capacity;
  storeKey(key, p.keys + (cache + (position & ~3)) * headDim * 2 + (position & 3) * 2, headDim);
  const value = p.valueInput + own;
  const valueCache = p.values + (cache + position) * headDim * 2;
  for (let i: usize = 0; i < headDim; i += 4) {
    storeHalves(valueCache + i * 2, toHalfBits(v128.load(value + i * 4)));
  }
}

@inline
function storeKey(key: usize, cache: usize, headDim: u32): void {
  for (let i: usize = 0; i < headDim; i += 4) {
    const bits = toHalfBits(v128.load(key + i * 4));
    v128.store16_lane(cache + i * 8, bits, 0);
    v128.store16_lane(cache + i * 8, bits, 2, 8);
    v128.store16_lane(cache + i * 8, bits, 4, 16);
    v128.store16_lane(cache + i * 8, bits, 6, 24);
  }
}
