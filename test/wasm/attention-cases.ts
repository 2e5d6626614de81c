// rotaryCache and attention together, since the order of the caches is theirs alone: a first step fills the caches, a second
// one reads them.

import { attentionScratchBytes, POSITION_BLOCK, STEP_ADDRESS } from '../../runtime/backends/wasm/layouts.ts';
import { f16BitsToF32, f32ToF16Bits } from '../../runtime/half.ts';
import { runReference } from '../../runtime/ops/index.ts';
import type { Tensor } from '../../runtime/ops/operation.ts';
import { Random } from '../support/random.ts';
import { expectClose, type KernelCase, type KernelHarness } from './kernel-harness.ts';

interface AttentionShape {
  heads: number;
  keyValueHeads: number;
  headDim: number;
  /** Tokens of the step that is compared, after `past` tokens that were written before. */
  tokens: number;
  past: number;
  window?: number;
  hasNorms?: boolean;
}

const EPSILON = 1e-6;

function runAttention(harness: KernelHarness, shape: AttentionShape): void {
  const { heads, keyValueHeads, headDim, tokens, past, window, hasNorms = false } = shape;
  const room = past + tokens + 3;
  const capacity = Math.ceil(room / POSITION_BLOCK) * POSITION_BLOCK;
  const random = new Random(heads * 100 + headDim + tokens + past);
  const stateShape = [keyValueHeads, room, headDim];
  const states: Record<string, Tensor> = {
    keys: { shape: stateShape, data: new Float32Array(keyValueHeads * room * headDim) },
    values: { shape: stateShape, data: new Float32Array(keyValueHeads * room * headDim) },
  };
  const norms: Record<string, Float32Array> = {
    queryNorm: random.floats(headDim, 2),
    keyNorm: random.floats(headDim, 2),
  };
  const cacheBytes = keyValueHeads * capacity * headDim * 2;
  const keys = harness.reserve(cacheBytes, 0);
  const values = harness.reserve(cacheBytes, 0);
  const normAddresses = hasNorms ? [harness.place(norms['queryNorm']!), harness.place(norms['keyNorm']!)] : [0, 0];
  const threads = 2;
  const scratchBytes = attentionScratchBytes(heads, keyValueHeads, headDim);
  const scratch = harness.output(threads * scratchBytes);
  const attributes = {
    heads,
    keyValueHeads,
    headDim,
    keyState: 'keys',
    valueState: 'values',
    queryNorm: hasNorms ? 'queryNorm' : undefined,
    keyNorm: hasNorms ? 'keyNorm' : undefined,
    epsilon: EPSILON,
  };
  const scale = headDim ** -0.5;

  const steps = past > 0 ? [past, tokens] : [tokens];
  let written = 0;
  for (const count of steps) {
    const context = {
      weight: (name: string) => ({ shape: [headDim], data: norms[name]! }),
      state: (name: string) => states[name]!,
      past: written,
    };
    const columns = (heads + 2 * keyValueHeads) * headDim;
    const qkv = random.floats(count * columns, 2);
    const rotary = Float32Array.from({ length: count * headDim }, (_, i) => {
      const half = headDim / 2;
      const angle = (written + Math.floor(i / headDim)) * 100 ** (-(i % half) / half);
      return i % headDim < half ? Math.cos(angle) : Math.sin(angle);
    });
    const queryColumns = heads * headDim;
    const queries = harness.output(count * queryColumns * 4);
    const output = harness.output(count * queryColumns * 4);
    harness.step({ tokens: count, past: written });
    const rotaryRecord = harness.record([
      ...stackedOrApart(harness, qkv, heads * headDim, keyValueHeads * headDim, written % 2 === 1),
      harness.place(rotary),
      queries,
      keys,
      values,
      normAddresses[0]!,
      normAddresses[1]!,
      { f32: EPSILON },
      heads,
      keyValueHeads,
      headDim,
      capacity,
      STEP_ADDRESS,
    ]);
    for (let thread = 0; thread < threads; thread++) harness.call('rotaryCache', rotaryRecord, thread, threads);
    const attentionRecord = harness.record([
      queries,
      keys,
      values,
      output,
      scratch,
      scratchBytes,
      { f32: scale },
      heads,
      keyValueHeads,
      headDim,
      capacity,
      window ?? 0,
      STEP_ADDRESS,
    ]);
    for (let thread = 0; thread < threads; thread++) harness.call('attention', attentionRecord, thread, threads);

    const inputs = [
      { shape: [count, columns], data: qkv },
      { shape: [count, headDim], data: rotary },
    ];
    const rotated = runReference({ op: 'rotaryCache', attributes }, inputs, context)[0]!;
    expectClose('queries', harness.floats(queries, count * queryColumns), rotated.data, 1e-6);
    const attended = runReference(
      { op: 'attention', attributes: { ...attributes, scale, window } },
      [rotated],
      context,
    )[0]!;
    // A key that lies between two halves may fall either way: one unit of f16 in one of many keys.
    expectClose('attended', harness.floats(output, count * queryColumns), attended.data, 3e-4);
    written += count;
  }
  harness.checkGuards();
}

