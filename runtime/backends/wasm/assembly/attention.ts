// Causal attention over the f16 caches, in one pass with a running maximum (online softmax).
//
// The work is cut into items of one key-value head × a tile of tokens; the rows of an item are its tokens × the query heads
// that share the key-value head, so that each block of keys and values is converted to f32 once for all of them. Thread `from`
// of `to` takes every `to`-th item: causal tiles differ in length, and neighbours are given to different threads.
//
// Scratch of one thread, in f32: keys [headDim][32], values [32][headDim], scores [4][32], then for each row its maximum
// and sum, then the sums of values [rows][headDim].

import { exponential } from './exponential';
import { loadHalf } from './half';
import { AttentionParameters, Step } from './parameters';
import { maxLanes, multiplyAdd, sumLanes } from './simd';

/** Positions of one block; the caches have room for a multiple of it. layouts.ts has the same number. */
const BLOCK: u32 = 32;
/** Rows of an item at most (at least one token's heads). layouts.ts has the same number. */
const ROWS: u32 = 32;

/** Below every score, and finite, so that differences of it are numbers. */
@inline
const NOTHING_YET: f32 = -1e30;
@inline
const MASKED: f32 = -3e38;

/** The places of an item's scratch. */
let keyBlock: usize = 0;
let valueBlock: usize = 0;
let scores: usize = 0;
let running: usize = 0;
let sums: usize = 0;

/** Keys [block of 4][headDim][4] in f16 → [headDim][32] in f32. */
function convertKeys(source: usize, headDim: u32): void {
  for (let quad: usize = 0; quad < BLOCK / 4; quad++) {
    let out = keyBlock + quad * 16;
    for (let i: u32 = 0; i < headDim; i++) {
      v128.store(out, loadHalf(source));
      source += 8;
      out += BLOCK * 4;
    }
  }
}

function convertValues(source: usize, headDim: u32): void {
  const end = valueBlock + <usize>headDim * BLOCK * 4;
  for (let out = valueBlock; out < end; out += 16) {
    v128.store(out, loadHalf(source));
    source += 8;
  }
}

/** Scores of four queries with eight positions at a time. */
function scoreFour(q0: usize, q1: usize, q2: usize, q3: usize, headDim: u32): void {
  for (let eight: usize = 0; eight < BLOCK * 4; eight += 32) {
    let key = keyBlock + eight;
    let a0 = f32x4.splat(0);
    let a1 = f32x4.splat(0);
    let a2 = f32x4.splat(0);
    let a3 = f32x4.splat(0);
    let b0 = f32x4.splat(0);
    let b1 = f32x4.splat(0);
    let b2 = f32x4.splat(0);
    let b3 = f32x4.splat(0);
    const end = <usize>headDim * 4;
    for (let i: usize = 0; i < end; i += 4) {
      const a = v128.load(key);
      const b = v128.load(key, 16);
      const x0 = v128.load_splat<u32>(q0 + i);
      a0 = multiplyAdd(a, x0, a0);
      b0 = multiplyAdd(b, x0, b0);
      const x1 = v128.load_splat<u32>(q1 + i);
      a1 = multiplyAdd(a, x1, a1);
      b1 = multiplyAdd(b, x1, b1);
      const x2 = v128.load_splat<u32>(q2 + i);
      a2 = multiplyAdd(a, x2, a2);
      b2 = multiplyAdd(b, x2, b2);
      const x3 = v128.load_splat<u32>(q3 + i);
      a3 = multiplyAdd(a, x3, a3);
      b3 = multiplyAdd(b, x3, b3);
      key += BLOCK * 4;
    }
    const out = scores + eight;
    v128.store(out, a0);
    v128.store(out, b0, 16);
    v128.store(out, a1, 128);
    v128.store(out, b1, 144);
    v128.store(out, a2, 256);
    v128.store(out, b2, 272);
    v128.store(out, a3, 384);
    v128.store(out, b3, 400);
  }
}

function scoreOne(q: usize, headDim: u32): void {
  for (let sixteen: usize = 0; sixteen < BLOCK * 4; sixteen += 64) {
    let key = keyBlock + sixteen;
    let a = f32x4.splat(0);
    let b = f32x4.splat(0);
    let c = f32x4.splat(0);
    let d = f32x4.splat(0);
    const end = <usize>headDim * 4;
    for (let i: usize = 0; i < end; i += 4) {
      const x = v128.load_splat<u32>(q + i);
      a = multiplyAdd(v128.load(key), x, a);
      b = multiplyAdd(v128.load(key, 16), x, b);
      c = multiplyAdd(v128.load(key, 32), x, c);
      d = multiplyAdd(v128.load(key, 48), x, d);
      key += BLOCK * 4;
    }
    const out = scores + sixteen;
    v128.store(out, a);
    v128.store(out, b, 16);
    v128.store(out, c, 32);
    v128.store(out, d, 48);
  }
}

