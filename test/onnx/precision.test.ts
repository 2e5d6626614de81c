// Rewritten files: their products in 2, 4 and 8 bits run in ONNX Runtime, and lie as near to f32 as the bits allow.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { readOnnxHeader, type Range } from '../../runtime/onnx/header.ts';
import { quantizeBlocks } from '../../runtime/onnx/quantize/block-quantize.ts';
import { rewriteMatrices } from '../../runtime/onnx/quantize/rewrite.ts';
import { createOnnxSession } from '../../runtime/onnx/session.ts';
import type { Tensor } from '../../runtime/tensors.ts';
import { loadDirectly } from '../support/load-directly.ts';
import { nextTask as next } from '../../runtime/generation/event-loop.ts';
import { Random } from '../support/random.ts';
import { assertClose, bytesOf, fixture, x, y } from './fixtures.ts';

function relativeError(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  let difference = 0;
  let size = 0;
  for (let i = 0; i < expected.length; i++) {
    difference += (actual[i]! - expected[i]!) ** 2;
    size += expected[i]! ** 2;
  }
  return Math.sqrt(difference / size);
}

const floatsIn = (bytes: Uint8Array, { start, end }: Range): Float32Array =>
  new Float32Array(bytes.slice(start, end).buffer);

/** By MatMulNBits' documentation: the columns of each matrix, as numbers. */
function dequantize(bytes: Uint8Array, bits: number): Record<string, number[][]> {
  const { weights } = readOnnxHeader(bytes, 'a.onnx');
  const part = (name: string) => weights.find((weight) => weight.name === name)!;
  const code = (from: number, i: number): number =>
    (bytes[from + Math.floor((i * bits) / 8)]! >> ((i * bits) % 8)) & (2 ** bits - 1);
  const names = weights.filter(({ name }) => name.endsWith('_codes')).map(({ name }) => name.slice(0, -6));
  return Object.fromEntries(
    names.map((name) => {
      const [codes, zeros] = [part(`${name}_codes`), part(`${name}_zeros`)];
      const scales = floatsIn(bytes, part(`${name}_scales`).raw!);
      const [columns, blocks] = codes.dims as [number, number];
      const zeroBytes = Math.ceil((blocks * bits) / 8);
      const columnOf = (column: number): number[] =>
        Array.from({ length: blocks * 32 }, (_, row) => {
          const block = Math.floor(row / 32);
          const zero = code(zeros.raw!.start + column * zeroBytes, block);
          const value = code(codes.raw!.start, (column * blocks + block) * 32 + (row % 32));
          return (value - zero) * scales[column * blocks + block]!;
        });
      return [name, Array.from({ length: columns }, (_, column) => columnOf(column))];
    }),
  );
}

const multiply = (values: readonly number[], columns: readonly number[][]): number[] =>
  columns.map((column) => values.reduce((sum, value, i) => sum + value * column[i]!, 0));

/** Of the output, after three products in a row: the step of a code is 2^-bits of a block's range. */
const LIMITS = { 2: 0.6, 4: 0.12, 8: 0.008 } as const;

