// Runs an encoder's graph with the operations' references: the oracle of every backend's encoders, as reference-backend.ts is
// of decoders.

import type { EncoderProgram } from '../../runtime/backends/backend.ts';
import { registerEncoderOperations } from '../../runtime/ops/encoder-operations.ts';
import { runReference } from '../../runtime/ops/index.ts';
import type { Tensor } from '../../runtime/ops/operation.ts';
import { resolveShape } from '../../runtime/graph/shapes.ts';
import type { Dims, Graph, ValueId } from '../../runtime/graph/types.ts';
import type { PackedMatrix } from '../../runtime/quantization/formats.ts';
import { unpackMatrix } from '../../runtime/quantization/pack.ts';

export class ReferenceEncoder implements EncoderProgram {
  readonly #weights = new Map<string, Tensor>();

  constructor(readonly graph: Graph) {
    registerEncoderOperations();
  }

  setWeight(name: string, matrix: PackedMatrix): Promise<void> {
    const weight = this.graph.weights.find((candidate) => candidate.name === name);
    if (!weight) throw new Error(`The graph has no weight ${name}.`);
    this.#weights.set(name, { shape: weight.shape, data: unpackMatrix(matrix) });
    return Promise.resolve();
  }

  ready(): Promise<void> {
    return Promise.resolve();
  }

  run(inputs: Readonly<Record<string, Int32Array | Float32Array>>): Promise<Record<string, Float32Array<ArrayBuffer>>> {
    const { graph } = this;
    const dims: Record<string, number> = {};
    for (const [name, id] of Object.entries(graph.inputs)) {
      const [rows, ...others] = graph.values[id]!.shape;
      const size = others.reduce<number>((product, other) => product * (other as number), 1);
      if (typeof rows === 'string') dims[rows] ??= inputs[name]!.length / size;
    }
    const tensors = new Map<ValueId, Tensor>();
    for (const [name, id] of Object.entries(graph.inputs)) {
      const shape = resolveShape(graph.values[id]!.shape, dims as Dims);
      const count = shape.reduce((a, b) => a * b, 1);
      if (count !== inputs[name]!.length) throw new Error(`${name} has ${inputs[name]!.length} numbers, not ${count}.`);
      tensors.set(id, { shape, data: inputs[name]! });
    }
    const context = {
      weight: (name: string) => this.#weights.get(name)!,
      state: () => {
        throw new Error('Encoders have no state.');
      },
      past: 0,
    };
    for (const operation of graph.operations) {
      const given = operation.inputs.map((id) => tensors.get(id)!);
      runReference(operation, given, context).forEach((result, i) => tensors.set(operation.outputs[i]!, result));
    }
    const outputs = Object.entries(graph.outputs).map(([name, id]) => [name, tensors.get(id)!.data]);
    return Promise.resolve(Object.fromEntries(outputs) as Record<string, Float32Array<ArrayBuffer>>);
  }

  memory(): ReturnType<EncoderProgram['memory']> {
    return { weights: 0, keyValueCache: 0, activations: 0, other: 0 };
  }

  dispose(): void {
    this.#weights.clear();
  }
}
