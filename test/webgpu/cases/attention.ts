// Attention and what feeds it. Every position that a token must not see is NaN in the caches.

import {
  attentionDecodeKernel,
  attentionSplits,
  splitSize,
} from '../../../runtime/backends/webgpu/kernels/attention-decode.ts';
import { partialSize } from '../../../runtime/backends/webgpu/kernels/attention-decode.wgsl.ts';
import { attentionMergeKernel } from '../../../runtime/backends/webgpu/kernels/attention-merge.ts';
import { attentionPrefillMatrixKernel } from '../../../runtime/backends/webgpu/kernels/attention-prefill-matrix.ts';
import { attentionPrefillKernel } from '../../../runtime/backends/webgpu/kernels/attention-prefill.ts';
import { hasMatrixAttention } from '../../../runtime/backends/webgpu/ladder.ts';
import type { Reduction } from '../../../runtime/backends/webgpu/kernels/kernel.ts';
import { rotaryCacheKernel } from '../../../runtime/backends/webgpu/kernels/rotary-cache.ts';
import { fromF16, toF16 } from '../../../runtime/half.ts';
import { attention } from '../../../runtime/ops/attention.ts';
import { rotaryCache } from '../../../runtime/ops/rotary-cache.ts';
import type { Random } from '../../support/random.ts';
import { context, type KernelCase, needsSubgroups, prepared, REDUCTIONS, tensorOf } from '../kernel-case.ts';

const TOLERANCE = 1e-5;
const HALF_NAN = 0x7fc0;

interface HeadShape {
  heads: number;
  keyValueHeads: number;
  headDim: number;
  past: number;
  tokens: number;
  window?: number;
}

/** Room in the caches: the last position stays unwritten. */
const roomFor = ({ past, tokens }: HeadShape): number => past + tokens + 1;

function describe({ heads, keyValueHeads, headDim, past, tokens, window }: HeadShape): string {
  const sizes = `${heads}/${keyValueHeads} heads of ${headDim}, ${tokens} after ${past}`;
  return window === undefined ? sizes : `${sizes}, window ${window}`;
}

/** Halves at the positions from … to − 1 of every head, NaN elsewhere. */
function cache(
  random: Random,
  { keyValueHeads, headDim }: HeadShape,
  room: number,
  from: number,
  to: number,
): Uint16Array {
  const halves = new Uint16Array(keyValueHeads * room * headDim).fill(HALF_NAN);
  for (let head = 0; head < keyValueHeads; head++) {
    const start = (head * room + from) * headDim;
    halves.set(toF16(random.floats((to - from) * headDim, 1)), start);
  }
  return halves;
}

/** Queries, caches and the result of an attention, for kernels that make it. */
function attentionParts(random: Random, shape: HeadShape) {
  const { heads, keyValueHeads, headDim, past, tokens, window } = shape;
  const room = roomFor(shape);
  const first = window === undefined ? 0 : Math.max(0, past + 1 - window);
  const [keys, values] = [0, 1].map(() => cache(random, shape, room, first, past + tokens)) as [
    Uint16Array,
    Uint16Array,
  ];
  const queries = random.floats(tokens * heads * headDim, 3);
  const scale = headDim ** -0.5;
  const states = [keys, values].map((halves) => tensorOf(fromF16(halves), keyValueHeads, room, headDim));
  const [expected] = attention.reference(
    [tensorOf(queries, tokens, heads * headDim)],
    { heads, keyValueHeads, headDim, scale, window, keyState: 'keys', valueState: 'values' },
    context({ keys: states[0]!, values: states[1]! }, past),
  );
  const operands = [{ input: queries }, { input: keys }, { input: values }];
  return { operands, room, scale, output: { output: expected!.data as Float32Array, tolerance: TOLERANCE } };
}

function prefillCase(shape: HeadShape, tileQueries: number, tilePositions: number, lanes: number): KernelCase {
  return {
    name: `attentionPrefill ${describe(shape)}, tiles ${tileQueries}×${tilePositions}, ${lanes} lanes`,
    prepare: (random) => {
      const { heads, keyValueHeads, headDim, window, past, tokens } = shape;
      const { operands, output, room, scale } = attentionParts(random, shape);
      const head = { heads, keyValueHeads, headDim, context: room, scale, window };
      const variant = { kernel: 'attentionPrefill', ...head, tileQueries, tilePositions, lanes } as const;
      return prepared(attentionPrefillKernel, variant, undefined, { past, tokens }, [...operands, output]);
    },
  };
}

