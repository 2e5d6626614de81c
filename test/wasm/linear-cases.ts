// Matrix products of every format, with the preparation of their activations, and embeddings.

import { ACTIVATION_GROUP, BLOCK_ROWS, STEP_FIELDS } from '../../runtime/backends/wasm/layouts.ts';
import type { KernelName } from '../../runtime/backends/wasm/tape.ts';
import type { WasmFormat } from '../../runtime/backends/wasm/weights.ts';
import { runReference } from '../../runtime/ops/index.ts';
import type { ReferenceContext } from '../../runtime/ops/operation.ts';
import { FORMATS } from '../../runtime/quantization/formats.ts';
import { packMatrix, unpackMatrix } from '../../runtime/quantization/pack.ts';
import { Random } from '../support/random.ts';
import { expectClose, type KernelCase, type KernelHarness } from './kernel-harness.ts';

const KERNELS: Record<WasmFormat, { prepare?: KernelName; linear: KernelName; embed: KernelName }> = {
  q4g32: { prepare: 'quantizeActivations4', linear: 'linearQ4', embed: 'embedQ4' },
  q8g32: { prepare: 'quantizeActivations8', linear: 'linearQ8', embed: 'embedQ8' },
  f16: { prepare: 'foldActivations', linear: 'linearF16', embed: 'embedF16' },
  f32: { linear: 'linearF32', embed: 'embedF32' },
};

/** The activations as the integer kernels see them: int8 with a scale for each group. */
function roundToInt8(x: Float32Array): Float32Array {
  const rounded = new Float32Array(x.length);
  for (let start = 0; start < x.length; start += ACTIVATION_GROUP) {
    const group = x.subarray(start, start + ACTIVATION_GROUP);
    const largest = group.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    const inverse = largest > 0 ? Math.fround(127 / largest) : 0;
    group.forEach((value, i) => (rounded[start + i] = roundToEven(Math.fround(value * inverse)) * (largest / 127)));
  }
  return rounded;
}

function roundToEven(x: number): number {
  const rounded = Math.round(x);
  return Math.abs(x % 1) === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded;
}

function linearReference(x: Float32Array, weight: Float32Array, rows: number, columns: number, bias: Float32Array) {
  const context: ReferenceContext = {
    weight: (name) => (name === 'bias' ? { shape: [rows], data: bias } : { shape: [rows, columns], data: weight }),
    state: () => {
      throw new Error('A linear has no state.');
    },
    past: 0,
  };
  const attributes = { weight: 'weight', bias: 'bias' };
  return runReference({ op: 'linear', attributes }, [{ shape: [x.length / columns, columns], data: x }], context)[0]!
    .data;
}

interface LinearShape {
  rows: number;
  columns: number;
  tokens: number;
  hasBias?: boolean;
  /** Numbers of this magnitude in the activations. */
  amplitude?: number;
  /** Weights of this magnitude. */
  weights?: number;
}

function runLinear(harness: KernelHarness, format: WasmFormat, shape: LinearShape): void {
  const { rows, columns, tokens, hasBias = false, amplitude = 3, weights = 0.2 } = shape;
  const random = new Random(rows * 7919 + columns * 31 + tokens);
  const matrix = packMatrix(random.floats(rows * columns, weights), rows, columns, FORMATS[format]);
  const x = random.floats(tokens * columns, amplitude);
  if (tokens > 2) x.fill(0, columns, columns + ACTIVATION_GROUP); // a group without a largest number
  const bias = hasBias ? random.floats(rows, 1) : new Float32Array(rows);
  const paddedBias = new Float32Array(Math.ceil(rows / 4) * 4);
  paddedBias.set(bias);

  const { address, scales, unit } = harness.placeMatrix(matrix);
  const input = harness.place(x);
  const prepared = harness.output(harness.preparedBytes(format, tokens, columns));
  const output = harness.output(tokens * rows * 4);
  const biasAddress = hasBias ? harness.place(paddedBias) : 0;
  const record = harness.record([
    address,
    scales,
    biasAddress,
    input,
    prepared,
    output,
    rows,
    columns,
    STEP_FIELDS.tokens,
    { f32: unit },
  ]);
  harness.step({ tokens });
  const { prepare, linear } = KERNELS[format];
  // In two slices each, as two threads would.
  const middle = Math.ceil(tokens / 2);
  if (prepare) {
    harness.call(prepare, record, middle, tokens);
    harness.call(prepare, record, 0, middle);
  }
  const blocks = Math.ceil(rows / BLOCK_ROWS);
  const slice = Math.ceil(blocks / 2);
  harness.call(linear, record, slice, blocks);
  harness.call(linear, record, 0, slice);

  const actual = harness.floats(output, tokens * rows);
  const weight = unpackMatrix(matrix);
  const isInteger = format.startsWith('q');
  const seen = isInteger ? roundToInt8(x) : x;
  expectClose('product', actual, linearReference(seen, weight, rows, columns, bias), 1e-5);
  // And what int8 costs: each of the activations is off by at most half a step of 1/127 of its group's largest.
  if (isInteger) expectClose('product in int8', actual, linearReference(x, weight, rows, columns, bias), 0.02);
  harness.checkGuards();
}

