// Matrix products of every format, with the preparation of their activations, and embeddings.

import { ACTIVATION_GROUP, BLOCK_ROWS } from '../../runtime/backends/wasm/layouts.ts';
import { rowOf } from '../../runtime/backends/wasm/rows.ts';
import { runReference } from '../../runtime/ops/index.ts';
import type { ReferenceContext } from '../../runtime/ops/operation.ts';
import {
  formatBytes,
  FORMATS,
  formatLimit,
  hasScaleCodes,
  isQuantized,
  type FormatName,
  type PackedMatrix,
} from '../../runtime/quantization/formats.ts';
import { toF16 } from '../../runtime/half.ts';
import { packMatrix, unpackMatrix } from '../../runtime/quantization/pack.ts';
import { Random } from '../support/random.ts';
import { expectClose, type KernelCase, type KernelHarness } from './kernel-harness.ts';

/** Weights of about a magnitude. Two-level scales: any bytes are codes, and such superblocks exist. */
function randomMatrix(random: Random, name: FormatName, rows: number, columns: number, weights: number): PackedMatrix {
  const format = FORMATS[name];
  if (!hasScaleCodes(format)) return packMatrix(random.floats(rows * columns, weights), rows, columns, format);
  const bytes = formatBytes(format, rows, columns);
  const randomBytes = (length: number) => Uint8Array.from({ length }, () => random.integer(0, 255));
  // Small enough for some of them to be subnormal.
  const halves = (length: number) => toF16(random.floats(length / 2, weights / 512));
  return {
    format,
    rows,
    columns,
    planes: bytes.planes.map(randomBytes),
    scales: halves(bytes.scales),
    minimums: halves(bytes.minimums),
    scaleCodes: randomBytes(bytes.scaleCodes),
  };
}

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

function runLinear(harness: KernelHarness, format: FormatName, shape: LinearShape): void {
  const { rows, columns, tokens, hasBias = false, amplitude = 3, weights = 0.2 } = shape;
  const random = new Random(rows * 7919 + columns * 31 + tokens);
  const matrix = randomMatrix(random, format, rows, columns, weights);
  const x = random.floats(tokens * columns, amplitude);
  if (tokens > 2) x.fill(0, columns, columns + ACTIVATION_GROUP); // a group without a largest number
  const bias = hasBias ? random.floats(rows, 1) : new Float32Array(rows);
  const paddedBias = new Float32Array(Math.ceil(rows / 4) * 4);
  paddedBias.set(bias);

  const placed = harness.placeMatrix(matrix);
  const call = harness.linear(placed, harness.place(x), tokens, hasBias ? harness.place(paddedBias) : 0);
  harness.step({ tokens });
  // In two slices each, as two threads would.
  const middle = Math.ceil(tokens / 2);
  if (call.prepare) {
    harness.call(call.prepare, call.record, middle, tokens);
    harness.call(call.prepare, call.record, 0, middle);
  }
  const blocks = Math.ceil(rows / BLOCK_ROWS);
  const slice = Math.ceil(blocks / 2);
  harness.call(call.linear, call.record, slice, blocks);
  harness.call(call.linear, call.record, 0, slice);

  const actual = harness.floats(call.output, tokens * rows);
  const weight = unpackMatrix(matrix);
  const isInteger = format.startsWith('q');
  const seen = isInteger ? roundToInt8(x) : x;
  expectClose('product', actual, linearReference(seen, weight, rows, columns, bias), 1e-5);
  // And what int8 costs: each of the activations is off by at most half a step of 1/127 of its group's largest.
  if (isInteger) expectClose('product in int8', actual, linearReference(x, weight, rows, columns, bias), 0.02);
  harness.checkGuards();
}

