// Norms, sums, gated activations and the choice of rows.

import type { KernelName } from '../../runtime/backends/wasm/tape.ts';
import { runReference, type OperationSpec } from '../../runtime/ops/index.ts';
import type { ReferenceContext, Tensor } from '../../runtime/ops/operation.ts';
import { Random } from '../support/random.ts';
import { expectClose, type KernelCase, type KernelHarness } from './kernel-harness.ts';

function context(weights: Record<string, Float32Array> = {}): ReferenceContext {
  return {
    weight: (name) => ({ shape: [weights[name]!.length], data: weights[name]! }),
    state: () => {
      throw new Error('These operations have no state.');
    },
    past: 0,
  };
}

function inTwo(harness: KernelHarness, kernel: KernelName, record: number, rows: number): void {
  const middle = Math.ceil(rows / 2);
  if (middle < rows) harness.call(kernel, record, middle, rows);
  harness.call(kernel, record, 0, middle);
}

function runNorm(harness: KernelHarness, rows: number, columns: number, isFused: boolean, amplitude: number): void {
  const random = new Random(rows + columns);
  const x = random.floats(rows * columns, amplitude);
  const residual = random.floats(rows * columns, amplitude);
  const weight = random.floats(columns, 2);
  const epsilon = 1e-5;
  const sum = harness.output(isFused ? rows * columns * 4 : 4);
  const output = harness.output(rows * columns * 4);
  const record = harness.record([
    harness.place(x),
    harness.place(residual),
    sum,
    harness.place(weight),
    output,
    columns,
    { f32: epsilon },
  ]);
  const op = isFused ? 'addRmsNorm' : 'rmsNorm';
  inTwo(harness, op, record, rows);
  const shape = [rows, columns];
  const inputs: Tensor[] = [{ shape, data: x }];
  if (isFused) inputs.push({ shape, data: residual });
  const results = runReference({ op, attributes: { weight: 'weight', epsilon } }, inputs, context({ weight }));
  expectClose('norm', harness.floats(output, rows * columns), results.at(-1)!.data, 2e-6);
  if (isFused) expectClose('sum', harness.floats(sum, rows * columns), results[0]!.data, 0);
  harness.checkGuards();
}

function runElementwise(
  harness: KernelHarness,
  kernel: KernelName,
  spec: OperationSpec,
  rows: number,
  columns: number,
  tolerance: number,
): void {
  const random = new Random(rows * columns);
  const isGated = spec.op === 'gatedActivation';
  const width = isGated ? 2 * columns : columns;
  const x = random.floats(rows * width, 12);
  // Where an exponential overflows or vanishes.
  x.set([-200, 200, 88.5, -88.5, 0, -0, 1e-20].slice(0, Math.min(7, columns)));
  const input: Tensor = { shape: [rows, width], data: x };
  const other: Tensor =
    spec.op === 'selectRows'
      ? { shape: [2], data: Int32Array.from([0, rows - 1]) }
      : { shape: [rows, columns], data: random.floats(rows * columns, 3) };
  const inputs = isGated ? [input] : [input, other];
  const expected = runReference(spec, inputs, context())[0]!;
  const outputRows = expected.shape[0]!;
  const output = harness.output(outputRows * columns * 4);
  const record = harness.record([harness.place(x), harness.place(other.data), output, columns]);
  inTwo(harness, kernel, record, outputRows);
  expectClose(kernel, harness.floats(output, outputRows * columns), expected.data, tolerance);
  harness.checkGuards();
}

/** The exponential itself, relative to each number: through silu(x) = x / (1 + e^−x), whose tail is x·e^x. */
function runSiluTail(harness: KernelHarness): void {
  const gate = Float32Array.from({ length: 4000 }, (_, i) => -60 + i * 0.01);
  const x = new Float32Array(8000).fill(1);
  x.set(gate);
  const output = harness.output(gate.length * 4);
  harness.call('gatedSilu', harness.record([harness.place(x), 0, output, gate.length]), 0, 1);
  const actual = harness.floats(output, gate.length);
  gate.forEach((value, i) => {
    const expected = value / (1 + Math.exp(-value));
    const relative = Math.abs(actual[i]! / expected - 1);
    if (!(relative < 1e-6))
      throw new Error(`silu(${value}) is ${actual[i]}, expected ${expected}: off by ${relative}.`);
  });
}

const SIZES: [number, number][] = [
  [1, 32],
  [3, 64],
  [5, 172],
  [2, 45],
  [17, 8],
  [2, 1280],
];

export const ROW_CASES: readonly KernelCase[] = [
  ...SIZES.flatMap(([rows, columns]): KernelCase[] => {
    const size = `${rows} × ${columns}`;
    const gated = (activation: 'silu' | 'gelu-tanh'): OperationSpec => ({
      op: 'gatedActivation',
      attributes: { activation },
    });
    return [
      { name: `rmsNorm ${size}`, run: (harness) => runNorm(harness, rows, columns, false, 3) },
      { name: `rmsNorm ${size}, tiny`, run: (harness) => runNorm(harness, rows, columns, false, 1e-4) },
      { name: `addRmsNorm ${size}`, run: (harness) => runNorm(harness, rows, columns, true, 3) },
      {
        name: `add ${size}`,
        run: (harness) => runElementwise(harness, 'add', { op: 'add', attributes: {} }, rows, columns, 0),
      },
      {
        name: `selectRows ${size}`,
        run: (harness) => runElementwise(harness, 'selectRows', { op: 'selectRows', attributes: {} }, rows, columns, 0),
      },
      {
        name: `gated silu ${size}`,
        run: (harness) => runElementwise(harness, 'gatedSilu', gated('silu'), rows, columns, 1e-6),
      },
      {
        name: `gated gelu ${size}`,
        run: (harness) => runElementwise(harness, 'gatedGelu', gated('gelu-tanh'), rows, columns, 1e-6),
      },
    ];
  }),
  { name: 'silu from −60 to −20, relative', run: runSiluTail },
];
