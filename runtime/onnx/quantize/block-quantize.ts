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

/** The matrix by its `at(row, column)`; a block that reaches past the last row is filled with zeros. */
export function quantizeBlocks(
  rows: number,
  columns: number,
  at: (row: number, column: number) => number,
  bits: 2 | 4 | 8,
): BlockMatrix {
  const blocks = Math.ceil(rows / BLOCK_SIZE);
  const blockBytes = (BLOCK_SIZE * bits) / 8;
  const zeroPointBytes = Math.ceil((blocks * bits) / 8);
  const codes = new Uint8Array(columns * blocks * blockBytes);
  const scales = new Float32Array(columns * blocks);
  const zeroPoints = new Uint8Array(columns * zeroPointBytes);
  const values = new Float64Array(BLOCK_SIZE);
  const perByte = 8 / bits;
  for (let column = 0; column < columns; column++) {
    for (let block = 0; block < blocks; block++) {
      for (let i = 0; i < BLOCK_SIZE; i++) {
        const row = block * BLOCK_SIZE + i;
        values[i] = row < rows ? at(row, column) : 0;
      }
      const { scale, zeroPoint } = fitBlock(values, bits);
      const index = column * blocks + block;
      scales[index] = scale;
      zeroPoints[column * zeroPointBytes + Math.floor(block / perByte)]! |= zeroPoint << ((block % perByte) * bits);
      for (let i = 0; i < BLOCK_SIZE; i++) {
        codes[index * blockBytes + Math.floor(i / perByte)]! |=
          codeOf(values[i]!, scale, zeroPoint, bits) << ((i % perByte) * bits);
      }
    }
  }
  return { codes, scales, zeroPoints };
}

function codeOf(value: number, scale: number, zeroPoint: number, bits: number): number {
  if (scale === 0) return zeroPoint;
  return Math.min(Math.max(Math.round(value / scale) + zeroPoint, 0), 2 ** bits - 1);
}

function fitBlock(values: Float64Array, bits: 2 | 4 | 8): { scale: number; zeroPoint: number } {
  const most = 2 ** bits - 1;
  let low = 0;
  let high = 0;
  for (const value of values) {
    if (value < low) low = value;
    else if (value > high) high = value;
  }
  let best = { scale: 0, zeroPoint: 2 ** (bits - 1) };
  if (low === high) return best;
  let least = Infinity;
  for (const shrink of SHRINKS[bits]) {
    const width = ((high - low) * shrink) / most;
    const zeroPoint = Math.min(Math.max(Math.round((-low * shrink) / width), 0), most);
    // With the codes chosen, the scale that fits them best (least squares).
    let product = 0;
    let square = 0;
    for (const value of values) {
      const step = codeOf(value, width, zeroPoint, bits) - zeroPoint;
      product += value * step;
      square += step * step;
    }
    const scale = Math.fround(square > 0 && product > 0 ? product / square : width);
    let error = 0;
    for (const value of values) error += (value - (codeOf(value, scale, zeroPoint, bits) - zeroPoint) * scale) ** 2;
    if (error >= least) continue;
    least = error;
    best = { scale, zeroPoint };
  }
  return best;
}
