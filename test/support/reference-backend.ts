// A backend that interprets a graph with the operations' references, so that models, generation and tasks can be tested
// from end to end in Node. It is the oracle: float64 sums, dequantised weights, no cleverness. It also runs graphs that are
// not lowered, which is how the passes are shown to preserve results. Far too slow for anything but tests.

import type {
  Backend,
  CompileOptions,
  MemoryUse,
  Program,
  ProgramProfile,
  StepInputs,
} from '../../runtime/backends/backend.ts';
import { WpError } from '../../runtime/errors.ts';
import { planActivations } from '../../runtime/graph/memory-plan.ts';
import { countElements, resolveShape } from '../../runtime/graph/shapes.ts';
import { stateBytes, weightBytesRead } from '../../runtime/graph/sizes.ts';
import type { Graph, ValueId } from '../../runtime/graph/types.ts';
import { runReference } from '../../runtime/ops/index.ts';
import type { Tensor } from '../../runtime/ops/operation.ts';
import { formatBytes, type PackedMatrix } from '../../runtime/quantization/formats.ts';
import { unpackMatrix } from '../../runtime/quantization/pack.ts';

export class ReferenceBackend implements Backend {
  /** The contract knows two names; the reference runs where WASM would. */
  readonly name = 'wasm';
  readonly description = 'Reference interpreter (tests only)';
  readonly lost = new Promise<never>(() => undefined);

  compile(graph: Graph, options: CompileOptions): Promise<ReferenceProgram> {
    return Promise.resolve(new ReferenceProgram(graph, options));
  }

  dispose(): void {
    // Nothing is held beside the programs.
  }
}

export class ReferenceProgram implements Program {
  readonly #graph: Graph;
  readonly #options: CompileOptions;
  readonly #weights = new Map<string, Tensor>();
  readonly #states = new Map<string, Tensor>();
  #weightBytes = 0;
  #disposed = false;

  constructor(graph: Graph, options: CompileOptions) {
    this.#graph = graph;
    this.#options = options;
    for (const state of graph.states) {
      const shape = resolveShape(state.shape, { context: options.contextLength });
      this.#states.set(state.name, { shape, data: new Float32Array(countElements(shape)) });
    }
  }