/**
 * Turns a row's scores into weights in place and brings its maximum, sum and sums of values up to date. The row sees
 * positions `first` … `last` − 1 of this block (0 … 32).
 */
function weigh(row: u32, at: usize, scale: f32, first: i32, last: i32, headDim: u32): void {
  const state = running + <usize>row * 8;
  const scales = f32x4.splat(scale);
  const isWhole = first <= 0 && last >= <i32>BLOCK;
  let largest = f32x4.splat(MASKED);
  for (let i: i32 = 0; i < <i32>BLOCK; i += 4) {
    let score = f32x4.mul(v128.load(at + i * 4), scales);
    if (!isWhole) {
      const index = i32x4.add(i32x4.splat(i), i32x4(0, 1, 2, 3));
      const isSeen = v128.and(i32x4.ge_s(index, i32x4.splat(first)), i32x4.lt_s(index, i32x4.splat(last)));
      score = v128.bitselect(score, f32x4.splat(MASKED), isSeen);
    }
    largest = f32x4.max(largest, score);
    v128.store(at + i * 4, score);
  }
  const before = load<f32>(state);
  const now = max<f32>(before, maxLanes(largest));
  const shift = f32x4.splat(now);
  let total = f32x4.splat(0);
  for (let i: usize = 0; i < BLOCK * 4; i += 16) {
    const weight = exponential(f32x4.sub(v128.load(at + i), shift));
    total = f32x4.add(total, weight);
    v128.store(at + i, weight);
  }
  const sum = sumLanes(total);
  if (now == before) {
    store<f32>(state, load<f32>(state, 4) + sum, 4);
    return;
  }
  const shrink = f32x4.extract_lane(exponential(f32x4.splat(before - now)), 0);
  store<f32>(state, now);
  store<f32>(state, load<f32>(state, 4) * shrink + sum, 4);
  const shrinks = f32x4.splat(shrink);
  const out = sums + <usize>row * headDim * 4;
  for (let i: usize = 0; i < <usize>headDim * 4; i += 16) {
    v128.store(out + i, f32x4.mul(v128.load(out + i), shrinks));
  }
}

/** sums[row …] += weights [4][32] × values, for four rows, over the first `positions` of the block. */
function addValuesFour(row: u32, headDim: u32, positions: u32): void {
  const rowBytes = <usize>headDim * 4;
  const weightsEnd = scores + <usize>positions * 4;
  for (let i: usize = 0; i < rowBytes; i += 16) {
    const out = sums + <usize>row * rowBytes + i;
    let s0 = v128.load(out);
    let s1 = v128.load(out + rowBytes);
    let s2 = v128.load(out + 2 * rowBytes);
    let s3 = v128.load(out + 3 * rowBytes);
    let value = valueBlock + i;
    for (let w = scores; w < weightsEnd; w += 4) {
      const v = v128.load(value);
      s0 = multiplyAdd(v, v128.load_splat<u32>(w), s0);
      s1 = multiplyAdd(v, v128.load_splat<u32>(w, 128), s1);
      s2 = multiplyAdd(v, v128.load_splat<u32>(w, 256), s2);
      s3 = multiplyAdd(v, v128.load_splat<u32>(w, 384), s3);
      value += rowBytes;
    }
    v128.store(out, s0);
    v128.store(out + rowBytes, s1);
    v128.store(out + 2 * rowBytes, s2);
    v128.store(out + 3 * rowBytes, s3);
  }
}

function addValuesOne(row: u32, headDim: u32, positions: u32): void {
  const rowBytes = <usize>headDim * 4;
  const out = sums + <usize>row * rowBytes;
  let value = valueBlock;
  const weightsEnd = scores + <usize>positions * 4;
  for (let w = scores; w < weightsEnd; w += 4) {
    const weight = v128.load_splat<u32>(w);
    for (let i: usize = 0; i < rowBytes; i += 16) {
      v128.store(out + i, multiplyAdd(v128.load(value + i), weight, v128.load(out + i)));
    }
    value += rowBytes;
  }
}

