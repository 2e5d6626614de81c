// An encoder's graph → WebNN's, for one shape. Values are matrices as in the graph, with the rows of a rectangle where the graph
// says tokens: text i has rows i·length … of it.

import { WpError } from '../../errors.ts';
import type { Graph, Operation, Shape as GraphShape, ValueId } from '../../graph/types.ts';
import { activate, activateGated } from './activations.ts';
import { Attention } from './attention.ts';
import type { CheckedBuilder } from './checked-builder.ts';
import { Constants, type ConstantOptions } from './constants.ts';
import { type Feed, meanMatrix, OUT_OF_SIGHT, outputRows, paddingMask, type Run, tokenRows } from './feeds.ts';
import { Images } from './images.ts';
import type { MLDataType, MLOperand } from './ml-api.ts';
import { rowsOf, type Shape } from './rectangles.ts';
import { unsupported } from './support.ts';
import type { WeightStore } from './weight-store.ts';

/** Tables of more bytes than this are read by the host: each compiled shape would have a copy of its own. */
const TABLE_BYTES = 1 << 20;

export interface EmittedGraph {
  feeds: readonly Feed[];
  /** In f32, by the names of the graph's outputs. */
  outputs: Readonly<Record<string, MLOperand>>;
  constantBytes: number;
}

export function emitGraph(
  graph: Graph,
  b: CheckedBuilder,
  store: WeightStore,
  shape: Shape,
  options: ConstantOptions,
): EmittedGraph {
  return new Emitter(graph, b, store, shape, options).emit();
}

class Emitter {
  readonly #values = new Map<ValueId, MLOperand>();
  readonly #feeds = new Map<string, { feed: Feed; operand: MLOperand }>();
  readonly #constants: Constants;
  readonly #attention: Attention;
  readonly #images: Images;
  readonly #inputNames: ReadonlyMap<ValueId, string>;

  constructor(
    private readonly graph: Graph,
    private readonly b: CheckedBuilder,
    private readonly store: WeightStore,
    private readonly shape: Shape,
    options: ConstantOptions,
  ) {
    this.#constants = new Constants(b, store, options);
    this.#attention = new Attention(b, this.#constants, () => this.#padding());
    this.#images = new Images(b, this.#constants);
    this.#inputNames = new Map(Object.entries(graph.inputs).map(([name, id]) => [id, name]));
  }

