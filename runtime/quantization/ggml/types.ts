// The tensor types of ggml, as GGUF files number them: how many numbers a block holds, and in how many bytes. What a block's
// bytes mean is told in simple.ts, k-quants.ts, i-quants.ts and ternary.ts; decode.ts finds the one for a type.
// Source: ggml.h (enum ggml_type) of https://github.com/ggml-org/ggml, and the `gguf` Python package.

export interface GgmlType {
  readonly name: string;
  /** Consecutive numbers of a row that are stored together. */
  readonly blockSize: number;
  readonly blockBytes: number;
}

const type = (name: string, blockSize: number, blockBytes: number): GgmlType => ({ name, blockSize, blockBytes });

/** By the number in the file. Numbers that are missing here are not known to us, so their tensors have no size. */
export const GGML_TYPES: ReadonlyMap<number, GgmlType> = new Map([
  [0, type('F32', 1, 4)],
  [1, type('F16', 1, 2)],
  [2, type('Q4_0', 32, 18)],
  [3, type('Q4_1', 32, 20)],
  [6, type('Q5_0', 32, 22)],
  [7, type('Q5_1', 32, 24)],
  [8, type('Q8_0', 32, 34)],
  [10, type('Q2_K', 256, 84)],
  [11, type('Q3_K', 256, 110)],
  [12, type('Q4_K', 256, 144)],
  [13, type('Q5_K', 256, 176)],
  [14, type('Q6_K', 256, 210)],
  [16, type('IQ2_XXS', 256, 66)],
  [17, type('IQ2_XS', 256, 74)],
  [18, type('IQ3_XXS', 256, 98)],
  [19, type('IQ1_S', 256, 50)],
  [20, type('IQ4_NL', 32, 18)],
  [21, type('IQ3_S', 256, 110)],
  [22, type('IQ2_S', 256, 82)],
  [23, type('IQ4_XS', 256, 136)],
  [24, type('I8', 1, 1)],
  [25, type('I16', 1, 2)],
  [26, type('I32', 1, 4)],
  [27, type('I64', 1, 8)],
  [28, type('F64', 1, 8)],
  [29, type('IQ1_M', 256, 56)],
  [30, type('BF16', 1, 2)],
  [34, type('TQ1_0', 256, 54)],
  [35, type('TQ2_0', 256, 66)],
  [39, type('MXFP4', 32, 17)],
]);

/** Types that files may hold and that are not read: named, so that a refusal can say what it met. */
export const UNREAD_GGML_TYPES: ReadonlyMap<number, string> = new Map([
  [4, 'Q4_2 (removed from ggml)'],
  [5, 'Q4_3 (removed from ggml)'],
  [9, 'Q8_1'],
  [15, 'Q8_K'],
  [31, 'Q4_0_4_4 (removed from ggml)'],
  [32, 'Q4_0_4_8 (removed from ggml)'],
  [33, 'Q4_0_8_8 (removed from ggml)'],
  [36, 'IQ4_NL_4_4 (removed from ggml)'],
  [37, 'IQ4_NL_4_8 (removed from ggml)'],
  [38, 'IQ4_NL_8_8 (removed from ggml)'],
  [40, 'NVFP4'],
  [41, 'Q1_0'],
]);
