// What a matrix-vector product that also rotates and caches takes along, and what is expected of it: the reference of the
// operation, with caches that are poisoned before.

import { rotaryText } from '../../../runtime/backends/webgpu/kernels/matvec-epilogue.wgsl.ts';
import { fromF16, toF16 } from '../../../runtime/half.ts';
import type { Tensor } from '../../../runtime/ops/operation.ts';
import { rotaryCache } from '../../../runtime/ops/rotary-cache.ts';
import type { Random } from '../../support/random.ts';
import { context, type Operand, tensorOf } from '../kernel-case.ts';

export interface Heads {
  heads: number;
  keyValueHeads: number;
  headDim: number;
  past: number;
}

const HALF_NAN = 0x7fc0;

/** Rows of a matrix whose product is queries, keys and values. */
export function queryKeyValueRows({ heads, keyValueHeads, headDim }: Heads): number {
  return (heads + 2 * keyValueHeads) * headDim;
}

/** The variant's text and the operands behind the matrix's own, for a product that comes to `result`. */
export function rotaryOperands(random: Random, result: Tensor, shape: Heads, tolerance: number) {
  const { heads, keyValueHeads, headDim, past } = shape;
  const room = past + 2;
  const rotary = random.floats(headDim, 1);
  const before = new Uint16Array(keyValueHeads * room * headDim).fill(HALF_NAN);
  const states = [0, 1].map(() => tensorOf(fromF16(before), keyValueHeads, room, headDim));
  const [queries] = rotaryCache.reference(
    [result, tensorOf(rotary, 1, headDim)],
    { heads, keyValueHeads, headDim, keyState: 'keys', valueState: 'values', epsilon: 0 },
    context({ keys: states[0]!, values: states[1]! }, past),
  );
  const caches = states.map(({ data }) => ({
    halvesBefore: before,
    halvesAfter: toF16(data as Float32Array).map((bits, i) => (Number.isNaN(data[i]!) ? HALF_NAN : bits)),
  }));
  const operands: Operand[] = [{ input: rotary }, ...caches, { output: queries!.data as Float32Array, tolerance }];
  return { operands, rotary: rotaryText({ heads, keyValueHeads, headDim, context: room }) };
}
