import { expectDim, expectInputs, expectMatrix, expectThat, tensor, type OperationDefinition } from './operation.ts';

/**
 * gateAndUp [n, 2·width] → [n, width] = activation(gate) × up; the first half of a row is the gate, the second up.
 * Authored form: (gate, up), each [n, width]; the pass fuse-gate-up stacks them. `silu` is x·sigmoid(x); `gelu-tanh` is
 * the approximation 0.5·x·(1 + tanh(√(2/π)·(x + 0.044715·x³))). Source: Shazeer 2020, https://arxiv.org/abs/2002.05202.
 */
export const gatedActivation: OperationDefinition<'gatedActivation'> = {
  name: 'gatedActivation',
  inputs: ['gateAndUp'],
  authoredInputs: ['gate', 'up'],
  outputs: ['activated'],
  weights: () => [],
  states: () => [],

  shape(inputs) {
    expectInputs('gatedActivation', inputs.length, 1, 2);
    const [n, columns] = expectMatrix('gatedActivation', 'the gate', inputs[0]);
    if (inputs.length === 2) {
      const [upN, upColumns] = expectMatrix('gatedActivation', 'up', inputs[1]);
      expectDim('gatedActivation', 'the rows of up', upN, n);
      expectDim('gatedActivation', 'the columns of up', upColumns, columns);
      return [[n, columns]];
    }
    expectThat(
      'gatedActivation',
      typeof columns === 'number' && columns % 2 === 0,
      `gate and up together must be an even number of columns, not ${columns}.`,
      { actual: columns },
    );
    return [[n, Number(columns) / 2]];
  },

  reference(inputs, { activation }) {
    const isStacked = inputs.length === 1;
    const gate = inputs[0]!;
    const up = inputs[1] ?? gate;
    const columns = gate.shape[1]!;
    const width = isStacked ? columns / 2 : columns;
    const out = tensor([gate.shape[0]!, width]);
    const activate = ACTIVATIONS[activation];
    for (let row = 0; row < gate.shape[0]!; row++) {
      for (let i = 0; i < width; i++) {
        const upValue = up.data[row * columns + i + (isStacked ? width : 0)]!;
        out.data[row * width + i] = activate(gate.data[row * columns + i]!) * upValue;
      }
    }
    return [out];
  },

  cost(inputs) {
    const numbers = inputs[0]![0]! * inputs[0]![1]!;
    return { flops: 4 * (inputs.length === 1 ? numbers / 2 : numbers), bytes: 0 };
  },
};

const ACTIVATIONS = {
  silu: (x: number) => x / (1 + Math.exp(-x)),
  'gelu-tanh': (x: number) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
};
