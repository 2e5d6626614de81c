// Learned rows that no id chooses: positions of patches, class tokens, queries of a pooling head. Their weights are vectors,
// so that no policy quantises them: they are a thousandth of the bytes.

import {
  expectDim,
  expectInputs,
  expectMatrix,
  expectThat,
  expectVector,
  tensor,
  type OperationDefinition,
} from './operation.ts';

/** Rows of a table of so many numbers; throws unless they are whole. */
function tableRowCount(op: string, weight: string, shape: readonly number[], columns: unknown): number {
  const numbers = expectVector(op, weight, shape) as number;
  const rows = typeof columns === 'number' ? numbers / columns : NaN;
  expectThat(
    op,
    Number.isInteger(rows) && rows > 0,
    `${weight} of ${numbers} numbers has no rows of ${String(columns)}.`,
  );
  return rows;
}

export const tableRows: OperationDefinition<'tableRows'> = {
  name: 'tableRows',
  inputs: [],
  outputs: ['rows'],
  weights: ({ weight }) => [weight],
  states: () => [],

  shape(inputs, { weight, count, columns }, context) {
    expectInputs('tableRows', inputs.length, 0);
    tableRowCount('tableRows', weight, context.weightShape(weight), columns);
    return [[count, columns]];
  },

  reference(_, { weight, count, columns }, context) {
    const table = context.weight(weight).data;
    return [
      tensor(
        [count, columns],
        Float32Array.from({ length: count * columns }, (_, i) => table[i % table.length]!),
      ),
    ];
  },

  cost: (_, { weight }, context) => ({ flops: 0, bytes: context.weightBytes(weight) }),
};

export const addTable: OperationDefinition<'addTable'> = {
  name: 'addTable',
  inputs: ['x'],
  outputs: ['sum'],
  weights: ({ weight }) => [weight],
  states: () => [],

  shape(inputs, { weight }, context) {
    expectInputs('addTable', inputs.length, 1);
    const [n, columns] = expectMatrix('addTable', 'x', inputs[0]);
    tableRowCount('addTable', weight, context.weightShape(weight), columns);
    return [[n, columns]];
  },

  reference([x], { weight }, context) {
    const table = context.weight(weight).data;
    return [
      tensor(
        x!.shape,
        Float32Array.from(x!.data, (value, i) => value + table[i % table.length]!),
      ),
    ];
  },

  cost: ([x], { weight }, context) => ({ flops: x![0]! * x![1]!, bytes: context.weightBytes(weight) }),
};

export const insertRows: OperationDefinition<'insertRows'> = {
  name: 'insertRows',
  inputs: ['x'],
  outputs: ['rows'],
  weights: ({ weight }) => [weight],
  states: () => [],

  shape(inputs, { weight, every, at }, context) {
    expectInputs('insertRows', inputs.length, 1);
    const [n, columns] = expectMatrix('insertRows', 'x', inputs[0]);
    const rows = tableRowCount('insertRows', weight, context.weightShape(weight), columns);
    const groups = typeof n === 'number' ? n / every : NaN;
    expectThat('insertRows', Number.isInteger(groups), `${String(n)} rows are no groups of ${every}.`);
    expectThat(
      'insertRows',
      Number.isInteger(at) && at >= 0 && at <= every,
      `rows cannot be put at ${at} of ${every}.`,
    );
    return [[groups * (rows + every), columns]];
  },

  reference([x], { weight, every, at }, context) {
    const [n, columns] = x!.shape as readonly [number, number];
    const table = context.weight(weight).data;
    const group = table.length + every * columns;
    const out = tensor([(n / every) * (group / columns), columns]);
    for (let i = 0; i < n / every; i++) {
      const rows = x!.data.subarray(i * every * columns, (i + 1) * every * columns);
      out.data.set(rows.subarray(0, at * columns), i * group);
      out.data.set(table, i * group + at * columns);
      out.data.set(rows.subarray(at * columns), i * group + at * columns + table.length);
    }
    return [out];
  },

  cost: (_, { weight }, context) => ({ flops: 0, bytes: context.weightBytes(weight) }),
};

/** x times a factor, and each column times its number of the weight [columns]: the layer scale of DINOv2, or a mean of two. */
export const scaleColumns: OperationDefinition<'scaleColumns'> = {
  name: 'scaleColumns',
  inputs: ['x'],
  outputs: ['scaled'],
  weights: ({ weight }) => (weight === undefined ? [] : [weight]),
  states: () => [],

  shape(inputs, { weight }, context) {
    expectInputs('scaleColumns', inputs.length, 1);
    const [n, columns] = expectMatrix('scaleColumns', 'x', inputs[0]);
    if (weight !== undefined) {
      const length = expectVector('scaleColumns', weight, context.weightShape(weight));
      expectDim('scaleColumns', `the length of ${weight}`, length, columns);
    }
    return [[n, columns]];
  },

  reference([x], { weight, factor }, context) {
    const scales = weight === undefined ? Float32Array.of(1) : context.weight(weight).data;
    return [
      tensor(
        x!.shape,
        Float32Array.from(x!.data, (value, i) => value * factor * scales[i % scales.length]!),
      ),
    ];
  },

  cost: ([x], { weight }, context) => ({
    flops: x![0]! * x![1]!,
    bytes: weight === undefined ? 0 : context.weightBytes(weight),
  }),
};

/** The columns of a [n, …], then those of b [n, …]. */
export const concatColumns: OperationDefinition<'concatColumns'> = {
  name: 'concatColumns',
  inputs: ['a', 'b'],
  outputs: ['rows'],
  weights: () => [],
  states: () => [],

  shape(inputs) {
    expectInputs('concatColumns', inputs.length, 2);
    const [n, first] = expectMatrix('concatColumns', 'a', inputs[0]);
    const [m, second] = expectMatrix('concatColumns', 'b', inputs[1]);
    expectDim('concatColumns', 'the rows of b', m, n);
    expectThat('concatColumns', typeof first === 'number' && typeof second === 'number', 'the columns must be known.');
    return [[n, (first as number) + (second as number)]];
  },

  reference([a, b]) {
    const [n, first] = a!.shape as readonly [number, number];
    const second = b!.shape[1]!;
    const out = tensor([n, first + second]);
    for (let row = 0; row < n; row++) {
      out.data.set(a!.data.subarray(row * first, (row + 1) * first), row * (first + second));
      out.data.set(b!.data.subarray(row * second, (row + 1) * second), row * (first + second) + first);
    }
    return [out];
  },

  cost: () => ({ flops: 0, bytes: 0 }),
};
