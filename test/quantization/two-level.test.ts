// Formats with two-level scales: what their packer promises, and codes that someone else chose.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { packCodes, scaleCodeRange, unpackCodes } from '../../runtime/quantization/codes.ts';
import { codeBits, FORMATS, formatBytes, isQuantized, type QuantFormat } from '../../runtime/quantization/formats.ts';
import { packMatrix, unpackMatrix } from '../../runtime/quantization/pack.ts';
import { packTwoLevel } from '../../runtime/quantization/two-level.ts';
import { Random } from '../support/random.ts';

const quantized: readonly QuantFormat[] = Object.values(FORMATS).filter(isQuantized);
const twoLevel = quantized.filter(({ scale }) => scale !== 'f16');

function relativeError(actual: Float32Array, expected: Float32Array, importance?: Float32Array): number {
  let difference = 0;
  let size = 0;
  expected.forEach((value, i) => {
    const weight = importance ? importance[i % importance.length]! : 1;
    difference += weight * (actual[i]! - value) ** 2;
    size += weight * value ** 2;
  });
  return Math.sqrt(difference / size);
}

/** Roughly normal, with rows of different sizes and a few outliers, as weights have. */
function weights(count: number, seed: number): Float32Array {
  const random = new Random(seed);
  return Float32Array.from({ length: count }, (_, i) => {
    const normal = random.next() + random.next() + random.next() + random.next() - 2;
    return normal * 0.05 * (1 + (i >> 9)) * (random.next() < 0.01 ? 4 : 1);
  });
}

describe('two-level scales', () => {
  const values = weights(4 * 512, 1);

  test('lose less than one-level scales of no fewer bytes', () => {
    for (const [format, other] of [
      ['q2k', 'q2g32'],
      ['q3k', 'q3g32'],
      ['q4k', 'q4g32'],
      ['q5k', 'q5g32'],
    ] as const) {
      const own = relativeError(unpackMatrix(packTwoLevel(values, 4, 512, FORMATS[format])), values);
      const plain = relativeError(unpackMatrix(packMatrix(values, 4, 512, FORMATS[other])), values);
      assert.ok(own < 0.95 * plain, `${format}: ${own}, ${other}: ${plain}`);
    }
  });

  test('importance moves the error to where it costs least', () => {
    const importance = Float32Array.from({ length: 512 }, (_, i) => (i % 8 === 0 ? 100 : 1));
    for (const format of twoLevel.filter((one) => codeBits(one) <= 4)) {
      const plain = unpackMatrix(packTwoLevel(values, 4, 512, format));
      const weighted = unpackMatrix(packTwoLevel(values, 4, 512, format, importance));
      assert.ok(
        relativeError(weighted, values, importance) < relativeError(plain, values, importance),
        `${format.name}`,
      );
    }
  });

  test('zeros, constants and numbers of one sign come through', () => {
    for (const format of twoLevel) {
      const bits = codeBits(format);
      const zeros = unpackMatrix(packTwoLevel(new Float32Array(256), 1, 256, format));
      assert.ok(
        zeros.every((value) => value === 0),
        format.name,
      );
      for (const row of [new Float32Array(256).fill(-0.5), Float32Array.from({ length: 256 }, (_, i) => 1 + i / 256)]) {
        const error = relativeError(unpackMatrix(packTwoLevel(row, 1, 256, format)), row);
        assert.ok(error < 0.6 / 2 ** (bits - 2), `${format.name}: ${error}`);
      }
    }
  });

  test('what is not finite, or not of the width, is refused', () => {
    const bad = new Float32Array(256).fill(1);
    bad[77] = NaN;
    for (const format of twoLevel) {
      assert.throws(() => packTwoLevel(bad, 1, 256, format), { code: 'corrupt-file', message: /NaN/ });
      assert.throws(() => packTwoLevel(new Float32Array(64), 1, 64, format), { code: 'unsupported-format' });
    }
  });
});

describe('codes that someone else chose', () => {
  test('are packed and come back, in every format', () => {
    const random = new Random(5);
    for (const format of quantized) {
      const groups = 1024 / format.groupSize;
      const { least, greatest } = scaleCodeRange(format);
      const isTwoLevel = format.scale !== 'f16';
      const isMin = format.offset === 'min';
      const count = formatBytes(format, 2, 512).scales / 2;
      const halves = () => Uint16Array.from({ length: count }, () => random.integer(0x2000, 0x3000));
      const integers = () => Int16Array.from({ length: groups }, () => random.integer(least, greatest));
      const parts = {
        codes: Uint8Array.from({ length: 1024 }, () => random.integer(0, 2 ** codeBits(format) - 1)),
        scales: halves(),
        ...(isMin && { minimums: halves() }),
        ...(isTwoLevel && { scaleCodes: integers() }),
        ...(isTwoLevel && isMin && { minimumCodes: integers() }),
      };
      assert.deepEqual(unpackCodes(packCodes(format, 2, 512, parts)), parts, format.name);
    }
  });

  test('are refused out of range and in another number', () => {
    const scales = new Uint16Array(1);
    const parts = { codes: new Uint8Array(256), scales, scaleCodes: new Int16Array(16) };
    const refused = (changes: object): void =>
      assert.throws(() => packCodes(FORMATS.q3k, 1, 256, { ...parts, ...changes }), { code: 'invalid-argument' });
    refused({ codes: new Uint8Array(256).fill(8) });
    refused({ scaleCodes: new Int16Array(16).fill(32) });
    refused({ scaleCodes: new Int16Array(8) });
    refused({ minimums: new Uint16Array(1) });
    assert.ok(packCodes(FORMATS.q3k, 1, 256, parts));
  });
});
