// What a quantised model is written as: small files that are known at once, and one large one whose header and size are known
// before the first matrix is quantised. So a page can show what it will get, and an interrupted run goes on where it stopped.

import type { PackedMatrix, WeightFormat } from '../../quantization/formats.ts';

/** A tensor of the model, in the order in which it is quantised and written. */
export interface PlannedTensor {
  /** The checkpoint's name. */
  name: string;
  /** A vector has one number. */
  shape: readonly number[];
  /** Of matrices; vectors are kept as numbers. */
  format: WeightFormat;
}

export interface OutputTensor {
  name: string;
  /** Where its bytes lie in the file. */
  start: number;
  bytes: number;
  /** The matrix, in the planned format (a vector in f16), as these bytes. */
  encode(matrix: PackedMatrix): Uint8Array;
}

export interface Output {
  /** config.json and its fellows. */
  smallFiles: readonly { name: string; bytes: Uint8Array }[];
  name: string;
  /** All bytes before the first tensor. */
  header: Uint8Array;
  /** In ascending order; what lies between is zero. */
  tensors: readonly OutputTensor[];
  totalBytes: number;
}
