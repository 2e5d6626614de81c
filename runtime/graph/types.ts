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
  | 'embedding'
  /** Small tables that are added to every token: learned positions, token types. */
  | 'position'
  | 'attention-qkv'
  | 'attention-output'
  | 'ffn-in'
  | 'ffn-out'
  | 'output'
  | 'norm'
  | 'bias'
  | 'conv';

/** A checkpoint's tensor, or several stacked along their rows (fused QKV, gate and up). */
export interface Weight {
  /** Unique in the graph: the tensor's name, or those of all parts joined by `+`. */
  name: string;
  /**
   * Checkpoint tensors, stacked along rows in this order. The rows sum to shape[0]; a vector's rows are its numbers.
   * `stored` is the tensor's shape in the checkpoint where it has other dimensions (a convolution's kernel, a table
   * [1, rows, columns]); the numbers are the same, in the same order.
   */
  parts: readonly { tensor: string; rows: number; stored?: readonly number[] | undefined }[];
  /** [rows, columns] of a matrix as the checkpoint stores it (output features × input features), or [columns]. */
  shape: readonly number[];
  role: WeightRole;
  /** Layer index, or undefined outside the layers. */
  layer?: number | undefined;
  /** Queries, keys and values of different kinds (of bits, say) are not stacked; undefined is a kind too. */
  kind?: string | undefined;
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

  // Of encoders. Images are rows, too: [images·height·width, channels], channels last.

  /** (x [n, columns]) → (x − mean) / sqrt(variance + epsilon) × weight (+ bias), row by row. */
  layerNorm: { weight: string; bias?: string | undefined; epsilon: number };
  /** (x) → f(x), number by number. */
  activation: { activation: Activation };
  /** (gateAndUp [n, 2·width]) → [n, width] = gelu(first half)·second half; gelu by erf. */
  gatedGelu: Record<string, never>;
  /** Attention without a cache: see ops/attend.ts. (queries, keys, values, spans?, buckets?) → [n, heads·headDim] */
  attend: AttendAttributes;
  /** (x [tokens, columns], rotary [tokens, headDim]) → the same with its first `heads` heads rotated, the rest copied. */
  rotate: { heads: number; headDim: number };
  /** (x [tokens, columns], ranges [outputs, 2] i32) → [outputs, columns]: the mean of rows first … end − 1. */
  meanRows: Record<string, never>;
  /** (x [n, columns]) → x / max(‖x‖, epsilon), row by row. */
  normalizeRows: { epsilon: number };
  /** (x [n, columns]) → x × factor, each column multiplied by its number of the weight if there is one. */
  scaleColumns: { weight?: string | undefined; factor: number };
  /** (a [n, first], b [n, second]) → [n, first + second] */
  concatColumns: Record<string, never>;
  /** () → [count, columns]: the rows of a table (a vector of rows·columns numbers), over and over. */
  tableRows: { weight: string; count: number; columns: number };
  /** (x [n, columns]) → x + the rows of a table, over and over: row i gets row i mod rows. */
  addTable: { weight: string };
  /** (x [groups·every, columns]) → [groups·(rows + every), columns]: the table's rows in each group of `every`, after `at` of them. */
  insertRows: { weight: string; every: number; at: number };
  /** (x [images·height·width, channels]) → [images·outHeight·outWidth, channels·kernel area]: what a kernel sees, (channel, y, x). */
  unfold: ConvGeometry;
  /** (x [images·height·width, channels]) → [images·outHeight·outWidth, features]; weight [features, channels/groups·kernel area]. */
  conv2d: ConvGeometry & { weight: string; bias?: string | undefined; groups: number };
  /** The adjoint of conv2d; the weight is a vector in the order [channels, features/groups, kernelHeight, kernelWidth]. */
  convTranspose2d: ConvGeometry & {
    weight: string;
    bias?: string | undefined;
    groups: number;
    features: number;
    /** Rows and columns added at the end, which the geometry leaves open. */
    outputPadding: number;
  };
  /** (x [images·area, channels]) → normed over each image's area and a group's channels, × weight + bias. */
  groupNorm: { weight: string; bias: string; groups: number; epsilon: number; area: number };
  /** (x [images·height·width, channels]) → [images·(height·scale)·(width·scale), channels]. Bilinear as align_corners = false. */
  upsample: { height: number; width: number; scale: number; mode: 'nearest' | 'bilinear' };
}

export type Activation = 'gelu' | 'gelu-tanh' | 'gelu-quick' | 'silu' | 'relu' | 'tanh' | 'sigmoid';

/** Where a kernel stands on an image of height × width; padding is zeros on every side. */
export interface ConvGeometry {
  height: number;
  width: number;
  kernelHeight: number;
  kernelWidth: number;
  stride: number;
  padding: number;
  dilation: number;
}

export interface AttendAttributes {
  heads: number;
  keyValueHeads: number;
  headDim: number;
  scale: number;
  /** First column of the queries, keys and values in the rows of their inputs, which may be one stacked value. */
  offsets: { queries: number; keys: number; values: number };
  /** A query sees no key after it. */
  isCausal: boolean;
  /** A query sees keys at most this far from it on either side. */
  window?: number | undefined;
  /**
   * With: runs of so many queries see runs of so many keys, and there is no input `spans`. Without: `spans` [queries, 2] i32
   * says of each query the first key that it sees and the first that it does not see any more.
   */
  segments?: { queries: number; keys: number } | undefined;
  /**
   * A number for each head added to the scores, chosen by distance: `weight` is a vector [buckets·heads], the input
   * `buckets` [2·reach + 1] i32 says which bucket serves the distances (key − query) −reach … reach; beyond, the ends do.
   */
  relativeBias?: { weight: string; buckets: number; reach: number } | undefined;
}

/** The operations that decoders do not have; backends keep their kernels in a chunk of its own. */
export type EncoderOperationName = Exclude<
  keyof OperationAttributes,
  'embed' | 'rmsNorm' | 'addRmsNorm' | 'linear' | 'add' | 'gatedActivation' | 'rotaryCache' | 'attention' | 'selectRows'
>;

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