/** Queries, keys and weights are halves, also where a device has matrix units for them. */
const HALF_TOLERANCE = 4e-3;

function matrixCase(shape: HeadShape): KernelCase {
  return {
    name: `attentionPrefillMatrix ${describe(shape)}`,
    unsupported: (profile) =>
      hasMatrixAttention(profile, shape.headDim) ? undefined : 'this device has no subgroup matrices',
    prepare: (random) => {
      const { heads, keyValueHeads, headDim, window, past, tokens } = shape;
      const { operands, output, room, scale } = attentionParts(random, shape);
      const head = { heads, keyValueHeads, headDim, context: room, scale, window };
      const variant = { kernel: 'attentionPrefillMatrix', ...head } as const;
      const rounded = { ...output, tolerance: HALF_TOLERANCE };
      return prepared(attentionPrefillMatrixKernel, variant, undefined, { past, tokens }, [...operands, rounded]);
    },
  };
}

function decodeCase(shape: Omit<HeadShape, 'tokens'>, headsPerWorkgroup: number, workgroupSize: number): KernelCase {
  return {
    name: `attentionDecode ${describe({ ...shape, tokens: 1 })}, ${headsPerWorkgroup} heads a workgroup of ${workgroupSize}`,
    prepare: (random) => {
      const { heads, keyValueHeads, headDim, window, past } = shape;
      const { operands, output, room, scale } = attentionParts(random, { ...shape, tokens: 1 });
      const head = { heads, keyValueHeads, headDim, context: room, scale, window };
      const threads = { splitPositions: 64, mostSplits: 1, headsPerWorkgroup, workgroupSize };
      const variant = { kernel: 'attentionDecode', ...head, ...threads, output: 'result' } as const;
      return prepared(attentionDecodeKernel, variant, undefined, { past }, [...operands, output]);
    },
  };
}

interface Splitting {
  splitPositions: number;
  mostSplits: number;
}

/** The parts that attention-decode leaves: maximum, total and weighted values of each split and head. */
function splitParts(random: Random, shape: HeadShape, splitting: Splitting) {
  const { heads, keyValueHeads, headDim, past, window } = shape;
  const { operands, output, room, scale } = attentionParts(random, shape);
  const [queries, keys, values] = operands.map(({ input }) =>
    input instanceof Uint16Array ? fromF16(input) : (input as Float32Array),
  ) as [Float32Array, Float32Array, Float32Array];
  const splits = attentionSplits({ ...splitting, window }, { past });
  const splitPositions = splitSize({ ...splitting, window }, { past });
  const size = partialSize(headDim);
  const partials = new Float32Array(splits * heads * size);
  const first = past + 1 - Math.min(past + 1, window ?? Infinity);
  for (let split = 0; split < splits; split++) {
    const start = first + split * splitPositions;
    const positions = Array.from({ length: Math.min(splitPositions, past + 1 - start) }, (_, i) => start + i);
    for (let head = 0; head < heads; head++) {
      const cacheHead = Math.floor(head / (heads / keyValueHeads));
      const at = (cached: Float32Array, position: number, i: number): number =>
        cached[(cacheHead * room + position) * headDim + i]!;
      const scores = positions.map((position) => {
        let score = 0;
        for (let i = 0; i < headDim; i++) score += queries[head * headDim + i]! * at(keys, position, i);
        return score * scale;
      });
      const maximum = Math.max(...scores);
      const weights = scores.map((score) => Math.exp(score - maximum));
      const part = (split * heads + head) * size;
      partials.set([maximum, weights.reduce((a, b) => a + b)], part);
      for (let i = 0; i < headDim; i++) {
        partials[part + 2 + i] = positions.reduce((sum, position, p) => sum + weights[p]! * at(values, position, i), 0);
      }
    }
  }
  return { operands, output, room, scale, partials };
}