  emit(): EmittedGraph {
    for (const operation of this.graph.operations) this.#values.set(operation.outputs[0]!, this.#operation(operation));
    const outputs = Object.entries(this.graph.outputs).map(
      ([name, id]) => [name, this.b.cast(this.#value(id), 'float32')] as const,
    );
    return {
      feeds: [...this.#feeds.values()].map(({ feed }) => feed),
      outputs: Object.fromEntries(outputs),
      constantBytes: this.#constants.bytes,
    };
  }

  #operation(operation: Operation): MLOperand {
    const b = this.b;
    const constants = this.#constants;
    const [first, second] = operation.inputs as [ValueId, ValueId];
    const x = () => this.#value(first);
    switch (operation.op) {
      case 'embed':
        return this.#embed(operation.attributes.weight, first);
      case 'linear': {
        const { weight, bias } = operation.attributes;
        return b.linear(x(), constants.matrix(weight), bias === undefined ? undefined : constants.vector(bias));
      }
      case 'add':
        return b.add(x(), this.#value(second));
      case 'layerNorm': {
        const { weight, bias, epsilon } = operation.attributes;
        const shift = bias === undefined ? undefined : constants.vector(bias);
        return b.layerNorm(x(), constants.vector(weight), shift, epsilon);
      }
      case 'activation':
        return activate(b, x(), operation.attributes.activation);
      case 'gatedGelu':
        return activateGated(b, x(), 'gelu');
      case 'gatedActivation':
        return activateGated(b, x(), operation.attributes.activation);
      case 'attend':
        return this.#attend(operation);
      case 'rotate':
        return this.#attention.rotate(x(), this.#value(second), operation.attributes);
      case 'selectRows':
        return b.gather(x(), this.#rows(second, first));
      case 'meanRows':
        return b.binary('matmul', this.#means(second, first), x());
      case 'normalizeRows':
        return b.binary('div', x(), b.binary('max', b.norm(x()), b.scalar(operation.attributes.epsilon)));
      case 'scaleColumns': {
        const { weight, factor } = operation.attributes;
        const scaled = b.scale(x(), factor);
        return weight === undefined ? scaled : b.mul(scaled, constants.vector(weight));
      }
      case 'concatColumns':
        return b.concat([x(), this.#value(second)], 1);
      case 'tableRows': {
        const { weight, count, columns } = operation.attributes;
        return this.#table(weight, count, columns);
      }
      case 'addTable': {
        const [rows, columns] = x().shape as [number, number];
        const each = constants.length(operation.attributes.weight) / columns;
        if (rows % each !== 0) return b.add(x(), this.#table(operation.attributes.weight, rows, columns));
        const table = constants.arranged(operation.attributes.weight, 'table', [1, each, columns]);
        return b.reshape(b.add(b.reshape(x(), [rows / each, each, columns]), table), [rows, columns]);
      }
      case 'insertRows':
        return this.#insertRows(x(), operation.attributes);
      case 'unfold':
        return this.#images.unfold(x(), operation.attributes);
      case 'conv2d':
        return this.#images.conv2d(x(), operation.attributes);
      case 'convTranspose2d':
        return this.#images.convTranspose2d(x(), operation.attributes);
      case 'groupNorm':
        return this.#images.groupNorm(x(), operation.attributes);
      case 'upsample':
        return this.#images.upsample(x(), operation.attributes);
      default:
        throw unsupported(`no ${operation.op}, as all that keeps a cache`);
    }
  }

  #embed(weight: string, ids: ValueId): MLOperand {
    const [rows, columns] = this.store.shape(weight) as [number, number];
    const name = this.#inputNames.get(ids);
    if (name === undefined) throw unsupported('no rows of a table by ids that the graph computes');
    const count = this.#rowCount(this.graph.values[ids]!.shape);
    if (rows * columns * 4 <= TABLE_BYTES) {
      const indices = this.#feed(name, 'int32', [count], (run) => this.#placed(name, ids, run));
      return this.b.gather(this.#constants.arranged(weight, 'table', [rows, columns]), indices);
    }
    return this.#feed(`${name} in ${weight}`, this.b.real, [count, columns], (run) => {
      const out = new Float32Array(count * columns);
      this.#placed(name, ids, run).forEach((id, row) => out.set(this.store.row(weight, id), row * columns));
      return out;
    });
  }

  #attend({ attributes, inputs }: Extract<Operation, { op: 'attend' }>): MLOperand {
    const [queries, keys, values] = inputs.slice(0, 3).map((id) => this.#value(id)) as [
      MLOperand,
      MLOperand,
      MLOperand,
    ];
    const { segments, relativeBias } = attributes;
    const groups = segments
      ? { count: queries.shape[0]! / segments.queries, ...segments }
      : { count: this.shape.batch, queries: this.shape.length, keys: this.shape.length };
    const buckets = relativeBias ? this.#integers(inputs.at(-1)!) : undefined;
    return this.#attention.attend({ queries, keys, values, buckets }, attributes, groups);
  }

  #insertRows(x: MLOperand, { weight, every, at }: Extract<Operation, { op: 'insertRows' }>['attributes']): MLOperand {
    const { b } = this;
    const [rows, columns] = x.shape as [number, number];
    const groups = rows / every;
    const more = this.#constants.length(weight) / columns;
    const table = b.reshape(this.#table(weight, groups * more, columns), [groups, more, columns]);
    const apart = b.reshape(x, [groups, every, columns]);
    const parts = [
      ...(at > 0 ? [b.slice(apart, 1, 0, at)] : []),
      table,
      ...(at < every ? [b.slice(apart, 1, at, every - at)] : []),
    ];
    return b.reshape(b.concat(parts, 1), [groups * (every + more), columns]);
  }

  /** So many rows of a table, over and over. */
  #table(weight: string, count: number, columns: number): MLOperand {
    return this.#constants.arranged(weight, `${count} rows`, [count, columns], (numbers) =>
      Float32Array.from({ length: count * columns }, (_, i) => numbers[i % numbers.length]!),
    );
  }

  #value(id: ValueId): MLOperand {
    const known = this.#values.get(id);
    if (known) return known;
    const name = this.#inputNames.get(id);
    const { shape, dtype, name: valueName } = this.graph.values[id]!;
    if (name === undefined || dtype !== 'f32') {
      throw new WpError('internal', `The value ${valueName} is read as numbers before it is there.`);
    }
    const sizes = [this.#rowCount(shape), ...(shape.slice(1) as number[])];
    return this.#feed(name, this.b.real, sizes, (run) => this.#placed(name, id, run));
  }

  #integers(id: ValueId): MLOperand {
    const name = this.#nameOf(id);
    const { shape } = this.graph.values[id]!;
    return this.#feed(name, 'int32', [this.#rowCount(shape)], (run) => this.#placed(name, id, run));
  }

  /** Rows to choose from the rows of another value. */
  #rows(id: ValueId, from: ValueId): MLOperand {
    if (!this.#areTokens(from)) return this.#integers(id);
    const name = this.#nameOf(id);
    return this.#feed(`${name} of tokens`, 'int32', [this.shape.outputs], ({ inputs, rectangle }) =>
      outputRows(inputs[name] as Int32Array, rectangle!),
    );
  }

  #means(id: ValueId, from: ValueId): MLOperand {
    const name = this.#nameOf(id);
    const rows = this.#rowCount(this.graph.values[from]!.shape);
    const count = this.#rowCount(this.graph.values[id]!.shape);
    const areTokens = this.#areTokens(from);
    return this.#feed(`${name} of ${areTokens ? 'tokens' : rows}`, this.b.real, [count, rows], (run) =>
      meanMatrix(run.inputs[name] as Int32Array, areTokens ? run.rectangle : undefined, rows),
    );
  }

  #padding(): MLOperand {
    const { batch, length } = this.shape;
    return this.#feed('padding', this.b.real, [batch, 1, 1, length], ({ rectangle }) =>
      paddingMask(rectangle!, OUT_OF_SIGHT[this.b.real]),
    );
  }

  /** An input of the step at its places in the rectangle. */
  #placed(name: string, id: ValueId, { inputs, rectangle }: Run): Float32Array<ArrayBuffer> | Int32Array<ArrayBuffer> {
    const numbers = inputs[name]!;
    const rows = this.graph.values[id]!.shape[0];
    if (typeof rows === 'number' || !rectangle) return numbers.slice();
    if (rows !== 'tokens') throw unsupported(`no input ${name} of rows of ${String(rows)}`);
    return tokenRows(numbers, rectangle);
  }

  #feed(name: string, dataType: MLDataType, shape: readonly number[], fill: Feed['fill']): MLOperand {
    const known = this.#feeds.get(name);
    if (known) return known.operand;
    // Names of the operands are this backend's own: no browser restricts them.
    const feed = { name: `input${this.#feeds.size}`, dataType, shape, fill };
    const operand = this.b.input(feed.name, dataType, shape);
    this.#feeds.set(name, { feed, operand });
    return operand;
  }

  #nameOf(id: ValueId): string {
    const name = this.#inputNames.get(id);
    if (name === undefined) throw unsupported('no indices that the graph computes');
    return name;
  }

  #areTokens(id: ValueId): boolean {
    return this.graph.values[id]!.shape[0] === 'tokens';
  }

  #rowCount([rows]: GraphShape): number {
    if (typeof rows === 'number') return rows;
    if (rows === 'tokens') return rowsOf(this.shape);
    if (rows === 'outputs') return this.shape.outputs;
    throw unsupported(`no rows of ${String(rows)}`);
  }
}
