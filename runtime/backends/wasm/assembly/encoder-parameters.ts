// Records of the encoders' kernels: see parameters.ts. The order is that in which encoder/compile.ts writes the fields.

/** Kernels that make a row of a row: all but the fields that a kernel names are 0. */
@unmanaged
export class RowParameters {
  input: usize;
  /** The second input: weights, angles, ranges, a table. */
  other: usize;
  /** layerNorm: the bias, or 0. */
  third: usize;
  output: usize;
  /** Columns of the input. */
  columns: u32;
  /** What each kernel says. */
  count: u32;
  size: u32;
  place: u32;
  epsilon: f32;
}

@unmanaged
export class AttendParameters {
  /** First number of the first row's queries, keys and values. */
  queries: usize;
  keys: usize;
  values: usize;
  /** Bytes from row to row. */
  queryStride: u32;
  keyStride: u32;
  valueStride: u32;
  output: usize;
  /** i32 [rows, 2], or 0: then runs of `queryRun` rows see runs of `keyRun` keys. */
  spans: usize;
  queryRun: u32;
  keyRun: u32;
  heads: u32;
  keyValueHeads: u32;
  headDim: u32;
  scale: f32;
  /** 1 if a query sees no key after it. */
  isCausal: u32;
  /** 0xffffffff for none. */
  window: u32;
}

/** Behind AttendParameters, whose record is full: in a record of its own. */
@unmanaged
export class AttendMore {
  /** f32 [buckets, heads], or 0. */
  bias: usize;
  /** i32 [2·reach + 1] */
  buckets: usize;
  reach: u32;
  /** Of thread 0. */
  scratch: usize;
  scratchBytes: u32;
  /** Address of the number of query rows. */
  count: usize;
}

@unmanaged
export class ImageParameters {
  input: usize;
  weight: usize;
  bias: usize;
  output: usize;
  height: u32;
  width: u32;
  channels: u32;
  outHeight: u32;
  outWidth: u32;
  features: u32;
  kernelHeight: u32;
  kernelWidth: u32;
  stride: u32;
  padding: u32;
  dilation: u32;
  /** conv: groups; upsample: the scale; unfold: the first row, which is written first. */
  groups: u32;
}
