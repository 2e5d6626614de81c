// What every backend does first with the inputs of an encoder's step: sizes from lengths, and every index within what it points
// into, since a kernel that reads elsewhere reads another model's numbers or crashes.

import { WpError } from '../errors.ts';
import type { Graph, Operation, ValueId } from './types.ts';

export type StepNumbers = Readonly<Record<string, Int32Array | Float32Array>>;

export interface EncoderStepSizes {
  tokens: number;
  outputs: number;
}

/**
 * The rows of a step. Throws `invalid-argument` for an input that is missing or of another type, for lengths that do not
 * belong together or exceed `limits`, and for ids, rows and spans that point outside.
 */
export function encoderStep(
  graph: Graph,
  inputs: StepNumbers,
  limits: { maxTokens: number; maxOutputs: number },
): EncoderStepSizes {
  const sizes: Partial<EncoderStepSizes> = {};
  for (const [name, id] of Object.entries(graph.inputs)) {
    const { dtype, shape } = graph.values[id]!;
    const numbers = inputs[name];
    if (!(dtype === 'f32' ? numbers instanceof Float32Array : numbers instanceof Int32Array)) {
      fail(
        `the input ${name} is missing or no ${dtype === 'f32' ? 'Float32Array' : 'Int32Array'}`,
        typeof numbers,
        dtype,
      );
    }
    const [rows, ...others] = shape;
    const width = others.reduce<number>((product, size) => product * (size as number), 1);
    const count = numbers!.length / width;
    if (rows === 'tokens' || rows === 'outputs') {
      const most = rows === 'tokens' ? limits.maxTokens : limits.maxOutputs;
      sizes[rows] ??= count;
      if (!Number.isInteger(count) || count < 1 || count > most)
        fail(`${name} has ${count} rows`, count, `1 … ${most}`);
      if (count !== sizes[rows]) fail(`${name} has ${count} rows, another input ${sizes[rows]}`, count, sizes[rows]);
    } else if (count !== rows) {
      fail(`${name} has ${numbers!.length} numbers`, numbers!.length, Number(rows) * width);
    }
  }
  const known = { tokens: sizes.tokens ?? 0, outputs: sizes.outputs ?? 0 };
  for (const operation of graph.operations) checkIndices(graph, operation, inputs, known);
  return known;
}

/** Rows that a value has in this step. */
export function rowsOfStep(graph: Graph, id: ValueId, sizes: EncoderStepSizes): number {
  const rows = graph.values[id]!.shape[0];
  if (typeof rows === 'number') return rows;
  if (rows === 'tokens' || rows === 'outputs') return sizes[rows];
  throw new WpError('unsupported-operation', `Encoders have no rows of ${String(rows)}.`);
}

function checkIndices(graph: Graph, operation: Operation, inputs: StepNumbers, sizes: EncoderStepSizes): void {
  const numbersOf = (id: ValueId | undefined): Int32Array | undefined => {
    const name = Object.keys(graph.inputs).find((candidate) => graph.inputs[candidate] === id);
    const numbers = name === undefined ? undefined : inputs[name];
    return numbers instanceof Int32Array ? numbers : undefined;
  };
  const within = (what: string, numbers: Int32Array | undefined, most: number) => {
    for (const index of numbers ?? []) if (index < 0 || index > most) fail(`${what} is ${index}`, index, `0 … ${most}`);
  };
  const rows = (index: number) => rowsOfStep(graph, operation.inputs[index]!, sizes);
  switch (operation.op) {
    case 'embed': {
      const table = graph.weights.find(({ name }) => name === operation.attributes.weight)!;
      return within('an id', numbersOf(operation.inputs[0]), table.shape[0]! - 1);
    }
    case 'selectRows':
      return within('a row', numbersOf(operation.inputs[1]), rows(0) - 1);
    case 'meanRows':
      return within('the end of a range', numbersOf(operation.inputs[1]), rows(0));
    case 'attend': {
      const { segments, relativeBias } = operation.attributes;
      if (!segments) within('the end of a span', numbersOf(operation.inputs[3]), rows(1));
      if (relativeBias) within('a bucket', numbersOf(operation.inputs.at(-1)), relativeBias.buckets - 1);
      return;
    }
    default:
      return;
  }
}

function fail(problem: string, actual: unknown, allowed: unknown): never {
  throw new WpError('invalid-argument', `An encoder's step: ${problem}; allowed is ${String(allowed)}.`, '', {
    actual,
    allowed,
  });
}
