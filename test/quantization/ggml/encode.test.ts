// Writing is the inverse of reading: blocks of any bytes come back, byte for byte.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FORMATS } from '../../../runtime/quantization/formats.ts';
import { decodeBlocks } from '../../../runtime/quantization/ggml/decode.ts';
import { encodeBlocks, ggmlTypeOf } from '../../../runtime/quantization/ggml/encode.ts';
import { equalFormat, repack } from '../../../runtime/quantization/ggml/repack.ts';
import { GGML_TYPES } from '../../../runtime/quantization/ggml/types.ts';
import { packMatrix, unpackMatrix } from '../../../runtime/quantization/pack.ts';
import { loadPacker } from '../../../runtime/quantization/packer.ts';
import { Random } from '../../support/random.ts';

const types = [...GGML_TYPES.values()].filter(({ name }) => equalFormat(name) !== undefined);

describe('blocks of ggml', () => {
  it('there are ten that our formats can say', () => assert.equal(types.length, 10));

  for (const type of types) {
    it(`${type.name}: what is read is written, byte for byte`, () => {
      const random = new Random(3);
      const bytes = Uint8Array.from({ length: 24 * type.blockBytes }, () => random.integer(0, 255));
      const matrix = repack(type.name, bytes, 3, 8 * type.blockSize);
      assert.equal(ggmlTypeOf(matrix.format)!.type.name, type.name);
      assert.deepEqual(encodeBlocks(matrix), bytes);
    });
  }

  it('what we pack is read by the exact decoders as the numbers that we mean', async () => {
    const pack = await loadPacker(Object.values(FORMATS));
    const random = new Random(9);
    const values = random.floats(4 * 512, 0.1);
    for (const type of types) {
      const matrix = pack(values, 4, 512, FORMATS[equalFormat(type.name)!]);
      const ours = unpackMatrix(matrix).map((value) => value + 0);
      assert.deepEqual(
        decodeBlocks(type, encodeBlocks(matrix)).map((value) => value + 0),
        ours,
        type.name,
      );
    }
  });

  it('formats without a type are refused', () => {
    const matrix = packMatrix(new Float32Array(64), 1, 64, FORMATS.q2g64m);
    assert.equal(ggmlTypeOf(FORMATS.q2g64m), undefined);
    assert.throws(() => encodeBlocks(matrix), { code: 'unsupported-format', message: /q2g64m/ });
  });
});