describe('an f32 file at fewer bits', () => {
  for (const bits of [2, 4, 8] as const) {
    it(`${bits} bits`, async () => {
      for (const name of ['products.onnx', 'external.onnx']) {
        const model = await loadDirectly(fixture(name), { precision: `${bits}bit` });
        const { precision, bitsPerWeight, reasons } = model.info.plan;
        assert.equal(precision, `${bits}bit`);
        // A scale of 32 bits and a zero point for 32 weights, blocks that are not full, and the bias.
        assert.ok(bitsPerWeight > bits + 1 && bitsPerWeight < (bits + 1.5) * 1.5, `${bitsPerWeight}`);
        assert.ok(reasons.some(({ reason }) => /3 matrices .* rest stays f32/.test(reason)));
        const { data } = (await model.run({ x }))['y']!;
        const error = relativeError(data as Float32Array, y.data);
        assert.ok(error < LIMITS[bits], `${name}: ${error}`);
        assert.ok(error > LIMITS[bits] / 40, `${name}: ${error} is too good for ${bits} bits`);
        await model.dispose();
      }
    });
  }

  for (const bits of [2, 4, 8] as const) {
    it(`${bits} bits: the runtime computes with the very weights that were meant`, async () => {
      const bytes = bytesOf('products.onnx');
      const header = readOnnxHeader(bytes, 'a.onnx');
      const { bytes: rewritten } = await rewriteMatrices({ header, bytes, external: [] }, bits, 'a.onnx', next);
      const matrices = dequantize(rewritten, bits);
      const bias = readOnnxHeader(rewritten, 'a.onnx').weights.find(({ name }) => name === 'b2')!;
      const offset = floatsIn(rewritten, bias.raw!);
      const expected = Array.from({ length: x.dims[0]! }, (_, row) => {
        let values = [...x.data.subarray(row * 72, (row + 1) * 72)];
        values = multiply(values, matrices['w1']!).map((value) => Math.max(value, 0));
        values = multiply(values, matrices['w2_t']!).map((value, i) => Math.tanh(value + offset[i]!));
        return multiply(values, matrices['w3']!);
      }).flat();
      const session = await createOnnxSession(
        { file: 'a.onnx', bytes: rewritten, external: [], inputs: header.inputs, outputs: header.outputs },
        'wasm',
        1,
      );
      const { y: output } = await session.run({ inputs: { x } });
      assertClose((output as Tensor<'float32'>).data, expected, 2e-5);
      await session.dispose();
    });
  }

  it('keeps names, ends and all that is no such product', async () => {
    const bytes = bytesOf('products.onnx');
    const before = readOnnxHeader(bytes, 'a.onnx');
    const { bytes: rewritten, matrices } = await rewriteMatrices(
      { header: before, bytes, external: [] },
      4,
      'a.onnx',
      next,
    );
    const after = readOnnxHeader(rewritten, 'a.onnx');
    assert.equal(matrices, 3);
    assert.deepEqual([after.inputs, after.outputs, after.producer], [before.inputs, before.outputs, before.producer]);
    assert.deepEqual(Object.fromEntries(after.operations), { 'com.microsoft:MatMulNBits': 3, Relu: 1, Tanh: 1 });
    assert.equal(after.opsets.get('com.microsoft'), 1);
    assert.ok(rewritten.length < bytes.length / 2);
  });

  it('nothing to rewrite is said', async () => {
    const model = await loadDirectly(fixture('counter.onnx'), { precision: '4bit' });
    assert.equal(model.info.plan.precision, 'f32');
    assert.ok(model.info.plan.reasons.some(({ reason }) => /nothing could be made 4 bits/.test(reason)));
    await model.dispose();
  });
});

describe('blocks', () => {
  for (const bits of [2, 4, 8] as const) {
    it(`${bits} bits: every weight within the block's step, zeros stay zeros`, () => {
      const generator = new Random(bits);
      const random = (): number => generator.next();
      const [rows, columns] = [70, 5];
      const matrix = Array.from({ length: rows * columns }, (_, i) => (i % columns === 4 ? 0 : random() * 2 - 1));
      const numbers = Float32Array.from(matrix);
      const { codes, scales, zeroPoints } = quantizeBlocks({ rows, columns, numbers, isTransposed: false }, bits);
      const turned = Float32Array.from(numbers, (_, i) => matrix[(i % rows) * columns + Math.floor(i / rows)]!);
      const again = quantizeBlocks({ rows, columns, numbers: turned, isTransposed: true }, bits);
      assert.deepEqual(again, { codes, scales, zeroPoints });
      const blocks = 3;
      const most = 2 ** bits - 1;
      const perByte = 8 / bits;
      const codeAt = (bytes: Uint8Array, first: number, i: number): number =>
        (bytes[first + Math.floor(i / perByte)]! >> ((i % perByte) * bits)) & most;
      for (let row = 0; row < rows; row++) {
        for (let column = 0; column < columns; column++) {
          const block = Math.floor(row / 32);
          const index = column * blocks + block;
          const zero = codeAt(zeroPoints, column * Math.ceil(blocks / perByte), block);
          const value = (codeAt(codes, (index * 32) / perByte, row % 32) - zero) * scales[index]!;
          const expected = matrix[row * columns + column]!;
          // Narrowed ranges clip the largest, by less than what one step is wide at full range.
          assert.ok(Math.abs(value - expected) <= 2 / most, `${row}, ${column}: ${value} is not ${expected}`);
          if (expected === 0) assert.equal(Math.abs(value), 0);
        }
      }
    });
  }
});
