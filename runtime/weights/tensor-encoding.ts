// How the bytes of a tensor become numbers, for tensors that are stored in blocks of an encoding of their own (GGUF's). The
// stream of weights knows only this; the encodings' code is loaded with the file that needs it.

import type { FormatName, PackedMatrix } from '../quantization/formats.ts';

export interface TensorEncoding {
  /** 'Q4_K' */
  readonly name: string;
  /** The row of our format table that holds the same numbers in as many bytes, or undefined. */
  readonly equals: FormatName | undefined;
  /** The numbers of whole rows, exactly. */
  decode(bytes: Uint8Array): Float32Array;
  /** Whole rows in the format `equals`, without loss. */
  repack(bytes: Uint8Array, rows: number, columns: number): PackedMatrix;
}