function runEmbed(harness: KernelHarness, format: WasmFormat, rows: number, columns: number): void {
  const random = new Random(rows + columns);
  const matrix = packMatrix(random.floats(rows * columns, 0.2), rows, columns, FORMATS[format]);
  const ids = Int32Array.from([0, rows - 1, rows >> 1, rows >> 2, 0]);
  const { address, scales, unit } = harness.placeMatrix(matrix);
  const output = harness.output(ids.length * columns * 4);
  const record = harness.record([address, scales, harness.place(ids), output, columns, { f32: unit }]);
  harness.call(KERNELS[format].embed, record, 2, ids.length);
  harness.call(KERNELS[format].embed, record, 0, 2);
  const table = unpackMatrix(matrix);
  const expected = [...ids].flatMap((id) => [...table.subarray(id * columns, (id + 1) * columns)]);
  expectClose('rows', harness.floats(output, ids.length * columns), expected, 0);
  harness.checkGuards();
}

const FORMAT_NAMES = Object.keys(KERNELS) as WasmFormat[];

const SHAPES: LinearShape[] = [
  { rows: 1, columns: 32, tokens: 1 },
  { rows: 3, columns: 64, tokens: 2 },
  { rows: 5, columns: 96, tokens: 3, hasBias: true },
  { rows: 33, columns: 352, tokens: 5 },
  { rows: 257, columns: 64, tokens: 17, hasBias: true },
  { rows: 257, columns: 1280, tokens: 1, hasBias: true },
  { rows: 33, columns: 1280, tokens: 65 },
  { rows: 8, columns: 4864, tokens: 4 },
  { rows: 16, columns: 64, tokens: 6, amplitude: 1e4 },
  { rows: 16, columns: 64, tokens: 6, amplitude: 1e-6 },
  // Halves that are subnormal, and such as may not be scaled up.
  { rows: 16, columns: 64, tokens: 6, weights: 1e-5 },
  { rows: 16, columns: 64, tokens: 6, weights: 1e4 },
];

export const LINEAR_CASES: readonly KernelCase[] = FORMAT_NAMES.flatMap((format) => {
  const narrow: LinearShape[] = [
    { rows: 6, columns: 172, tokens: 1 },
    { rows: 6, columns: 172, tokens: 5, hasBias: true },
    { rows: 7, columns: 45, tokens: 9 },
    { rows: 2, columns: 1, tokens: 3 },
  ];
  const shapes = format.startsWith('q') ? SHAPES : [...SHAPES, ...narrow];
  return [
    ...shapes.map((shape) => ({
      name:
        `linear ${format}: ${shape.tokens} × ${shape.columns} → ${shape.rows}` +
        `${shape.hasBias ? ' with a bias' : ''}${shape.amplitude ? `, numbers of ${shape.amplitude}` : ''}${shape.weights ? `, weights of ${shape.weights}` : ''}`,
      run: (harness: KernelHarness) => runLinear(harness, format, shape),
    })),
    ...[1, 3, 6, 33].map((rows) => ({
      name: `embed ${format}: ${rows} rows`,
      run: (harness: KernelHarness) => runEmbed(harness, format, rows, 96),
    })),
  ];
});
