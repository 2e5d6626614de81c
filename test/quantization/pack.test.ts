// Packing is checked by its promises: every code layout survives the round trip exactly, numbers on the grid come back
// exactly, and the error of arbitrary numbers is bounded by the format. Formats beyond the table (planes of 1, 2, 4, 8
// bits, minimums, other group sizes) are tested too: the table grows, the code should not have to.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WpError } from '../../runtime/errors.ts';
import { f16BitsToF32, f32ToF16Bits } from '../../runtime/half.ts';
import {
  codeBits,
  formatBytes,
  FORMATS,
  type PlaneBits,
  type QuantFormat,
} from '../../runtime/quantization/formats.ts';
import { packMatrix, stackMatrices, unpackMatrix } from '../../runtime/quantization/pack.ts';
import { packPlanes, unpackPlanes } from '../../runtime/quantization/planes.ts';

/** A small deterministic generator (mulberry32): numbers in [0, 1). */
function random(seed: number): () => number {
  let a = seed;
  return () => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Roughly normal numbers, as weights are. */
function weights(count: number, seed: number, spread = 0.05): Float32Array {
  const next = random(seed);
  return Float32Array.from({ length: count }, () => (next() + next() + next() + next() - 2) * spread * 1.7);
}

const row = (
  planes: readonly PlaneBits[],
  groupSize: QuantFormat['groupSize'],
  offset: QuantFormat['offset'],
): QuantFormat => ({
  name: `test-${planes.join('+')}g${groupSize}-${offset}`,
  planes,
  groupSize,
  scale: 'f16',
  offset,
});

const LAYOUTS: QuantFormat[] = [];
for (const planes of [[1], [2], [4], [8], [2, 1], [2, 2], [2, 1, 1], [4, 2], [4, 4]] as PlaneBits[][]) {
  for (const groupSize of [16, 32, 64, 128] as const) {
    for (const offset of ['symmetric', 'min'] as const) LAYOUTS.push(row(planes, groupSize, offset));
  }
}

test('planes: any codes survive the round trip, at any block', () => {
  for (const planes of [[1], [2], [4], [8], [2, 1], [2, 1, 1], [4, 2], [4, 4]] as PlaneBits[][]) {
    const bits = planes.reduce<number>((a, b) => a + b, 0);
    const next = random(bits);
    const codes = Uint8Array.from({ length: 96 }, () => Math.floor(next() * 2 ** bits));
    const bytes = planes.map((b) => new Uint8Array((160 * b) / 8).fill(0xaa));
    packPlanes(codes, 96, planes, bytes, 1);
    const back = new Uint8Array(96).fill(0xff);
    unpackPlanes(bytes, planes, 1, back, 96);
    assert.deepEqual(back, codes, `planes ${planes}`);
    for (const [p, b] of planes.entries()) {
      const blockBytes = 4 * b;
      assert.ok(
        bytes[p]!.subarray(0, blockBytes).every((x) => x === 0xaa),
        'the block before is untouched',
      );
      assert.ok(
        bytes[p]!.subarray(4 * blockBytes).every((x) => x === 0xaa),
        'the block after is untouched',
      );
    }
  }
});

test('planes: the bytes are those that formats.ts describes', () => {
  const codes = Uint8Array.from({ length: 32 }, (_, i) => i % 16);
  const four = [new Uint8Array(16)];
  packPlanes(codes, 32, [4], four, 0);
  for (let j = 0; j < 16; j++) assert.equal(four[0]![j], codes[j]! | (codes[j + 16]! << 4));
  const three = [new Uint8Array(8), new Uint8Array(4)];
  const small = codes.map((c) => (c * 5) % 8);
  packPlanes(small, 32, [2, 1], three, 0);
  for (let j = 0; j < 8; j++) {
    const expected = [0, 8, 16, 24].reduce((byte, up, k) => byte | ((small[j + up]! >> 1) << (2 * k)), 0);
    assert.equal(three[0]![j], expected, 'the two upper bits');
  }
  for (let j = 0; j < 4; j++) {
    let expected = 0;
    for (let k = 0; k < 8; k++) expected |= (small[j + 4 * k]! & 1) << k;
    assert.equal(three[1]![j], expected, 'the lowest bit');
  }
});

test('every format: sizes as the table says, and an error within the format’s bound', () => {
  const rows = 3; // odd, on purpose
  const columns = 256;
  for (const format of [...LAYOUTS, FORMATS.q4g32, FORMATS.q8g32]) {
    const values = weights(rows * columns, 7);
    const packed = packMatrix(values, rows, columns, format);
    const sizes = formatBytes(format, rows, columns);
    assert.deepEqual(
      packed.planes.map((p) => p.byteLength),
      sizes.planes,
      format.name,
    );
    assert.equal(packed.scales.byteLength, sizes.scales, format.name);
    assert.equal(packed.minimums.byteLength, sizes.minimums, format.name);
    const back = unpackMatrix(packed);
    const levels = 2 ** codeBits(format);
    for (let start = 0; start < values.length; start += format.groupSize) {
      const group = values.subarray(start, start + format.groupSize);
      const least = Math.min(...group);
      const greatest = Math.max(...group);
      // One step of the plain scale: the search may clip the extremes or stretch the steps, by a little each.
      const range = format.offset === 'symmetric' ? 2 * Math.max(-least, greatest) : greatest - least;
      const bound = (levels > 2 ? 1.35 : 1.01) * (range / (levels - 1));
      for (let i = 0; i < group.length; i++) {
        const error = Math.abs(group[i]! - back[start + i]!);
        assert.ok(error <= bound, `${format.name}: ${group[i]} came back as ${back[start + i]}, bound ${bound}`);
      }
    }
  }
});

test('root-mean-square error: 4 and 8 bits at their worth, and never worse than the largest-weight scale', () => {
  const values = weights(64 * 512, 3);
  const error = (back: Float32Array) =>
    Math.sqrt(values.reduce((s, x, i) => s + (x - back[i]!) ** 2, 0) / values.reduce((s, x) => s + x * x, 0));
  const plain = new Float32Array(values.length);
  for (let start = 0; start < values.length; start += 32) {
    const group = values.subarray(start, start + 32);
    const largest = group.reduce((a, b) => (Math.abs(b) > Math.abs(a) ? b : a), 0);
    const scale = f16BitsToF32(f32ToF16Bits(largest / -8));
    for (let i = 0; i < 32; i++) plain[start + i] = scale * Math.max(-8, Math.min(7, Math.round(group[i]! / scale)));
  }
  const four = error(unpackMatrix(packMatrix(values, 64, 512, FORMATS.q4g32)));
  assert.ok(four < error(plain), `searched ${four}, plain ${error(plain)}`);
  assert.ok(four < 0.085, `${four}`);
  assert.ok(error(unpackMatrix(packMatrix(values, 64, 512, FORMATS.q8g32))) < 0.0055);
});

test('numbers on a grid come back exactly', () => {
  for (const format of LAYOUTS) {
    const bits = codeBits(format);
    if (bits < 2) continue;
    const isSymmetric = format.offset === 'symmetric';
    const scale = 0.125;
    const next = random(bits);
    const values = new Float32Array(5 * 128);
    for (let start = 0; start < values.length; start += format.groupSize) {
      for (let i = 0; i < format.groupSize; i++) {
        // Both ends of the code range are present in every group, so that the grid is the only exact answer.
        let code = i === 0 ? 0 : i === 1 ? 2 ** bits - 1 : Math.floor(next() * 2 ** bits);
        if (isSymmetric && bits === 8) code = Math.max(1, code);
        values[start + i] = isSymmetric ? scale * (code - 2 ** (bits - 1)) : scale * code - 3;
      }
    }
    const back = unpackMatrix(packMatrix(values, 5, 128, format));
    for (let i = 0; i < values.length; i++) {
      assert.ok(Math.abs(back[i]! - values[i]!) <= 2e-3 * 2 ** bits * scale, `${format.name} at ${i}`);
      if (bits <= 4 && isSymmetric) assert.equal(back[i], values[i], `${format.name} at ${i}`);
    }
  }
});

test('the largest weight of a 4-bit group may be positive: the scale is then negative', () => {
  const values = new Float32Array(32).map((_, i) => (i === 5 ? 8 : (i % 8) - 4));
  const packed = packMatrix(values, 1, 32, FORMATS.q4g32);
  assert.deepEqual(unpackMatrix(packed), values);
  assert.equal(f16BitsToF32(packed.scales[0]!), -1);
  assert.equal(packed.planes[0]![5]! & 15, 0);
});

test('zeros, one outlier, tiny numbers', () => {
  for (const format of LAYOUTS) {
    const zero = unpackMatrix(packMatrix(new Float32Array(128), 1, 128, format));
    assert.ok(
      zero.every((x) => x === 0),
      format.name,
    );
    const tiny = new Float32Array(128).fill(1e-30);
    assert.ok(
      unpackMatrix(packMatrix(tiny, 1, 128, format)).every((x) => Math.abs(x) < 1e-7),
      format.name,
    );
    const outlier = new Float32Array(128);
    outlier[77] = -3;
    const back = unpackMatrix(packMatrix(outlier, 1, 128, format));
    assert.ok(Math.abs(back[77]! + 3) < 0.01, `${format.name}: ${back[77]}`);
  }
});

test('f32 and f16 keep what they can', () => {
  const values = new Float32Array([1, -2.5, 65504, 1e-7, 0.1, -0]);
  const single = unpackMatrix(packMatrix(values, 2, 3, FORMATS.f32));
  assert.deepEqual(single, values);
  const half = unpackMatrix(packMatrix(values, 2, 3, FORMATS.f16));
  assert.deepEqual(
    half,
    values.map((x) => f16BitsToF32(f32ToF16Bits(x))),
  );
});

test('stacked rows are the parts’ rows', () => {
  for (const format of [FORMATS.f32, FORMATS.f16, FORMATS.q4g32, FORMATS.q8g32, row([2, 1], 16, 'min')]) {
    const parts = [1, 5, 2].map((rows, i) => packMatrix(weights(rows * 64, i), rows, 64, format));
    const stacked = stackMatrices(parts);
    assert.equal(stacked.rows, 8);
    const expected = Float32Array.from(parts.flatMap((part) => [...unpackMatrix(part)]));
    assert.deepEqual(unpackMatrix(stacked), expected, format.name);
  }
});

test('what cannot be packed says why', () => {
  const code = (expected: string) => (error: unknown) => error instanceof WpError && error.code === expected;
  const numbers = weights(64, 1);
  assert.throws(() => packMatrix(numbers, 1, 48, FORMATS.q4g32), code('invalid-argument'));
  assert.throws(() => packMatrix(numbers.subarray(0, 48), 1, 48, FORMATS.q4g32), code('unsupported-format'));
  for (const bad of [NaN, Infinity, -Infinity, 3e38]) {
    for (const format of [FORMATS.q4g32, FORMATS.q8g32, row([4], 32, 'min')]) {
      const values = numbers.slice();
      values[40] = bad;
      assert.throws(() => packMatrix(values, 1, 64, format), code('corrupt-file'), `${format.name} ${bad}`);
    }
  }
  assert.throws(() => stackMatrices([]), code('invalid-argument'));
  const parts = [packMatrix(numbers, 1, 64, FORMATS.q4g32), packMatrix(numbers, 1, 64, FORMATS.q8g32)];
  assert.throws(() => stackMatrices(parts), code('invalid-argument'));
  const cut = { ...parts[0]!, scales: parts[0]!.scales.slice(1) };
  assert.throws(() => unpackMatrix(cut), code('corrupt-file'));
});