function runEmbed(harness: KernelHarness, format: FormatName, rows: number, columns: number): void {
  const random = new Random(rows + columns);
  const matrix = randomMatrix(random, format, rows, columns, 0.2);
  const ids = Int32Array.from([0, rows - 1, rows >> 1, rows >> 2, 0]);
  const placed = harness.placeMatrix(matrix);
  const row = rowOf(format);
  const output = harness.output(ids.length * columns * 4);
  const record = harness.record([
    placed.address,
    placed.scales,
    harness.place(ids),
    output,
    columns,
    { f32: placed.unit },
    placed.scaleCodes,
    placed.minimums,
    row.correction,
    row.bits,
    row.groupColumns,
  ]);
  harness.call(row.embed, record, 2, ids.length);
  harness.call(row.embed, record, 0, 2);
  const table = unpackMatrix(matrix);
  const expected = [...ids].flatMap((id) => [...table.subarray(id * columns, (id + 1) * columns)]);
  expectClose('rows', harness.floats(output, ids.length * columns), expected, 0);
  harness.checkGuards();
}

/** Of every kernel: what decides between its paths. Widths that a format does not take are left out. */
const SHAPES: readonly LinearShape[] = [
  { rows: 1, columns: 32, tokens: 1 },
  { rows: 3, columns: 256, tokens: 2 },
  { rows: 5, columns: 96, tokens: 3, hasBias: true },
  { rows: 33, columns: 512, tokens: 5, hasBias: true },
  // Halves that are subnormal, and such as may not be scaled up.
  { rows: 16, columns: 256, tokens: 6, weights: 1e-5 },
  { rows: 16, columns: 256, tokens: 6, weights: 1e4 },
];

/** Of the kernels that others are made like. */
const MORE_SHAPES: readonly LinearShape[] = [
  { rows: 33, columns: 352, tokens: 5 },
  { rows: 257, columns: 64, tokens: 17, hasBias: true },
  { rows: 257, columns: 1280, tokens: 1, hasBias: true },
  { rows: 33, columns: 1280, tokens: 65 },
  { rows: 8, columns: 4864, tokens: 4 },
  { rows: 16, columns: 64, tokens: 6, amplitude: 1e4 },
  { rows: 16, columns: 64, tokens: 6, amplitude: 1e-6 },
];

const NARROW_SHAPES: readonly LinearShape[] = [
  { rows: 6, columns: 172, tokens: 1 },
  { rows: 6, columns: 172, tokens: 5, hasBias: true },
  { rows: 7, columns: 45, tokens: 9 },
  { rows: 2, columns: 1, tokens: 3 },
];

const MEASURED_MOST: readonly string[] = ['q2g32', 'q3g32', 'q4g32', 'q8g32', 'f16', 'f32'];

function nameOf(format: FormatName, shape: LinearShape): string {
  const { rows, columns, tokens, hasBias, amplitude, weights } = shape;
  const notes = [
    hasBias ? ' with a bias' : '',
    amplitude ? `, numbers of ${amplitude}` : '',
    weights ? `, weights of ${weights}` : '',
  ];
  return `linear ${format}: ${tokens} × ${columns} → ${rows}${notes.join('')}`;
}

const FORMAT_NAMES = Object.keys(FORMATS) as FormatName[];

export const LINEAR_CASES: readonly KernelCase[] = FORMAT_NAMES.flatMap((format) => {
  const shapes = [
    ...SHAPES,
    ...(MEASURED_MOST.includes(format) ? MORE_SHAPES : []),
    ...(isQuantized(FORMATS[format]) ? [] : NARROW_SHAPES),
  ].filter(({ columns }) => formatLimit(FORMATS[format], columns) === undefined);
  const columns = formatLimit(FORMATS[format], 96) === undefined ? 96 : 512;
  return [
    ...shapes.map((shape) => ({
      name: nameOf(format, shape),
      run: (harness: KernelHarness) => runLinear(harness, format, shape),
    })),
    ...[1, 6, 33].map((rows) => ({
      name: `embed ${format}: ${rows} rows`,
      run: (harness: KernelHarness) => runEmbed(harness, format, rows, columns),
    })),
  ];
});
