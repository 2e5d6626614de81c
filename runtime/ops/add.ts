import { expectDim, expectInputs, expectMatrix, tensor, type OperationDefinition } from './operation.ts';

/** (a, b), both [n, columns] → a + b. Nothing is broadcast. */
export const add: OperationDefinition<'add'> = {
  name: 'add',
  inputs: ['a', 'b'],
  outputs: ['sum'],
  weights: () => [],
  states: () => [],

  shape(inputs) {
    expectInputs('add', inputs.length, 2);
    const [n, columns] = expectMatrix('add', 'a', inputs[0]);
    const [otherN, otherColumns] = expectMatrix('add', 'b', inputs[1]);
    expectDim('add', 'the rows of b', otherN, n);
    expectDim('add', 'the columns of b', otherColumns, columns);
    return [[n, columns]];
  },

  reference([a, b]) {
    const out = tensor(a!.shape);
    for (let i = 0; i < out.data.length; i++) out.data[i] = a!.data[i]! + b!.data[i]!;
    return [out];
  },

  cost([a]) {
    return { flops: a![0]! * a![1]!, bytes: 0 };
  },
};
