// Attention without a cache, in f32: ops/attend.ts says what sees what. Thread `from` of `to` takes a run of the queries. For each
// query and head all scores come first (into the thread's scratch), four keys at a time; then their exponentials, then the
// weighted sum of the values.

import { AttendMore, AttendParameters } from './encoder-parameters';
import { exponential } from './exponential';
import { maxLanes, multiplyAdd, sumLanes } from './simd';

/** Behind a record of AttendParameters comes that of AttendMore. */
const RECORD_BYTES: usize = 64;

@inline
function lowest(a: i32, b: i32): i32 {
  return a < b ? a : b;
}

/** Scores of four keys at once: the four sums are transposed and added, so that a lane belongs to a key. */
@inline
function scoreFour(q: usize, k: usize, stride: usize, bytes: usize): v128 {
  let a = f32x4.splat(0);
  let b = f32x4.splat(0);
  let c = f32x4.splat(0);
  let d = f32x4.splat(0);
  const k1 = k + stride;
  const k2 = k1 + stride;
  const k3 = k2 + stride;
  for (let at: usize = 0; at < bytes; at += 16) {
    const x = v128.load(q + at);
    a = multiplyAdd(x, v128.load(k + at), a);
    b = multiplyAdd(x, v128.load(k1 + at), b);
    c = multiplyAdd(x, v128.load(k2 + at), c);
    d = multiplyAdd(x, v128.load(k3 + at), d);
  }
  const ab = f32x4.add(v128.shuffle<u32>(a, b, 0, 4, 1, 5), v128.shuffle<u32>(a, b, 2, 6, 3, 7));
  const cd = f32x4.add(v128.shuffle<u32>(c, d, 0, 4, 1, 5), v128.shuffle<u32>(c, d, 2, 6, 3, 7));
  return f32x4.add(v128.shuffle<u32>(ab, cd, 0, 1, 4, 5), v128.shuffle<u32>(ab, cd, 2, 3, 6, 7));
}

@inline
function scoreOne(q: usize, k: usize, bytes: usize): f32 {
  let sum = f32x4.splat(0);
  for (let at: usize = 0; at < bytes; at += 16) sum = multiplyAdd(v128.load(q + at), v128.load(k + at), sum);
  return sumLanes(sum);
}

/** Σ share × value over `count` values: sixteen numbers of a head at a time, then four. */
@inline
function weigh(scores: usize, v: usize, stride: usize, count: i32, out: usize, bytes: usize, factor: v128): void {
  let at: usize = 0;
  for (; at + 64 <= bytes; at += 64) {
    let a = f32x4.splat(0);
    let b = f32x4.splat(0);
    let c = f32x4.splat(0);
    let d = f32x4.splat(0);
    let value = v + at;
    for (let i: i32 = 0; i < count; i++) {
      const share = v128.load_splat<u32>(scores + (<usize>i << 2));
      a = multiplyAdd(share, v128.load(value), a);
      b = multiplyAdd(share, v128.load(value, 16), b);
      c = multiplyAdd(share, v128.load(value, 32), c);
      d = multiplyAdd(share, v128.load(value, 48), d);
      value += stride;
    }
    v128.store(out + at, f32x4.mul(a, factor));
    v128.store(out + at, f32x4.mul(b, factor), 16);
    v128.store(out + at, f32x4.mul(c, factor), 32);
    v128.store(out + at, f32x4.mul(d, factor), 48);
  }
  for (; at < bytes; at += 16) {
    let a = f32x4.splat(0);
    let value = v + at;
    for (let i: i32 = 0; i < count; i++) {
      a = multiplyAdd(v128.load_splat<u32>(scores + (<usize>i << 2)), v128.load(value), a);
      value += stride;
    }
    v128.store(out + at, f32x4.mul(a, factor));
  }
}

export function attend(parameters: usize, thread: u32, threads: u32): void {
  const p = changetype<AttendParameters>(parameters);
  const more = changetype<AttendMore>(parameters + RECORD_BYTES);
  const rows = load<u32>(more.count);
  const firstRow = <i32>((rows * thread + threads - 1) / threads);
  const endRow = <i32>((rows * (thread + 1) + threads - 1) / threads);
  const scores = more.scratch + <usize>thread * more.scratchBytes;
  const bytes = <usize>p.headDim * 4;
  const group = p.heads / p.keyValueHeads;
  const reach = <i32>more.reach;
  for (let row = firstRow; row < endRow; row++) {
    let first: i32;
    let end: i32;
    if (p.spans) {
      first = load<i32>(p.spans + <usize>row * 8);
      end = load<i32>(p.spans + <usize>row * 8, 4);
    } else {
      first = (row / <i32>p.queryRun) * <i32>p.keyRun;
      end = first + <i32>p.keyRun;
    }
    if (p.window != 0xffffffff) {
      const window = <i32>p.window;
      if (row - window > first) first = row - window;
      end = lowest(end, row + window + 1);
    }
    if (p.isCausal) end = lowest(end, row + 1);
    const count = end - first;
    const out = p.output + <usize>row * p.heads * bytes;
    if (count <= 0) {
      memory.fill(out, 0, <usize>p.heads * bytes);
      continue;
    }
    for (let head: u32 = 0; head < p.heads; head++) {
      const q = p.queries + <usize>row * p.queryStride + <usize>head * bytes;
      const part = <usize>(head / group) * bytes;
      const k = p.keys + <usize>first * p.keyStride + part;
      const scale = f32x4.splat(p.scale);
      let i: i32 = 0;
      for (; i + 4 <= count; i += 4) {
        const four = scoreFour(q, k + <usize>i * p.keyStride, p.keyStride, bytes);
        v128.store(scores + (<usize>i << 2), f32x4.mul(four, scale));
      }
      for (; i < count; i++) {
        store<f32>(scores + (<usize>i << 2), scoreOne(q, k + <usize>i * p.keyStride, bytes) * p.scale);
      }
      if (more.bias) {
        for (i = 0; i < count; i++) {
          let distance = first + i - row;
          distance = distance > reach ? reach : distance < -reach ? -reach : distance;
          const bucket = load<u32>(more.buckets + <usize>((distance + reach) << 2));
          const at = scores + (<usize>i << 2);
          store<f32>(at, load<f32>(at) + load<f32>(more.bias + <usize>((bucket * p.heads + head) << 2)));
        }
      }
      // What stands behind the last score, up to a whole vector, is made to vanish.
      const whole = (count + 3) & ~3;
      for (i = count; i < whole; i++) store<f32>(scores + (<usize>i << 2), -3e38);
      let largest = f32x4.splat(-3e38);
      for (i = 0; i < whole; i += 4) largest = f32x4.max(largest, v128.load(scores + (<usize>i << 2)));
      const top = f32x4.splat(maxLanes(largest));
      let total = f32x4.splat(0);
      for (i = 0; i < whole; i += 4) {
        const at = scores + (<usize>i << 2);
        const share = exponential(f32x4.sub(v128.load(at), top));
        total = f32x4.add(total, share);
        v128.store(at, share);
      }
      const factor = f32x4.splat(<f32>1 / sumLanes(total));
      const v = p.values + <usize>first * p.valueStride + part;
      weigh(scores, v, p.valueStride, count, out + <usize>head * bytes, bytes, factor);
    }
  }
}
