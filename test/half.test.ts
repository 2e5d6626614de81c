import assert from 'node:assert/strict';
import { test } from 'node:test';
import { f16BitsToF32, f32ToF16Bits, fromF16, roundToF16, toF16 } from '../runtime/half.ts';

// Bits by numpy: np.float32(x).astype(np.float16).view(np.uint16).
const goldens: [number, number][] = [
  [0, 0x0000],
  [-0, 0x8000],
  [1, 0x3c00],
  [-2, 0xc000],
  [65504, 0x7bff],
  [65519.99, 0x7bff],
  [65520, 0x7c00],
  [-1e9, 0xfc00],
  [Infinity, 0x7c00],
  [2 ** -14, 0x0400],
  [2 ** -24, 0x0001],
  [2 ** -25, 0x0000],
  [1.5 * 2 ** -25, 0x0001],
  [3 * 2 ** -25, 0x0002],
  [2 ** -14 - 2 ** -26, 0x0400],
  [1 + 2 ** -11, 0x3c00],
  [1 + 3 * 2 ** -11, 0x3c02],
  [0.1, 0x2e66],
  [3.14159265, 0x4248],
];

test('floats round to the nearest half, ties to even', () => {
  for (const [x, bits] of goldens) assert.equal(f32ToF16Bits(x), bits, `${x}`);
  assert.ok(Number.isNaN(roundToF16(NaN)));
});

test('every half survives the way to a float and back', () => {
  const all = Uint16Array.from({ length: 65536 }, (_, i) => i);
  const floats = fromF16(all);
  const back = toF16(floats);
  for (let i = 0; i < all.length; i++) {
    if ((i & 0x7fff) > 0x7c00) assert.ok(Number.isNaN(floats[i]));
    else assert.equal(back[i], i);
  }
  assert.equal(f16BitsToF32(0x3555), 0.333251953125);
});

test('the halves on both sides of a float are never nearer than the one chosen', () => {
  let seed = 1;
  for (let i = 0; i < 20000; i++) {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    const x = Math.fround(((seed / 2 ** 32) * 2 - 1) * 2 ** ((i % 40) - 26));
    const bits = f32ToF16Bits(x);
    const error = Math.abs(f16BitsToF32(bits) - x);
    if ((bits & 0x7fff) > 0) assert.ok(error <= Math.abs(f16BitsToF32(bits - 1) - x));
    if ((bits & 0x7fff) < 0x7bff) assert.ok(error <= Math.abs(f16BitsToF32(bits + 1) - x));
  }
});
