// The one table of weight formats: every loader, quantiser and kernel reads its sizes from here.
//
// A quantised matrix of `rows × columns` is stored row-major, in groups of `groupSize` consecutive columns. A group's
// codes are unsigned integers split into bit planes, most significant plane first; the value of a weight is
//   symmetric:  scale × (code − 2^(bits−1))          min:  scale × code + minimum
// except 8 bits symmetric, whose codes are signed bytes (two's complement), as every integer dot product wants them.
//
// Packing of a plane is by blocks of 32 consecutive columns, whatever the group size, so that one SIMD or vec4 load gives
// consecutive weights after a mask and a shift (the layout of GGUF's Q4_0):
//   8-bit plane: 32 bytes; byte j is column j
//   4-bit plane: 16 bytes; byte j holds column j (low nibble) and column j + 16 (high nibble)
//   2-bit plane:  8 bytes; byte j holds columns j, j + 8, j + 16, j + 24 (from the low bits up)
//   1-bit plane:  4 bytes; byte j holds columns j, j + 4, … j + 28 (from the low bit up)
// Scales (and minimums) are their own plane: little-endian f16, row-major, one a group.

/** Bits of one plane. */
export type PlaneBits = 1 | 2 | 4 | 8;

export interface QuantFormat {
  /** 'q4g32': bits, then the group size. */
  name: string;
  /** Most significant first: [4] for 4 bits; 3 bits is [2, 1]. */
  planes: readonly PlaneBits[];
  /** Consecutive weights of a row that share a scale. */
  groupSize: 16 | 32 | 64 | 128;
  scale: 'f16' | { superblock: 256; bits: 4 | 6 | 8 };
  offset: 'symmetric' | 'min';
}

/** A weight that is stored as plain numbers. */
export interface PlainFormat {
  name: 'f32' | 'f16';
}

export type WeightFormat = QuantFormat | PlainFormat;

export const BLOCK = 32;

const symmetric = (bits: PlaneBits, groupSize: QuantFormat['groupSize']): QuantFormat => ({
  name: `q${bits}g${groupSize}`,
  planes: [bits],
  groupSize,
  scale: 'f16',
  offset: 'symmetric',
});

export const FORMATS = {
  f32: { name: 'f32' },
  f16: { name: 'f16' },
  q8g32: symmetric(8, 32),
  q4g32: symmetric(4, 32),
} as const satisfies Record<string, WeightFormat>;

export type FormatName = keyof typeof FORMATS;

export function isQuantized(format: WeightFormat): format is QuantFormat {
  return 'planes' in format;
}

/** Bits of one code: the sum of the planes. */
export function codeBits(format: QuantFormat): number {
  return format.planes.reduce((sum, bits) => sum + bits, 0);
}

/** Why a matrix of this width cannot be stored in this format, or undefined when it can. */
export function formatLimit(format: WeightFormat, columns: number): string | undefined {
  if (!isQuantized(format)) return undefined;
  const multiple = Math.max(BLOCK, format.groupSize);
  if (columns % multiple === 0) return undefined;
  return `${format.name} needs rows of a multiple of ${multiple} weights; this matrix has ${columns}`;
}

/** Bytes of each plane, of the scales, and in all, for a matrix of `rows × columns` (columns fit the format). */
export function formatBytes(
  format: WeightFormat,
  rows: number,
  columns: number,
): { planes: number[]; scales: number; minimums: number; total: number } {
  const count = rows * columns;
  if (!isQuantized(format)) {
    const bytes = count * (format.name === 'f32' ? 4 : 2);
    return { planes: [bytes], scales: 0, minimums: 0, total: bytes };
  }
  const planes = format.planes.map((bits) => (count * bits) / 8);
  const scales = (count / format.groupSize) * 2;
  const minimums = format.offset === 'min' ? scales : 0;
  return { planes, scales, minimums, total: planes.reduce((a, b) => a + b, 0) + scales + minimums };
}

/**
 * A matrix (or vector: rows = 1) packed in a format: what loaders produce and backends upload.
 * The arrays are owned by the receiver; they may be views of one buffer.
 */
export interface PackedMatrix {
  format: WeightFormat;
  rows: number;
  columns: number;
  /** One array a plane, most significant first; for f32 and f16 the little-endian numbers themselves. */
  planes: Uint8Array[];
  /** f16 bits, `rows × columns / groupSize`; empty for plain formats. */
  scales: Uint16Array;
  /** f16 bits of the minimums, for `offset: 'min'`; else empty. */
  minimums: Uint16Array;
}