/** One key-value head × tokens `from` … `to`. */
function item(p: AttentionParameters, keyValueHead: u32, from: u32, to: u32): void {
  const headDim = p.headDim;
  const group = p.heads / p.keyValueHeads;
  const rows = (to - from) * group;
  const headBytes = <usize>headDim * 4;
  const past = changetype<Step>(p.step).past;
  // Row r is token from + r / group, query head r % group of this key-value head.
  const queries = <usize>keyValueHead * group * headBytes;
  const tokenBytes = <usize>p.heads * headBytes;

  for (let row: u32 = 0; row < rows; row++) {
    store<f32>(running + <usize>row * 8, NOTHING_YET);
    store<f32>(running + <usize>row * 8, 0, 4);
  }
  memory.fill(sums, 0, <usize>rows * headBytes);

  const window = p.window ? p.window : 0x7fffffff;
  const firstSeen = max<i32>(0, <i32>(past + from + 1) - <i32>window);
  const end = past + to;
  const cache = <usize>keyValueHead * p.capacity * headDim * 2;
  for (let position = <u32>firstSeen & ~(BLOCK - 1); position < end; position += BLOCK) {
    convertKeys(p.keys + cache + <usize>position * headDim * 2, headDim);
    convertValues(p.values + cache + <usize>position * headDim * 2, headDim);
    const there = min<u32>(BLOCK, end - position);
    let row: u32 = 0;
    while (row < rows) {
      const isFour = row + 4 <= rows;
      const count: u32 = isFour ? 4 : 1;
      // Neither the earliest nor the latest token of these rows may see anything of the block.
      const lastOwn = past + from + (row + count - 1) / group;
      const firstOwn = past + from + row / group;
      const isBefore = lastOwn < position;
      const isPast = <i32>(position + BLOCK) <= <i32>firstOwn - <i32>window + 1;
      if (!isBefore && !isPast) {
        const base = p.queries + queries;
        const q0 = base + <usize>(from + row / group) * tokenBytes + <usize>(row % group) * headBytes;
        if (isFour) {
          const q1 = base + <usize>(from + (row + 1) / group) * tokenBytes + <usize>((row + 1) % group) * headBytes;
          const q2 = base + <usize>(from + (row + 2) / group) * tokenBytes + <usize>((row + 2) % group) * headBytes;
          const q3 = base + <usize>(from + (row + 3) / group) * tokenBytes + <usize>((row + 3) % group) * headBytes;
          scoreFour(q0, q1, q2, q3, headDim);
        } else {
          scoreOne(q0, headDim);
        }
        for (let i: u32 = 0; i < count; i++) {
          const own = <i32>(past + from + (row + i) / group);
          const first = own - <i32>window + 1 - <i32>position;
          weigh(row + i, scores + <usize>i * BLOCK * 4, p.scale, first, own + 1 - <i32>position, headDim);
        }
        if (isFour) addValuesFour(row, headDim, there);
        else addValuesOne(row, headDim, there);
      }
      row += count;
    }
  }

  for (let row: u32 = 0; row < rows; row++) {
    const inverse = f32x4.splat(1 / load<f32>(running + <usize>row * 8, 4));
    const out = p.output + queries + <usize>(from + row / group) * tokenBytes + <usize>(row % group) * headBytes;
    const sum = sums + <usize>row * headBytes;
    for (let i: usize = 0; i < headBytes; i += 16) v128.store(out + i, f32x4.mul(v128.load(sum + i), inverse));
  }
}

/** `thread` of `threads` takes its share of the items. */
export function attention(parameters: usize, thread: u32, threads: u32): void {
  const p = changetype<AttentionParameters>(parameters);
  const headDim = p.headDim;
  keyBlock = p.scratch + <usize>thread * p.scratchBytes;
  valueBlock = keyBlock + <usize>headDim * BLOCK * 4;
  scores = valueBlock + <usize>headDim * BLOCK * 4;
  running = scores + 4 * BLOCK * 4;
  const group = p.heads / p.keyValueHeads;
  const tile = max<u32>(1, ROWS / group);
  sums = running + <usize>(tile * group) * 8;

  const tokens = changetype<Step>(p.step).tokens;
  const tiles = (tokens + tile - 1) / tile;
  const items = tiles * p.keyValueHeads;
  for (let i = thread; i < items; i += threads) {
    const from = (i / p.keyValueHeads) * tile;
    item(p, i % p.keyValueHeads, from, min<u32>(tokens, from + tile));
  }
}
