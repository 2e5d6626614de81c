// What the writer writes, LOADING's reader and unpackMatrix must get back.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WpError } from '../../runtime/errors.ts';
import { FORMATS } from '../../runtime/quantization/formats.ts';
import { packMatrix } from '../../runtime/quantization/pack.ts';
import { writeQuantizedCheckpoint } from '../../runtime/quantization/quantized-checkpoint.ts';
import { parseSafetensorsHeader } from '../../runtime/weights/safetensors.ts';

const numbers = (count: number) => Float32Array.from({ length: count }, (_, i) => Math.sin(i * 1.7));

test('the file is sound safetensors, aligned, and says its formats and its notice', () => {
  const matrices = [
    { name: 'a.weight', matrix: packMatrix(numbers(3 * 64), 3, 64, FORMATS.q4g32) }, // 12 bytes of scales: an odd size
    { name: 'norm.weight', matrix: packMatrix(numbers(64), 1, 64, FORMATS.f16), isVector: true },
    { name: 'b.weight', matrix: packMatrix(numbers(2 * 64), 2, 64, FORMATS.q8g32) },
  ];
  const file = writeQuantizedCheckpoint(matrices, 'Mind the “gap”.');
  const headerLength = Number(new DataView(file.buffer).getBigUint64(0, true));
  const { tensors, metadata } = parseSafetensorsHeader(file.subarray(8, 8 + headerLength), file.length, 'test');
  assert.deepEqual(
    tensors.map(({ name, dtype, shape }) => [name, dtype, shape]),
    [
      ['a.weight.plane0', 'U8', [3, 32]],
      ['norm.weight', 'F16', [64]],
      ['b.weight.plane0', 'U8', [2, 64]],
      ['b.weight.scales', 'F16', [2, 2]],
      ['a.weight.scales', 'F16', [3, 2]],
    ],
  );
  for (const tensor of tensors) assert.equal(tensor.start % 8, 0, tensor.name);
  assert.deepEqual(JSON.parse(metadata.get('wp-models.quantization')!), { 'a.weight': 'q4g32', 'b.weight': 'q8g32' });
  assert.equal(metadata.get('wp-models.notice'), 'Mind the “gap”.');
  assert.equal(metadata.get('wp-models.version'), '1');
  const plane = tensors[0]!;
  assert.deepEqual(file.slice(plane.start, plane.end), matrices[0]!.matrix.planes[0]);
  assert.throws(() => writeQuantizedCheckpoint([matrices[0]!, matrices[0]!]), WpError);
});