function splitCases(shape: HeadShape, splitting: Splitting, workgroupSize = 64): KernelCase[] {
  const { splitPositions, mostSplits } = splitting;
  const { heads, keyValueHeads, headDim, window, past } = shape;
  const threads = { ...splitting, headsPerWorkgroup: Math.min(4, heads / keyValueHeads), workgroupSize };
  return [
    {
      name: `attentionDecode ${describe(shape)}, at most ${mostSplits} splits of ${splitPositions}, ${workgroupSize} threads`,
      prepare: (random) => {
        const { operands, partials, room, scale } = splitParts(random, shape, splitting);
        const head = { heads, keyValueHeads, headDim, context: room, scale, window };
        const variant = { kernel: 'attentionDecode', ...head, ...threads, output: 'partials' } as const;
        const output = { output: partials, tolerance: TOLERANCE };
        return prepared(attentionDecodeKernel, variant, undefined, { past }, [...operands, output]);
      },
    },
    {
      name: `attentionMerge ${describe(shape)}, at most ${mostSplits} splits of ${splitPositions}, ${workgroupSize} threads`,
      prepare: (random) => {
        const { partials, output } = splitParts(random, shape, splitting);
        const variant = {
          kernel: 'attentionMerge',
          heads,
          headDim,
          ...splitting,
          window,
          workgroupSize,
        } as const;
        return prepared(attentionMergeKernel, variant, undefined, { past }, [{ input: partials }, output]);
      },
    },
  ];
}

function rotaryCase(shape: HeadShape, norms: { query: boolean; key: boolean }, reduction: Reduction): KernelCase {
  const { heads, keyValueHeads, headDim, past, tokens } = shape;
  const normNames = [norms.query ? 'query' : '', norms.key ? 'key' : ''].filter(Boolean).join(' and ');
  return {
    name: `rotaryCache ${describe(shape)}${normNames ? `, norms of ${normNames}, ${reduction}` : ''}`,
    unsupported: normNames ? needsSubgroups(reduction) : undefined,
    prepare: (random) => {
      const room = roomFor(shape);
      const qkv = random.floats(tokens * (heads + 2 * keyValueHeads) * headDim, 2);
      const rotary = random.floats(tokens * headDim, 1);
      const [queryNorm, keyNorm] = [random.floats(headDim, 1), random.floats(headDim, 1)];
      const before = cache(random, shape, room, 0, past);
      const states = [0, 1].map(() => tensorOf(fromF16(before), keyValueHeads, room, headDim));
      const epsilon = 1e-6;
      const attributes = {
        heads,
        keyValueHeads,
        headDim,
        keyState: 'keys',
        valueState: 'values',
        queryNorm: norms.query ? 'queryNorm' : undefined,
        keyNorm: norms.key ? 'keyNorm' : undefined,
        epsilon,
      };
      const [expected] = rotaryCache.reference(
        [tensorOf(qkv, tokens, (heads + 2 * keyValueHeads) * headDim), tensorOf(rotary, tokens, headDim)],
        attributes,
        context(
          {
            keys: states[0]!,
            values: states[1]!,
            queryNorm: tensorOf(queryNorm, headDim),
            keyNorm: tensorOf(keyNorm, headDim),
          },
          past,
        ),
      );
      const after = states.map(({ data }) => {
        const halves = toF16(data as Float32Array);
        // The poison's NaN is not the one that rounding a NaN makes.
        return halves.map((bits, i) => (Number.isNaN(data[i]!) ? before[i]! : bits));
      });
      const variant = {
        kernel: 'rotaryCache',
        heads,
        keyValueHeads,
        headDim,
        context: room,
        hasQueryNorm: norms.query,
        hasKeyNorm: norms.key,
        epsilon,
        workgroupSize: 64,
        reduction,
      } as const;
      return prepared(rotaryCacheKernel, variant, undefined, { past, tokens }, [
        { input: qkv },
        { input: rotary },
        ...(norms.query ? [{ input: queryNorm }] : []),
        ...(norms.key ? [{ input: keyNorm }] : []),
        ...after.map((halvesAfter) => ({ halvesBefore: before, halvesAfter })),
        { output: expected!.data as Float32Array, tolerance: TOLERANCE },
      ]);
    },
  };
}

const NO_NORMS = { query: false, key: false };

/** Subgroup matrices: exported for pages that run on real GPUs, since no software adapter has them. */
export const MATRIX_ATTENTION_CASES: readonly KernelCase[] = [
  matrixCase({ heads: 1, keyValueHeads: 1, headDim: 16, past: 0, tokens: 2 }),
  matrixCase({ heads: 4, keyValueHeads: 2, headDim: 64, past: 31, tokens: 65 }),
  matrixCase({ heads: 2, keyValueHeads: 1, headDim: 128, past: 40, tokens: 33, window: 20 }),
  matrixCase({ heads: 2, keyValueHeads: 2, headDim: 128, past: 200, tokens: 130 }),
  matrixCase({ heads: 3, keyValueHeads: 1, headDim: 80, past: 1, tokens: 17 }),
  matrixCase({ heads: 2, keyValueHeads: 1, headDim: 32, past: 31, tokens: 65, window: 9 }),
  matrixCase({ heads: 2, keyValueHeads: 1, headDim: 32, past: 0, tokens: 65, window: 1 }),
];

