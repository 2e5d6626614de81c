// How a family writes its graph: one method an operation, in the plain form of a paper (queries, keys and values apart,
// gate and up apart, add and norm apart). `lower` (passes/index.ts) makes the fused form that backends run.
//
//   const b = new GraphBuilder();
//   const ids = b.input('tokenIds', 'i32', ['tokens']);
//   const table = b.weight('model.embed_tokens.weight', { shape: [vocabulary, columns], role: 'embedding' });
//   let x = b.embed(ids, table);
//   for (let i = 0; i < layers; i++) x = b.layer(i, () => decoderLayer(b, x, config));
//   b.output('logits', b.linear(x, b.weight('lm_head.weight', { shape: [vocabulary, columns], role: 'output' })));
//   const graph = b.build();

import { WpError } from '../errors.ts';
import { shapesOf } from '../ops/index.ts';
import { sameShape } from './shapes.ts';
import type {
  DType,
  Graph,
  Operation,
  OperationAttributes,
  OperationName,
  Shape,
  State,
  Value,
  ValueId,
  Weight,
  WeightRole,
} from './types.ts';
import { validateGraph } from './validate.ts';

export interface WeightOptions {
  /** [rows, columns] of a matrix, [columns] of a vector. */
  shape: readonly number[];
  role: WeightRole;
  /** Default: the layer that is being built. */
  layer?: number | undefined;
  /** Default: the one tensor that has the weight's name. */
  parts?: Weight['parts'] | undefined;
}

export interface StateOptions {
  shape: Shape;
  kind: State['kind'];
  /** Default: the layer that is being built. */
  layer?: number | undefined;
}

export class GraphBuilder {
  readonly #operations: Operation[] = [];
  readonly #values: Value[] = [];
  readonly #inputs: Record<string, ValueId> = {};
  readonly #outputs: Record<string, ValueId> = {};
  readonly #weights = new Map<string, Weight>();
  readonly #states = new Map<string, State>();
  #layer: number | undefined;

  /** A value that the caller of the program provides at each step. */
  input(name: string, dtype: DType, shape: Shape): ValueId {
    if (name in this.#inputs) throw duplicate('input', name);
    return (this.#inputs[name] = this.#value(name, dtype, shape));
  }

  /** Names a value that the program returns. */
  output(name: string, value: ValueId): void {
    if (name in this.#outputs) throw duplicate('output', name);
    this.#outputs[name] = value;
  }

  /**
   * Declares a checkpoint tensor and returns its name, which the operations take. Declaring one tensor again is allowed
   * (tied embeddings): the first declaration's role stays. Throws `internal` if the shapes differ.
   */
  weight(name: string, { shape, role, layer = this.#layer, parts }: WeightOptions): string {
    const known = this.#weights.get(name);
    if (known === undefined) {
      this.#weights.set(name, { name, shape, role, layer, parts: parts ?? [{ tensor: name, rows: shape[0]! }] });
    } else if (!sameShape(known.shape, shape)) {
      throw new WpError(
        'internal',
        `The weight ${name} is declared as [${String(known.shape)}] and [${String(shape)}].`,
      );
    }
    return name;
  }

  /** Declares state that outlives a step and returns its name. */
  state(name: string, { shape, kind, layer = this.#layer }: StateOptions): string {
    if (this.#states.has(name)) throw duplicate('state', name);
    if (layer === undefined) throw new WpError('internal', `The state ${name} belongs to no layer.`);
    this.#states.set(name, { name, dtype: 'f16', shape, layer, kind });
    return name;
  }

  /** Builds one layer: what `build` adds, operations and weights, belongs to it. Layers do not nest. */
  layer<T>(index: number, build: () => T): T {
    if (this.#layer !== undefined)
      throw new WpError('internal', `Layer ${index} is built inside layer ${this.#layer}.`);
    this.#layer = index;
    try {
      return build();
    } finally {
      this.#layer = undefined;
    }
  }

  embed(ids: ValueId, weight: string): ValueId {
    return this.operation('embed', [ids], { weight });
  }

  rmsNorm(x: ValueId, attributes: OperationAttributes['rmsNorm']): ValueId {
    return this.operation('rmsNorm', [x], attributes);
  }

  linear(x: ValueId, weight: string, bias?: string): ValueId {
    return this.operation('linear', [x], bias === undefined ? { weight } : { weight, bias });
  }

  add(a: ValueId, b: ValueId): ValueId {
    return this.operation('add', [a, b], {});
  }

  gatedActivation(gate: ValueId, up: ValueId, attributes: OperationAttributes['gatedActivation']): ValueId {
    return this.operation('gatedActivation', [gate, up], attributes);
  }

  /** Rotates, writes keys and values to the caches; returns the rotated queries. */
  rotaryCache(
    inputs: { queries: ValueId; keys: ValueId; values: ValueId; rotary: ValueId },
    attributes: OperationAttributes['rotaryCache'],
  ): ValueId {
    return this.operation('rotaryCache', [inputs.queries, inputs.keys, inputs.values, inputs.rotary], attributes);
  }

  attention(queries: ValueId, attributes: OperationAttributes['attention']): ValueId {
    return this.operation('attention', [queries], attributes);
  }

  selectRows(x: ValueId, rows: ValueId): ValueId {
    return this.operation('selectRows', [x, rows], {});
  }

  /** The graph, checked (validateGraph). The builder may go on and build a longer one. */
  build(): Graph {
    const graph: Graph = {
      operations: [...this.#operations],
      values: [...this.#values],
      inputs: { ...this.#inputs },
      outputs: { ...this.#outputs },
      weights: [...this.#weights.values()],
      states: [...this.#states.values()],
    };
    validateGraph(graph);
    return graph;
  }

  #value(name: string, dtype: DType, shape: Shape): ValueId {
    const id = this.#values.length;
    this.#values.push({ id, name, dtype, shape });
    return id;
  }

  /** Appends an operation with a single output, whose shape its rule infers. */
  protected operation<Name extends OperationName>(
    op: Name,
    inputs: ValueId[],
    attributes: OperationAttributes[Name],
  ): ValueId {
    // TypeScript does not see that a generic name and its attributes make a member of the union.
    const spec = { op, attributes } as Pick<Operation, 'op' | 'attributes'>;
    const shapes = shapesOf(
      spec,
      inputs.map((id) => this.#shapeOf(op, id)),
      { weightShape: (name) => this.#weightShape(op, name) },
    );
    const prefix = this.#layer === undefined ? '' : `layer${this.#layer}.`;
    const output = this.#value(`${prefix}${op}.${this.#operations.length}`, 'f32', shapes[0]!);
    this.#operations.push({ ...spec, inputs, outputs: [output], layer: this.#layer } as Operation);
    return output;
  }

  #shapeOf(op: string, id: ValueId): Shape {
    const value = this.#values[id];
    if (value) return value.shape;
    throw new WpError('internal', `${op}: there is no value ${id}.`);
  }

  #weightShape(op: string, name: string): readonly number[] {
    const weight = this.#weights.get(name);
    if (weight) return weight.shape;
    throw new WpError('internal', `${op}: the weight ${name} is not declared.`, 'Declare it with weight() first.');
  }
}

function duplicate(what: string, name: string): WpError {
  return new WpError('internal', `The graph has two ${what}s named ${name}.`);
}
