// One layer of a model as a graph of its own: the hidden state comes in as a table whose rows are looked up in order, and goes
// out as the output. So a text goes through a model layer by layer, all its windows through one before the next is needed,
// and every layer can be changed before what follows sees its results.

import { WpError } from '../../errors.ts';
import type { Graph, Operation, ValueId, Weight } from '../../graph/types.ts';

/** The weight that holds the hidden state [tokens, columns]. */
export const HIDDEN_STATE = 'hidden state';

export interface LayerGraph {
  /** Not lowered. Its output is called `logits`, as backends ask; it has a row a token. */
  graph: Graph;
  /** The layer's own, those of the checkpoint. */
  weights: readonly Weight[];
  /** Width of the hidden state. */
  columns: number;
}

/** Indices of the layers of a graph, ascending. */
export function layersOf(graph: Graph): number[] {
  const layers = new Set(graph.operations.map(({ layer }) => layer).filter((layer) => layer !== undefined));
  return [...layers].sort((a, b) => a - b);
}

/**
 * The layer of a graph as a family writes it, for windows of at most `tokens`. Throws `unsupported-operation` where it has more
 * than one value from before, or more than one that is read after it.
 */
export function layerGraph(graph: Graph, layer: number, tokens: number): LayerGraph {
  const operations = graph.operations.filter((operation) => operation.layer === layer);
  const made = new Set(operations.flatMap(({ outputs }) => outputs));
  const given = new Set(Object.values(graph.inputs));
  const taken = new Set(operations.flatMap(({ inputs }) => inputs).filter((id) => !made.has(id) && !given.has(id)));
  const others = graph.operations.filter((operation) => operation.layer !== layer).flatMap(({ inputs }) => inputs);
  const left = new Set([...others, ...Object.values(graph.outputs)].filter((id) => made.has(id)));
  const [before, after] = [only(taken, layer), only(left, layer)];
  const ids = graph.inputs['tokenIds'];
  if (ids === undefined) throw notLayered(layer);

  const columns = graph.values[before]!.shape.at(-1) as number;
  const table: Weight = {
    name: HIDDEN_STATE,
    parts: [{ tensor: HIDDEN_STATE, rows: tokens }],
    shape: [tokens, columns],
    role: 'embedding',
  };
  const lookUp: Operation = { op: 'embed', attributes: { weight: HIDDEN_STATE }, inputs: [ids], outputs: [before] };
  const weights = graph.weights.filter((weight) => weight.layer === layer);
  return {
    graph: {
      ...graph,
      operations: [lookUp, ...operations],
      outputs: { logits: after },
      weights: [table, ...weights],
    },
    weights,
    columns,
  };
}

function only(values: ReadonlySet<ValueId>, layer: number): ValueId {
  const [value] = values;
  if (value === undefined || values.size > 1) throw notLayered(layer);
  return value;
}

function notLayered(layer: number): WpError {
  return new WpError(
    'unsupported-operation',
    `Layer ${layer} of this model does not pass one hidden state on: it cannot be run alone.`,
    'Quantise with sequential: false.',
    { layer },
  );
}
