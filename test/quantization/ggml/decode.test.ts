// Every type of ggml against the `gguf` Python package, bit for bit, and the types that are rows of our own table.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { WpError } from '../../../runtime/errors.ts';
import { decodeBlocks, DECODED_TYPES } from '../../../runtime/quantization/ggml/decode.ts';
import { grid, type GridName } from '../../../runtime/quantization/ggml/grids.ts';
import { equalFormat, repack } from '../../../runtime/quantization/ggml/repack.ts';
import { GGML_TYPES, type GgmlType } from '../../../runtime/quantization/ggml/types.ts';
import { formatBytes } from '../../../runtime/quantization/formats.ts';
import { unpackMatrix } from '../../../runtime/quantization/pack.ts';
import { Random } from '../../support/random.ts';

const fixture = (name: string): Uint8Array =>
  new Uint8Array(readFileSync(new URL(`./fixtures/${name}`, import.meta.url)));
const data = fixture('blocks.bin');
const goldens = JSON.parse(new TextDecoder().decode(fixture('blocks.json'))) as {
  types: Record<string, { start: number; bytes: number; numbers: number }>;
  grids: Record<GridName, string>;
};

function typeNamed(name: string): GgmlType {
  const type = [...GGML_TYPES.values()].find((candidate) => candidate.name === name);
  assert.ok(type, name);
  return type;
}

function golden(name: string): { bytes: Uint8Array; numbers: Float32Array } {
  const { start, bytes, numbers } = goldens.types[name]!;
  const end = start + bytes;
  return {
    bytes: data.slice(start, end),
    numbers: new Float32Array(data.slice(end, end + numbers * 4).buffer),
  };
}

const bits = (values: Float32Array): Uint32Array => new Uint32Array(values.buffer, values.byteOffset, values.length);

describe('types of ggml', () => {
  it('all have goldens', () => {
    assert.deepEqual([...DECODED_TYPES].sort(), Object.keys(goldens.types).sort());
  });

  for (const name of DECODED_TYPES) {
    it(`${name} decodes as the gguf package does, bit for bit`, () => {
      const { bytes, numbers } = golden(name);
      assert.deepEqual(bits(decodeBlocks(typeNamed(name), bytes)), bits(numbers));
    });
  }

  for (const [name, sum] of Object.entries(goldens.grids)) {
    it(`the grid of ${name} is the package's`, () => {
      assert.equal(
        createHash('sha256')
          .update(grid(name as GridName))
          .digest('hex'),
        sum,
      );
    });
  }

  it('are rows of the format table wherever the table can say them', () => {
    const equal = DECODED_TYPES.filter((name) => equalFormat(name) !== undefined);
    assert.deepEqual(
      equal.map((name) => [name, equalFormat(name)]),
      [
        ['Q4_0', 'q4g32'],
        ['Q4_1', 'q4g32m'],
        ['Q5_0', 'q5g32'],
        ['Q5_1', 'q5g32m'],
        ['Q8_0', 'q8g32'],
        ['Q2_K', 'q2k'],
        ['Q3_K', 'q3k'],
        ['Q4_K', 'q4k'],
        ['Q5_K', 'q5k'],
        ['Q6_K', 'q6k'],
      ],
    );
  });

  for (const name of DECODED_TYPES.filter((type) => equalFormat(type) !== undefined)) {
    it(`${name} becomes ${equalFormat(name)} without loss and without growing`, () => {
      const type = typeNamed(name);
      const { bytes: goldenBytes } = golden(name);
      const random = new Random(7);
      const randomBytes = Uint8Array.from({ length: 60 * type.blockBytes }, () => random.integer(0, 255));
      for (const bytes of [goldenBytes, randomBytes]) {
        const blocks = bytes.length / type.blockBytes;
        const rows = blocks % 3 === 0 ? 3 : 1;
        const packed = repack(name, bytes, rows, (blocks / rows) * type.blockSize);
        // Zeros of a negative scale may come back with the other sign: adding 0 makes both the same. A NaN is a NaN.
        const normal = (values: Float32Array): Uint32Array =>
          bits(values.map((value) => (Number.isNaN(value) ? NaN : value + 0)));
        assert.deepEqual(normal(unpackMatrix(packed)), normal(decodeBlocks(type, bytes)));
        const { total } = formatBytes(packed.format, packed.rows, packed.columns);
        assert.equal(total, bytes.length, 'not a byte more');
      }
    });
  }

  it('refuses what is no whole number of blocks, and types that it does not decode', () => {
    const code = (thrown: unknown, expected: string): boolean => thrown instanceof WpError && thrown.code === expected;
    assert.throws(
      () => decodeBlocks(typeNamed('Q6_K'), new Uint8Array(209)),
      (thrown) => code(thrown, 'corrupt-file'),
    );
    assert.throws(
      () => decodeBlocks(typeNamed('I32'), new Uint8Array(4)),
      (thrown) => code(thrown, 'unsupported-format'),
    );
  });
});
