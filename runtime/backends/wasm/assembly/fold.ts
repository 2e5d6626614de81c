// Two planes → the codes of 3, 5 and 6 bits as unpack.ts reads them. Runs once, when a matrix is loaded. The planes' words are
// interleaved already (repack.ts).

import { Codes2, Codes4 } from './codes';
import { unpack } from './unpack';

/** One bit of 32 columns × 4 rows in one vector: bit `i` of each byte belongs to vector i. */
@inline
function bit(w: usize, i: usize): v128 {
  const v = v128.load(w);
  return v128.and(i == 0 ? v : i16x8.shr_u(v, <i32>i), i8x16.splat(1));
}

/** Shifts bytes left; bits that leave a byte are lost. */
@inline
function up(v: v128, shift: i32): v128 {
  return i8x16.shl(v, shift);
}

@inline
function down(v: v128, shift: i32): v128 {
  return i8x16.shr_u(v, shift);
}

@inline
function or3(a: v128, b: v128, c: v128): v128 {
  return v128.or(v128.or(a, b), c);
}

@inline
function code3(high: usize, low: usize, i: usize): v128 {
  return v128.or(up(unpack<Codes2>(high, i), 1), bit(low, i));
}

@inline
function code5(high: usize, low: usize, i: usize): v128 {
  return v128.or(up(unpack<Codes4>(high, i), 1), bit(low, i));
}

@inline
function code6(high: usize, low: usize, i: usize): v128 {
  return v128.or(up(unpack<Codes4>(high, i), 2), unpack<Codes2>(low, i));
}

/** `count` blocks of 4 × 32 codes of 3 bits: planes of 2 and 1. */
export function fold3(high: usize, low: usize, out: usize, count: u32): void {
  for (let n: u32 = 0; n < count; n++) {
    const c6 = code3(high, low, 6);
    const c7 = code3(high, low, 7);
    const tops = v128.or(down(c6, 2), v128.and(down(c7, 1), i8x16.splat(2)));
    v128.store(out, or3(code3(high, low, 0), up(code3(high, low, 1), 3), up(c6, 6)));
    v128.store(out, or3(code3(high, low, 2), up(code3(high, low, 3), 3), up(tops, 6)), 16);
    v128.store(out, or3(code3(high, low, 4), up(code3(high, low, 5), 3), up(c7, 6)), 32);
    high += 32;
    low += 16;
    out += 48;
  }
}

/** The same of 5 bits: planes of 4 and 1. */
export function fold5(high: usize, low: usize, out: usize, count: u32): void {
  for (let n: u32 = 0; n < count; n++) {
    const c5 = code5(high, low, 5);
    const c6 = code5(high, low, 6);
    const c7 = code5(high, low, 7);
    const bit3 = up(down(c7, 3), 7);
    const bit4 = up(down(c7, 4), 7);
    v128.store(out, v128.or(code5(high, low, 0), up(c5, 5)));
    v128.store(out, or3(code5(high, low, 1), up(down(c5, 3), 5), bit3), 16);
    v128.store(out, v128.or(code5(high, low, 2), up(c6, 5)), 32);
    v128.store(out, or3(code5(high, low, 3), up(down(c6, 3), 5), bit4), 48);
    v128.store(out, v128.or(code5(high, low, 4), up(c7, 5)), 64);
    high += 64;
    low += 16;
    out += 80;
  }
}

/** The same of 6 bits: planes of 4 and 2. */
export function fold6(high: usize, low: usize, out: usize, count: u32): void {
  for (let n: u32 = 0; n < count; n++) {
    const c6 = code6(high, low, 6);
    const c7 = code6(high, low, 7);
    v128.store(out, v128.or(code6(high, low, 0), up(c6, 6)));
    v128.store(out, v128.or(code6(high, low, 1), up(down(c6, 2), 6)), 16);
    v128.store(out, v128.or(code6(high, low, 2), up(down(c6, 4), 6)), 32);
    v128.store(out, v128.or(code6(high, low, 3), up(c7, 6)), 48);
    v128.store(out, v128.or(code6(high, low, 4), up(down(c7, 2), 6)), 64);
    v128.store(out, v128.or(code6(high, low, 5), up(down(c7, 4), 6)), 80);
    high += 64;
    low += 32;
    out += 96;
  }
}