  setWeight(name: string, matrix: PackedMatrix): Promise<void> {
    return this.#attempt(() => {
      const weight = this.#graph.weights.find((candidate) => candidate.name === name);
      if (!weight) throw new WpError('invalid-argument', `The graph has no weight ${name}.`);
      const planned = this.#options.formats.get(name)?.name;
      if (planned !== matrix.format.name) {
        throw new WpError('invalid-argument', `${name} comes as ${matrix.format.name}; the plan says ${planned}.`);
      }
      const [rows, columns] = weight.shape.length === 1 ? [1, weight.shape[0]!] : (weight.shape as [number, number]);
      if (matrix.rows !== rows || matrix.columns !== columns) {
        throw new WpError(
          'invalid-argument',
          `${name} comes as ${matrix.rows} × ${matrix.columns}; the graph says ${rows} × ${columns}.`,
        );
      }
      this.#setNumbers(name, unpackMatrix(matrix));
      this.#weightBytes += formatBytes(matrix.format, rows, columns).total;
    });
  }

  /** For tests that have plain numbers: sets a weight without packing it, whatever its planned format. */
  setNumbers(name: string, numbers: Float32Array): void {
    this.#setNumbers(name, numbers);
    this.#weightBytes += numbers.byteLength;
  }

  ready(): Promise<void> {
    return this.#attempt(() => {
      const missing = this.#graph.weights.find(({ name }) => !this.#weights.has(name));
      if (missing) throw new WpError('missing-tensor', `The weight ${missing.name} was not set.`);
    });
  }

  run(inputs: StepInputs): Promise<Float32Array> {
    return this.#attempt(() => {
      const logits = this.runAll(inputs).get(this.#graph.outputs['logits']!);
      return logits!.data as Float32Array;
    });
  }

  /** Runs a step and returns every value: what a test of hidden states wants. */
  runAll({ tokenIds, rotary, outputRows, past }: StepInputs): Map<ValueId, Tensor> {
    const { contextLength, maxTokens, maxOutputs } = this.#options;
    const tokens = tokenIds.length;
    expectRange('tokens', tokens, 1, maxTokens);
    expectRange('outputs', outputRows.length, 0, maxOutputs);
    expectRange('past + tokens', past + tokens, 1, contextLength);
    const data: Record<string, Int32Array | Float32Array> = { tokenIds, rotary, outputRows };
    const dims = { batch: 1, tokens, past, outputs: outputRows.length, context: contextLength };
    const tensors = new Map<ValueId, Tensor>();
    for (const [name, id] of Object.entries(this.#graph.inputs)) {
      const shape = resolveShape(this.#graph.values[id]!.shape, dims);
      const numbers = data[name];
      if (!numbers) throw new WpError('internal', `A step has no input ${name}.`);
      expectRange(`the length of ${name}`, numbers.length, countElements(shape), countElements(shape));
      tensors.set(id, { shape, data: numbers });
    }
    const context = {
      weight: (name: string) => this.#weights.get(name)!,
      state: (name: string) => this.#states.get(name)!,
      past,
    };
    for (const operation of this.#graph.operations) {
      const results = runReference(
        operation,
        operation.inputs.map((id) => tensors.get(id)!),
        context,
      );
      operation.outputs.forEach((id, i) => tensors.set(id, results[i]!));
    }
    return tensors;
  }

  memory(): MemoryUse {
    const { contextLength, maxTokens, maxOutputs } = this.#options;
    const dims = { batch: 1, tokens: maxTokens, outputs: maxOutputs, context: contextLength };
    return {
      weights: this.#weightBytes,
      keyValueCache: stateBytes(this.#graph, contextLength),
      activations: planActivations(this.#graph, dims).totalBytes,
      other: 0,
    };
  }

  profile(): ProgramProfile {
    const bytesOf = new Map(
      this.#graph.weights.map(({ name, shape }) => {
        const [rows, columns] = shape.length === 1 ? [1, shape[0]!] : (shape as [number, number]);
        return [name, formatBytes(this.#options.formats.get(name) ?? { name: 'f32' }, rows, columns).total];
      }),
    );
    const oneToken = { tokens: 1, past: 0, outputs: 1 };
    return {
      dispatchesPerToken: this.#graph.operations.length,
      weightBytesPerToken: weightBytesRead(this.#graph, oneToken, ({ name }) => bytesOf.get(name)!),
      kernels: this.#graph.operations.map(({ op }) => ({ operation: op, variant: 'reference' })),
    };
  }

  dispose(): void {
    this.#disposed = true;
    this.#weights.clear();
    this.#states.clear();
  }

  #setNumbers(name: string, data: Float32Array): void {
    const shape = this.#graph.weights.find((weight) => weight.name === name)?.shape;
    if (!shape) throw new WpError('invalid-argument', `The graph has no weight ${name}.`);
    expectRange(`the length of ${name}`, data.length, countElements(shape), countElements(shape));
    this.#weights.set(name, { shape, data });
  }

  /** Synchronous work as a promise: what it throws rejects, and a disposed program always does. */
  #attempt<T>(work: () => T): Promise<T> {
    return new Promise((resolve) => {
      if (this.#disposed) throw new WpError('disposed', 'The program was disposed.');
      resolve(work());
    });
  }
}

function expectRange(what: string, actual: number, least: number, most: number): void {
  if (actual >= least && actual <= most) return;
  const allowed = least === most ? `${least}` : `${least} … ${most}`;
  throw new WpError('invalid-argument', `Reference backend: ${what} is ${actual}, allowed is ${allowed}.`, '', {
    actual,
    allowed,
  });
}
