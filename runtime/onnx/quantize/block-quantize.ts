// A matrix in the form of ONNX Runtime's MatMulNBits: for each column, blocks of 32 rows share a scale and a zero point.
// Format: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.MatMulNBits

export const BLOCK_SIZE = 32;

export interface BlockMatrix {
  /** [columns, blocks, 32 × bits / 8]: codes, the first in the lowest bits. */
  codes: Uint8Array;
  /** [columns × blocks] */
  scales: Float32Array;
  /** [columns, ⌈blocks × bits / 8⌉] */
  zeroPoints: Uint8Array;
}

/** How far the range of a block is narrowed, to lose less in the many than is lost in the few: tried one after another. */
const SHRINKS: Readonly<Record<2 | 4 | 8, readonly number[]>> = {
  2: [1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4],
  4: [1, 0.95, 0.9, 0.85, 0.8, 0.7],
  8: [1],
};

export interface FloatMatrix {
  rows: number;
  columns: number;
  /** [rows, columns], or [columns, rows] where it is transposed. */
  numbers: Float32Array;
  isTransposed: boolean;
}

/** A block that reaches past the last row is filled with zeros. */
export function quantizeBlocks({ rows, columns, numbers, isTransposed }: FloatMatrix, bits: 2 | 4 | 8): BlockMatrix {
  const blocks = Math.ceil(rows / BLOCK_SIZE);
  const blockBytes = (BLOCK_SIZE * bits) / 8;
  const zeroPointBytes = Math.ceil((blocks * bits) / 8);
  const codes = new Uint8Array(columns * blocks * blockBytes);
  const scales = new Float32Array(columns * blocks);
  const zeroPoints = new Uint8Array(columns * zeroPointBytes);
  const values = new Float64Array(BLOCK_SIZE);
  const [rowStride, columnStride] = isTransposed ? [1, rows] : [columns, 1];
  const perByte = 8 / bits;
  const most = 2 ** bits - 1;
  for (let block = 0; block < blocks; block++) {
    const firstRow = block * BLOCK_SIZE;
    const count = Math.min(BLOCK_SIZE, rows - firstRow);
    values.fill(0, count);
    // Neighbouring columns lie in the same lines of the processor's cache.
    for (let column = 0; column < columns; column++) {
      const first = firstRow * rowStride + column * columnStride;
      for (let i = 0; i < count; i++) values[i] = numbers[first + i * rowStride]!;
      const { scale, zeroPoint } = fitBlock(values, bits);
      const index = column * blocks + block;
      scales[index] = scale;
      zeroPoints[column * zeroPointBytes + Math.floor(block / perByte)]! |= zeroPoint << ((block % perByte) * bits);
      const inverse = scale === 0 ? 0 : 1 / scale;
      for (let i = 0; i < BLOCK_SIZE; i++) {
        const code = Math.min(Math.max(Math.floor(values[i]! * inverse + zeroPoint + 0.5), 0), most);
        codes[index * blockBytes + Math.floor(i / perByte)]! |= code << ((i % perByte) * bits);
      }
    }
  }
  return { codes, scales, zeroPoints };
}

interface Fit {
  scale: number;
  zeroPoint: number;
  /** What it takes from the squared error of all zeros. */
  explained: number;
}

function fitBlock(values: Float64Array, bits: 2 | 4 | 8): Fit {
  const most = 2 ** bits - 1;
  let low = 0;
  let high = 0;
  for (const value of values) {
    if (value < low) low = value;
    else if (value > high) high = value;
  }
  const best = { scale: 0, zeroPoint: 2 ** (bits - 1), explained: 0 };
  if (low === high) return best;
  for (const shrink of SHRINKS[bits]) {
    const inverse = most / ((high - low) * shrink);
    improve(best, values, inverse, Math.min(Math.max(Math.round(-low * shrink * inverse), 0), most), most);
  }
  // Codes again by the scale that was found, and the scale by these: each step takes more from the error.
  for (let i = 0; i < 2; i++) improve(best, values, 1 / best.scale, best.zeroPoint, most);
  return best;
}

/** The codes that a scale gives, and the scale that fits these best (least squares): taken if it is better. */
function improve(best: Fit, values: Float64Array, inverse: number, zeroPoint: number, most: number): void {
  let product = 0;
  let square = 0;
  for (let i = 0; i < BLOCK_SIZE; i++) {
    const value = values[i]!;
    const code = Math.floor(value * inverse + zeroPoint + 0.5);
    const step = (code < 0 ? 0 : code > most ? most : code) - zeroPoint;
    product += value * step;
    square += step * step;
  }
  const explained = product > 0 ? (product * product) / square : 0;
  if (explained <= best.explained) return;
  best.explained = explained;
  best.scale = Math.fround(product / square);
  best.zeroPoint = zeroPoint;
}
