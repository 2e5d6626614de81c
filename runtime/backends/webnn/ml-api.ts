// The part of WebNN that this backend uses, as TypeScript's own library does not describe it yet.
// Source: https://www.w3.org/TR/webnn/.

export type MLDataType =
  'float32' | 'float16' | 'int32' | 'uint32' | 'int64' | 'uint64' | 'int8' | 'uint8' | 'int4' | 'uint4';

export interface MLDescriptor {
  dataType: MLDataType;
  shape: readonly number[];
}

export interface MLOperand {
  readonly dataType: MLDataType;
  readonly shape: readonly number[];
}

export interface MLTensor extends MLDescriptor {
  destroy(): void;
}

export interface MLGraph {
  /** Browsers that are older than the method free graphs with the garbage. */
  destroy?(): void;
}

/** What one operand of an operation may be. */
export interface MLOperandLimits {
  dataTypes: readonly MLDataType[];
  /** Left out by browsers that are older than it. */
  rankRange?: { min: number; max: number } | undefined;
}

/** By operation, then by operand; beside them `input`, `constant` and `output`, which have no operands, and sizes. */
export type MLOpSupportLimits = Readonly<Record<string, unknown>>;

export interface MLContext {
  /** Whether an accelerator serves it; left out by browsers that are older than it. */
  readonly accelerated?: boolean | undefined;
  readonly lost: Promise<{ message?: string | undefined }>;
  opSupportLimits(): MLOpSupportLimits;
  createTensor(descriptor: MLDescriptor & { readable?: boolean; writable?: boolean }): Promise<MLTensor>;
  writeTensor(tensor: MLTensor, data: ArrayBufferView<ArrayBuffer>): void;
  readTensor(tensor: MLTensor): Promise<ArrayBuffer>;
  dispatch(
    graph: MLGraph,
    inputs: Readonly<Record<string, MLTensor>>,
    outputs: Readonly<Record<string, MLTensor>>,
  ): void;
  destroy(): void;
}

export interface MLContextOptions {
  /** Of browsers before `accelerated`. */
  deviceType?: 'cpu' | 'gpu' | 'npu' | undefined;
  accelerated?: boolean | undefined;
  powerPreference?: 'default' | 'high-performance' | 'low-power' | undefined;
}

export interface MLConv2dOptions {
  padding: readonly [number, number, number, number];
  strides: readonly [number, number];
  dilations: readonly [number, number];
  groups: number;
  inputLayout: 'nhwc';
  filterLayout: 'ohwi' | 'ihwo';
  bias?: MLOperand | undefined;
}

type Unary = (input: MLOperand) => MLOperand;
type Binary = (a: MLOperand, b: MLOperand) => MLOperand;
type Reduce = (input: MLOperand, options: { axes: readonly number[]; keepDimensions: boolean }) => MLOperand;

export interface MLGraphBuilder {
  input(name: string, descriptor: MLDescriptor): MLOperand;
  constant(descriptor: MLDescriptor, data: ArrayBufferView<ArrayBuffer>): MLOperand;
  build(outputs: Readonly<Record<string, MLOperand>>): Promise<MLGraph>;

  add: Binary;
  sub: Binary;
  mul: Binary;
  div: Binary;
  max: Binary;
  matmul: Binary;
  sqrt: Unary;
  erf: Unary;
  tanh: Unary;
  sigmoid: Unary;
  relu: Unary;
  gelu: Unary;
  reduceMean: Reduce;
  reduceL2: Reduce;
  gemm(a: MLOperand, b: MLOperand, options: { c?: MLOperand; bTranspose: boolean }): MLOperand;
  softmax(input: MLOperand, axis: number): MLOperand;
  layerNormalization(
    input: MLOperand,
    options: { axes: readonly number[]; epsilon: number; scale?: MLOperand; bias?: MLOperand },
  ): MLOperand;
  dequantizeLinear(input: MLOperand, scale: MLOperand, zeroPoint: MLOperand): MLOperand;
  cast(input: MLOperand, dataType: MLDataType): MLOperand;
  reshape(input: MLOperand, shape: readonly number[]): MLOperand;
  transpose(input: MLOperand, options: { permutation: readonly number[] }): MLOperand;
  expand(input: MLOperand, shape: readonly number[]): MLOperand;
  slice(
    input: MLOperand,
    starts: readonly number[],
    sizes: readonly number[],
    options?: { strides: readonly number[] },
  ): MLOperand;
  concat(inputs: readonly MLOperand[], axis: number): MLOperand;
  gather(input: MLOperand, indices: MLOperand, options: { axis: number }): MLOperand;
  pad(input: MLOperand, before: readonly number[], after: readonly number[]): MLOperand;
  conv2d(input: MLOperand, filter: MLOperand, options: MLConv2dOptions): MLOperand;
}

export interface ML {
  createContext(options: MLContextOptions): Promise<MLContext>;
}

/** What this thread's browser has of WebNN. */
export function webNn(): { ml: ML; MLGraphBuilder: new (context: MLContext) => MLGraphBuilder } | undefined {
  const { navigator, MLGraphBuilder } = globalThis as {
    navigator?: { ml?: ML };
    MLGraphBuilder?: new (context: MLContext) => MLGraphBuilder;
  };
  return navigator?.ml && MLGraphBuilder ? { ml: navigator.ml, MLGraphBuilder } : undefined;
}
