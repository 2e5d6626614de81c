import type { Activation } from '../graph/types.ts';
import { erf } from './erf.ts';
import { expectInputs, expectMatrix, expectThat, tensor, type OperationDefinition } from './operation.ts';

/**
 * What each name computes. `gelu` is exact (x·Φ(x)), `gelu-tanh` PyTorch's approximation (`gelu_new`, `gelu_pytorch_tanh`),
 * `gelu-quick` x·sigmoid(1.702 x) as CLIP was trained with. Source: https://arxiv.org/abs/1606.08415.
 */
export const ACTIVATIONS: Readonly<Record<Activation, (x: number) => number>> = {
  gelu: (x) => 0.5 * x * (1 + erf(x * Math.SQRT1_2)),
  'gelu-tanh': (x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
  'gelu-quick': (x) => x / (1 + Math.exp(-1.702 * x)),
  silu: (x) => x / (1 + Math.exp(-x)),
  relu: (x) => Math.max(0, x),
  tanh: Math.tanh,
  sigmoid: (x) => 1 / (1 + Math.exp(-x)),
};

/** x [n, columns] → f(x), number by number. */
export const activation: OperationDefinition<'activation'> = {
  name: 'activation',
  inputs: ['x'],
  outputs: ['activated'],
  weights: () => [],
  states: () => [],

  shape(inputs, attributes) {
    expectInputs('activation', inputs.length, 1);
    expectThat('activation', attributes.activation in ACTIVATIONS, `${attributes.activation} is not known.`);
    return [expectMatrix('activation', 'x', inputs[0])];
  },

  reference([x], attributes) {
    const apply = ACTIVATIONS[attributes.activation];
    return [tensor(x!.shape, Float32Array.from(x!.data, apply))];
  },

  cost: ([x]) => ({ flops: 10 * x![0]! * x![1]!, bytes: 0 }),
};

/** (gate | up) [n, 2·width] → gelu(gate) × up [n, width]; gelu by erf. Source: https://arxiv.org/abs/2002.05202. */
export const gatedGelu: OperationDefinition<'gatedGelu'> = {
  name: 'gatedGelu',
  inputs: ['gateAndUp'],
  outputs: ['activated'],
  weights: () => [],
  states: () => [],

  shape(inputs) {
    expectInputs('gatedGelu', inputs.length, 1);
    const [n, columns] = expectMatrix('gatedGelu', 'gateAndUp', inputs[0]);
    expectThat('gatedGelu', typeof columns === 'number' && columns % 2 === 0, `${columns} columns have no half.`);
    return [[n, (columns as number) / 2]];
  },

  reference([x]) {
    const [n, columns] = x!.shape as readonly [number, number];
    const width = columns / 2;
    const out = tensor([n, width]);
    for (let i = 0; i < out.data.length; i++) {
      const at = Math.floor(i / width) * columns + (i % width);
      out.data[i] = ACTIVATIONS.gelu(x!.data[at]!) * x!.data[at + width]!;
    }
    return [out];
  },

  cost: ([x]) => ({ flops: 6 * x![0]! * x![1]!, bytes: 0 }),
};