/** Queries, keys and values as rotaryCache takes them: in one row a token, or each in rows of its own. */
function stackedOrApart(
  harness: KernelHarness,
  qkv: Float32Array,
  queryColumns: number,
  keyColumns: number,
  isApart: boolean,
): number[] {
  const columns = queryColumns + 2 * keyColumns;
  if (!isApart) {
    const address = harness.place(qkv);
    return [address, address + 4 * queryColumns, address + 4 * (queryColumns + keyColumns), 4 * columns];
  }
  const rows = (from: number, width: number): number =>
    harness.place(
      Float32Array.from(
        { length: (qkv.length / columns) * width },
        (_, i) => qkv[Math.floor(i / width) * columns + from + (i % width)]!,
      ),
    );
  return [rows(0, queryColumns), rows(queryColumns, keyColumns), rows(queryColumns + keyColumns, keyColumns), 0];
}

/** Values go to the cache as they are: every half, and what lies between two of them. */
function runHalfRounding(harness: KernelHarness): void {
  const headDim = 128;
  const tokens = 64;
  const scratchWord = new Uint32Array(1);
  const scratchFloat = new Float32Array(scratchWord.buffer);
  const random = new Random(5);
  const numbers = Float32Array.from({ length: tokens * headDim }, (_, i) => {
    if (i < 4096) {
      // A half, and the numbers beside the middle between it and the next one.
      const low = f16BitsToF32(i * 7);
      scratchFloat[0] = (low + f16BitsToF32(i * 7 + 1)) / 2;
      scratchWord[0]! += random.integer(-1, 1);
      return scratchFloat[0]! * (random.boolean() ? 1 : -1);
    }
    return (random.next() * 2 - 1) * 2 ** random.integer(-30, 17);
  });
  const capacity = 64;
  const qkv = new Float32Array(tokens * 3 * headDim);
  for (let token = 0; token < tokens; token++) {
    qkv.set(numbers.subarray(token * headDim, (token + 1) * headDim), (token * 3 + 2) * headDim);
  }
  const keys = harness.reserve(capacity * headDim * 2, 0);
  const values = harness.output(capacity * headDim * 2);
  const rotary = harness.place(new Float32Array(tokens * headDim));
  const queries = harness.output(tokens * headDim * 4);
  harness.step({ tokens });
  const inputs = stackedOrApart(harness, qkv, headDim, headDim, false);
  const fields = [...inputs, rotary, queries, keys, values, 0, 0, 0, 1, 1, headDim, capacity, STEP_ADDRESS];
  harness.call('rotaryCache', harness.record(fields), 0, 1);
  const halves = new Uint16Array(harness.memory.buffer, values, tokens * headDim);
  numbers.forEach((number, i) => {
    const expected = f32ToF16Bits(number);
    if (halves[i] !== expected) throw new Error(`${number} became the half ${halves[i]}, expected ${expected}.`);
  });
  harness.checkGuards();
}

const SHAPES: AttentionShape[] = [
  { heads: 1, keyValueHeads: 1, headDim: 8, tokens: 1, past: 0 },
  { heads: 2, keyValueHeads: 2, headDim: 16, tokens: 5, past: 1 },
  { heads: 8, keyValueHeads: 4, headDim: 64, tokens: 1, past: 31 },
  { heads: 8, keyValueHeads: 4, headDim: 64, tokens: 17, past: 200 },
  { heads: 14, keyValueHeads: 2, headDim: 64, tokens: 1, past: 200 },
  { heads: 14, keyValueHeads: 2, headDim: 64, tokens: 9, past: 33 },
  { heads: 4, keyValueHeads: 1, headDim: 128, tokens: 65, past: 0 },
  { heads: 9, keyValueHeads: 3, headDim: 20, tokens: 3, past: 31, hasNorms: true },
  { heads: 4, keyValueHeads: 2, headDim: 12, tokens: 2, past: 40, hasNorms: true },
  { heads: 40, keyValueHeads: 1, headDim: 8, tokens: 3, past: 5 },
  { heads: 4, keyValueHeads: 2, headDim: 16, tokens: 1, past: 200, window: 9 },
  { heads: 4, keyValueHeads: 2, headDim: 16, tokens: 65, past: 31, window: 9 },
  { heads: 4, keyValueHeads: 2, headDim: 16, tokens: 65, past: 200, window: 64 },
  { heads: 2, keyValueHeads: 1, headDim: 16, tokens: 7, past: 0, window: 1 },
];

export const ATTENTION_CASES: readonly KernelCase[] = [
  ...SHAPES.map((shape) => ({
    name:
      `attention ${shape.heads}/${shape.keyValueHeads} heads of ${shape.headDim}, ${shape.past} + ${shape.tokens} tokens` +
      `${shape.window ? `, window ${shape.window}` : ''}${shape.hasNorms ? ', norms' : ''}`,
    run: (harness: KernelHarness) => runAttention(harness, shape),
  })),
  { name: 'halves are rounded to nearest, ties to even', run: runHalfRounding },
];