export const ATTENTION_CASES: readonly KernelCase[] = [
  ...MATRIX_ATTENTION_CASES,
  rotaryCase({ heads: 1, keyValueHeads: 1, headDim: 8, past: 0, tokens: 1 }, NO_NORMS, 'workgroup'),
  rotaryCase({ heads: 14, keyValueHeads: 2, headDim: 64, past: 31, tokens: 17 }, NO_NORMS, 'workgroup'),
  rotaryCase({ heads: 3, keyValueHeads: 3, headDim: 12, past: 1, tokens: 3 }, NO_NORMS, 'workgroup'),
  ...REDUCTIONS.map((reduction) =>
    rotaryCase({ heads: 4, keyValueHeads: 2, headDim: 128, past: 5, tokens: 2 }, { query: true, key: true }, reduction),
  ),
  rotaryCase(
    { heads: 2, keyValueHeads: 1, headDim: 256, past: 0, tokens: 2 },
    { query: false, key: true },
    'workgroup',
  ),
  prefillCase({ heads: 1, keyValueHeads: 1, headDim: 8, past: 0, tokens: 2 }, 16, 32, 8),
  prefillCase({ heads: 4, keyValueHeads: 2, headDim: 64, past: 31, tokens: 65 }, 16, 32, 8),
  prefillCase({ heads: 4, keyValueHeads: 2, headDim: 64, past: 31, tokens: 65 }, 32, 16, 8),
  prefillCase({ heads: 2, keyValueHeads: 1, headDim: 128, past: 40, tokens: 33, window: 20 }, 32, 16, 8),
  prefillCase({ heads: 7, keyValueHeads: 1, headDim: 12, past: 1, tokens: 17 }, 16, 16, 8),
  prefillCase({ heads: 2, keyValueHeads: 2, headDim: 128, past: 200, tokens: 3 }, 8, 16, 8),
  prefillCase({ heads: 2, keyValueHeads: 1, headDim: 256, past: 0, tokens: 17 }, 8, 8, 8),
  prefillCase({ heads: 2, keyValueHeads: 1, headDim: 32, past: 31, tokens: 65, window: 9 }, 16, 16, 8),
  prefillCase({ heads: 2, keyValueHeads: 1, headDim: 32, past: 0, tokens: 65, window: 1 }, 4, 4, 16),
  decodeCase({ heads: 1, keyValueHeads: 1, headDim: 8, past: 0 }, 1, 64),
  decodeCase({ heads: 14, keyValueHeads: 2, headDim: 64, past: 31 }, 7, 64),
  // Heads that do not divide by those of a workgroup; more positions than threads.
  decodeCase({ heads: 14, keyValueHeads: 2, headDim: 12, past: 200 }, 4, 64),
  decodeCase({ heads: 2, keyValueHeads: 1, headDim: 256, past: 1 }, 2, 128),
  decodeCase({ heads: 4, keyValueHeads: 4, headDim: 64, past: 200, window: 90 }, 1, 64),
  decodeCase({ heads: 32, keyValueHeads: 8, headDim: 128, past: 70 }, 4, 256),
  ...splitCases(
    { heads: 6, keyValueHeads: 2, headDim: 32, past: 200, tokens: 1 },
    { splitPositions: 64, mostSplits: 32 },
  ),
  ...splitCases(
    { heads: 4, keyValueHeads: 4, headDim: 64, past: 200, tokens: 1, window: 150 },
    { splitPositions: 32, mostSplits: 32 },
  ),
  // More positions than splits of the usual size: larger ones, the last of them not full.
  ...splitCases(
    { heads: 8, keyValueHeads: 2, headDim: 128, past: 330, tokens: 1 },
    { splitPositions: 32, mostSplits: 4 },
    256,
  ),
  ...splitCases(
    { heads: 5, keyValueHeads: 1, headDim: 12, past: 300, tokens: 1 },
    { splitPositions: 16, mostSplits: 8 },
    128,
  ),
];
