// Numbers with a shape, as `model.run` takes and gives them: plain data, the same on both sides of the worker's port.

/** What a tensor's numbers are. `float16` is kept as its 16 bits; `bool` as bytes of 0 and 1. */
export type TensorType = keyof TensorData;

export interface TensorData {
  float32: Float32Array;
  float16: Uint16Array;
  float64: Float64Array;
  int8: Int8Array;
  uint8: Uint8Array;
  int16: Int16Array;
  uint16: Uint16Array;
  int32: Int32Array;
  uint32: Uint32Array;
  int64: BigInt64Array;
  uint64: BigUint64Array;
  bool: Uint8Array;
  string: readonly string[];
}

/** Numbers in row-major order: `data` holds as many as `dims` multiply to; without `dims`, one number. */
export type Tensor<T extends TensorType = TensorType> = {
  [K in T]: { readonly type: K; readonly dims: readonly number[]; readonly data: TensorData[K] };
}[T];

/** A result that stays where it was computed (GPU memory on WebGPU), to be an input of the next run. */
export interface DeviceTensor {
  readonly type: TensorType;
  readonly dims: readonly number[];
  /** Of the model that computed it. */
  readonly device: number;
}

/** An input or output of a model. */
export interface TensorInfo {
  name: string;
  type: TensorType;
  /** A number is fixed; a name, or undefined, stands for any size. Undefined as a whole: any shape. */
  dims: readonly (number | string | undefined)[] | undefined;
}

/** What an ONNX file says of itself, and how it runs here. */
export interface OnnxInfo {
  /** The file that was chosen, in the model's folder: 'onnx/model_q4.onnx'. */
  file: string;
  /** Who wrote it, as it says. */
  producer: string;
  /** Version of ONNX' own operations. */
  opset: number;
  inputs: readonly TensorInfo[];
  outputs: readonly TensorInfo[];
  /** ONNX Runtime's execution provider. */
  provider: 'webgpu' | 'webnn' | 'wasm';
}

export interface TensorRunOptions {
  /** Names of the outputs that are wanted; default: all. */
  outputs?: readonly string[] | undefined;
  /** Names of outputs that stay on the device and come as a `DeviceTensor`: free each with `releaseTensor`. */
  keep?: readonly string[] | undefined;
  /** The call rejects with an AbortError at once; a run that has begun ends in the worker and its result is dropped. */
  signal?: AbortSignal | undefined;
}
