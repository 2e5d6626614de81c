// A matrix takes as many bytes on the device as its format says, and no more.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deviceMatrix, matrixBindings } from '../../runtime/backends/webgpu/device-matrix.ts';
import { weightBindings } from '../../runtime/backends/webgpu/kernels/weight-format.wgsl.ts';
import { twoLevelScales } from '../../runtime/backends/webgpu/two-level-scales.ts';
import { formatBytes, FORMATS, type FormatName, isQuantized } from '../../runtime/quantization/formats.ts';
import { Random } from '../support/random.ts';
import { randomMatrix } from './kernel-case.ts';

await twoLevelScales.load();
const COLUMNS = 256;

function bytesOf(format: FormatName, firstRow: number, rows: number): number {
  const { packed } = randomMatrix(new Random(3), format, 40, COLUMNS);
  const { planes, scales } = deviceMatrix(packed, firstRow, rows);
  return planes.reduce((sum, plane) => sum + plane.byteLength, scales?.byteLength ?? 0);
}

for (const name of Object.keys(FORMATS) as FormatName[]) {
  test(`${name}: the device holds the bytes of the format, in the bindings that kernels have`, () => {
    assert.equal(bytesOf(name, 0, 40), formatBytes(FORMATS[name], 40, COLUMNS).total);
    assert.equal(bytesOf(name, 32, 7), formatBytes(FORMATS[name], 7, COLUMNS).total);
    assert.equal(weightBindings(name, COLUMNS).length, matrixBindings(name));
  });
}

test('bits a weight on the device, of the formats of GGUF: those of its files', () => {
  const bits = Object.values(FORMATS)
    .filter((format) => isQuantized(format) && format.scale !== 'f16')
    .map(({ name }) => [name, (bytesOf(name as FormatName, 0, 40) * 8) / (40 * COLUMNS)]);
  assert.deepEqual(Object.fromEntries(bits), { q2k: 2.625, q3k: 3.4375, q4k: 4.5, q5k: 5.5, q6k: 6.5625 });
});
