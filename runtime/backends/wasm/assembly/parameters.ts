// What a kernel is called with. Every kernel takes (parameters, from, to): the address of one of these records, and the
// slice of the work that is this thread's. The records are written once, when a program is compiled; layouts.ts on the
// JavaScript side lists the same fields in the same order, four bytes each.

/** Sizes of the step that runs now; written before each step, at STEP_ADDRESS of layouts.ts. */
@unmanaged
export class Step {
  tokens: u32;
  past: u32;
  outputs: u32;
}

/** A matrix product; also the preparation of its activations (fold, quantise). */
@unmanaged
export class LinearParameters {
  /** Codes or numbers, in blocks of four rows: see repack.ts and unpack.ts. */
  weights: usize;
  /** f16 scales [blocks, columns / scaleColumns, 4]; 0 for plain formats. */
  scales: usize;
  /** f32 [rows, rounded up to a block], or 0. */
  bias: usize;
  /** f32 [count, columns] as the graph has it. */
  input: usize;
  /** The same, prepared for the format of the weights. */
  prepared: usize;
  output: usize;
  rows: u32;
  columns: u32;
  /** Address of the number of rows of the input: a field of Step. */
  count: usize;
  /** What the stored f16 must be multiplied by, a power of two (repack.ts); else 1. */
  unit: f32;
  /** Words of two-level scales [blocks, columns / 256, words, 4], or 0. */
  scaleCodes: usize;
  /** As scales, or 0. */
  minimums: usize;
  /** Columns to which one number of `scales` belongs: 16, 32, 64, 128 or 256. */
  scaleColumns: u32;
  /** What a code is off from the number that it stands for: −2^(bits − 1), 128 or 0. */
  correction: i32;
  /** With minimums: f32 [count, columns / sumColumns], the sums of activations. */
  sums: usize;
  /** Columns that share a minimum, or 0. */
  sumColumns: u32;
}

@unmanaged
export class EmbedParameters {
  weights: usize;
  scales: usize;
  ids: usize;
  output: usize;
  columns: u32;
  /** As in LinearParameters. */
  unit: f32;
  scaleCodes: usize;
  minimums: usize;
  correction: i32;
  /** Of a code. */
  bits: u32;
  /** Columns that share a scale (and a minimum). */
  groupColumns: u32;
}

/** rmsNorm, addRmsNorm. */
@unmanaged
export class NormParameters {
  input: usize;
  /** addRmsNorm: the other summand, and where the sum goes. */
  residual: usize;
  sum: usize;
  weight: usize;
  output: usize;
  columns: u32;
  epsilon: f32;
}

/** add, gatedActivation, selectRows. */
@unmanaged
export class ElementwiseParameters {
  input: usize;
  /** add: the other summand; selectRows: the indices. */
  other: usize;
  output: usize;
  /** Of the output. */
  columns: u32;
}

@unmanaged
export class RotaryParameters {
  /** Queries, keys and values of the first token. */
  queryInput: usize;
  keyInput: usize;
  valueInput: usize;
  /** Bytes of a row that holds all three, or 0 where each has rows of its own. */
  rowBytes: u32;
  rotary: usize;
  output: usize;
  keys: usize;
  values: usize;
  /** f32 [headDim] or 0. */
  queryNorm: usize;
  keyNorm: usize;
  epsilon: f32;
  heads: u32;
  keyValueHeads: u32;
  headDim: u32;
  /** Positions that the caches have room for, a multiple of POSITION_BLOCK. */
  capacity: u32;
  step: usize;
}

@unmanaged
export class AttentionParameters {
  queries: usize;
  keys: usize;
  values: usize;
  output: usize;
  /** Of thread 0; each thread has `scratchBytes` of its own. */
  scratch: usize;
  scratchBytes: u32;
  scale: f32;
  heads: u32;
  keyValueHeads: u32;
  headDim: u32;
  capacity: u32;
  /** 0 for none. */
  window: u32;
  step: usize;
}
