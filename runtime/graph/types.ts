// A model as data: operations in topological order over values whose shapes are numbers or symbols. A family builds
// it (models/), passes rewrite it (graph/passes), a backend compiles it. Nothing here knows a backend or a checkpoint's
// bytes. Read graph/builder.ts next, then models/decoder.ts for how one is made.

/** Dimensions that are known only when the program runs. */
export type SymbolicDim =
  | 'batch'
  /** Tokens of this step: 1 when decoding, up to the chunk size in prefill. */
  | 'tokens'
  /** Tokens that are already in the cache. */
  | 'past'
  /** Rows for which the output is wanted: 1 in generation, all of them when a text is scored. */
  | 'outputs'
  /** Tokens that the cache has room for. */
  | 'context';

export type Dim = number | SymbolicDim;
export type Shape = readonly Dim[];
export type DType = 'f32' | 'f16' | 'i32' | 'u32';

export type ValueId = number;

export interface Value {
  id: ValueId;
  name: string;
  dtype: DType;
  shape: Shape;
}

/** What a weight is for. The precision policy maps role, layer and sensitivity to a format. */
export type WeightRole =
  'embedding' | 'attention-qkv' | 'attention-output' | 'ffn-in' | 'ffn-out' | 'output' | 'norm' | 'bias' | 'conv';

/** A checkpoint's tensor, or several stacked along their rows (fused QKV, gate and up). */
export interface Weight {
  /** Unique in the graph: the tensor's name, or those of all parts joined by `+`. */
  name: string;
  /** Checkpoint tensors, stacked along rows in this order. The rows sum to shape[0]; a vector's rows are its numbers. */
  parts: readonly { tensor: string; rows: number }[];
  /** [rows, columns] of a matrix as the checkpoint stores it (output features × input features), or [columns]. */
  shape: readonly number[];
  role: WeightRole;
  /** Layer index, or undefined outside the layers. */
  layer?: number | undefined;
}

/** State that outlives a run: the KV cache. Planned, metered, cut and saved by name. */
export interface State {
  name: string;
  dtype: 'f16';
  /** [keyValueHeads, 'context', headDim]. */
  shape: Shape;
  layer: number;
  kind: 'key' | 'value';
}

/**
 * The operations and their attributes. Each has a file in ops/ with its contract, reference and cost. Two of them have an
 * authored form too, with the inputs apart, which `lower` (graph/passes) rewrites: no backend ever meets it.
 */
export interface OperationAttributes {
  /** (ids [tokens] i32) × table → [tokens, columns] */
  embed: { weight: string };
  /** (x [n, columns]) → [n, columns]; over the last `columns` numbers of each row. */
  rmsNorm: { weight: string; epsilon: number };
  /** (x, residual) → (sum, norm(sum)) */
  addRmsNorm: { weight: string; epsilon: number };
  /** (x [n, columns]) → [n, rows] = x·Wᵀ (+ bias). */
  linear: { weight: string; bias?: string | undefined };
  /** (a, b) → a + b */
  add: Record<string, never>;
  /**
   * (gateAndUp [n, 2·width]) → [n, width] = activation(gate)·up; the first half of a row is the gate.
   * Authored: (gate [n, width], up [n, width]).
   */
  gatedActivation: { activation: 'silu' | 'gelu-tanh' };
  /**
   * (qkv [tokens, (heads + 2·keyValueHeads)·headDim], rotary [tokens, headDim]) → rotated queries [tokens, heads·headDim];
   * writes rotated keys and the values to the caches at positions past … past + tokens − 1. Optional norms of each head's
   * query and key before the rotation (qwen3). Authored: (queries, keys, values, rotary).
   */
  rotaryCache: {
    heads: number;
    keyValueHeads: number;
    headDim: number;
    keyState: string;
    valueState: string;
    queryNorm?: string | undefined;
    keyNorm?: string | undefined;
    epsilon: number;
  };
  /**
   * (queries [tokens, heads·headDim]) over the caches → [tokens, heads·headDim]. Causal; token t (absolute position p)
   * sees positions max(0, p − window + 1) … p.
   */
  attention: {
    heads: number;
    keyValueHeads: number;
    headDim: number;
    scale: number;
    window?: number | undefined;
    keyState: string;
    valueState: string;
  };
  /** (x [tokens, columns], rows [outputs] i32) → [outputs, columns] */
  selectRows: Record<string, never>;
}

export type OperationName = keyof OperationAttributes;

export type Operation = {
  [Name in OperationName]: {
    op: Name;
    attributes: OperationAttributes[Name];
    inputs: readonly ValueId[];
    outputs: readonly ValueId[];
    /** The seam it belongs to: partition, streaming load and per-layer precision use it. */
    layer?: number | undefined;
  };
}[OperationName];

export interface Graph {
  /** In topological order. */
  operations: readonly Operation[];
  /** `values[id].id === id`. */
  values: readonly Value[];
  /** By name. */
  inputs: Readonly<Record<string, ValueId>>;
  outputs: Readonly<Record<string, ValueId>>;
  weights: readonly Weight[];
  states: readonly State[];
}

/** Concrete sizes for the symbols. */
export type Dims = Readonly<Partial<Record<SymbolicDim, number>>>;
