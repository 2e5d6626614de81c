// The one table of weight formats: every loader, quantiser and kernel reads its sizes from here.
//
// A quantised matrix of `rows × columns` is stored row-major, in groups of `groupSize` consecutive columns. A group's
// codes are unsigned integers split into bit planes, most significant plane first; the value of a weight is
//   symmetric:  scale × (code − 2^(bits−1))          min:  scale × code + minimum
// Codes of 8 bits are stored as signed bytes (code XOR 0x80), as every integer dot product wants them.
//
// Packing of a plane is by blocks of 32 consecutive columns, whatever the group size, so that one SIMD or vec4 load gives
// consecutive weights after a mask and a shift (the layout of GGUF's Q4_0):
//   8-bit plane: 32 bytes; byte j is column j
//   4-bit plane: 16 bytes; byte j holds column j (low nibble) and column j + 16 (high nibble)
//   2-bit plane:  8 bytes; byte j holds columns j, j + 8, j + 16, j + 24 (from the low bits up)
//   1-bit plane:  4 bytes; byte j holds columns j, j + 4, … j + 28 (from the low bit up)
//
// Scales (and minimums) of one level are their own plane: little-endian f16, row-major, one a group.
//
// Scales of two levels are those of GGUF's K-quants. `scales` (and `minimums`) then have one f16 a superblock of 256
// columns, and `scaleCodes` the small integers of its groups:
//   symmetric:  value = superScale × scaleCode × (code − 2^(bits−1)),   scaleCode signed
//   min:        value = superScale × scaleCode × code + superMinimum × minimumCode,   both codes unsigned
// A superblock's scale codes take
//   4 bits, min, 16 groups:        16 bytes; byte g is scaleCode | minimumCode << 4
//   6 bits, min, 8 groups:         12 bytes, three words: nibble g of word 0 is scaleCode & 15, of word 1 minimumCode & 15;
//                                  word 2 has scaleCode >> 4 in bits 2g, 2g + 1 and minimumCode >> 4 in bits 16 + 2g, 17 + 2g
//   6 bits, symmetric, 16 groups:  12 bytes, three words: nibble g & 7 of word g >> 3 is (scaleCode + 32) & 15; word 2 has
//                                  (scaleCode + 32) >> 4 in bits 2g, 2g + 1
//   8 bits, symmetric, 16 groups:  16 signed bytes

/** Bits of one plane. */
export type PlaneBits = 1 | 2 | 4 | 8;

export interface QuantFormat {
  /** 'q4g32': bits, then the group size; an m for minimums. 'q4k': the numbers of GGUF's Q4_K. */
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
/** Columns that share the f16 scale of two-level scales. */
export const SUPERBLOCK = 256;

type Bits = 2 | 3 | 4 | 5 | 6 | 8;
type GroupSize = QuantFormat['groupSize'];
export type GroupedFormatName = `q${2 | 3 | 4 | 8}g${GroupSize}${'' | 'm'}` | 'q5g32' | 'q5g32m';
export type TwoLevelFormatName = 'q2k' | 'q3k' | 'q4k' | 'q5k' | 'q6k';
export type QuantFormatName = GroupedFormatName | TwoLevelFormatName;
export type FormatName = PlainFormat['name'] | QuantFormatName;

const PLANES: Readonly<Record<Bits, readonly PlaneBits[]>> = {
  2: [2],
  3: [2, 1],
  4: [4],
  5: [4, 1],
  6: [4, 2],
  8: [8],
};

const OFFSETS = ['symmetric', 'min'] as const;

function grouped(bits: Bits, groupSize: GroupSize): QuantFormat[] {
  return OFFSETS.map((offset) => ({
    name: `q${bits}g${groupSize}${offset === 'min' ? 'm' : ''}`,
    planes: PLANES[bits],
    groupSize,
    scale: 'f16',
    offset,
  }));
}

function twoLevel(bits: Bits, groupSize: GroupSize, scaleBits: 4 | 6 | 8, offset: QuantFormat['offset']): QuantFormat {
  return {
    name: `q${bits}k`,
    planes: PLANES[bits],
    groupSize,
    scale: { superblock: SUPERBLOCK, bits: scaleBits },
    offset,
  };
}

const QUANTIZED: readonly QuantFormat[] = [
  ...([2, 3, 4, 8] as const).flatMap((bits) => ([16, 32, 64, 128] as const).flatMap((size) => grouped(bits, size))),
  ...grouped(5, 32),
  twoLevel(2, 16, 4, 'min'),
  twoLevel(3, 16, 6, 'symmetric'),
  twoLevel(4, 32, 6, 'min'),
  twoLevel(5, 32, 6, 'min'),
  twoLevel(6, 16, 8, 'symmetric'),
];

export const FORMATS = Object.fromEntries(
  [{ name: 'f32' } as const, { name: 'f16' } as const, ...QUANTIZED].map((format) => [format.name, format]),
) as unknown as Readonly<Record<PlainFormat['name'], PlainFormat>> & Readonly<Record<QuantFormatName, QuantFormat>>;

export function isQuantized(format: WeightFormat): format is QuantFormat {
  return 'planes' in format;
}

/** Two-level scales: the superblock's f16, times a small integer a group. */
export function hasScaleCodes(format: WeightFormat): boolean {
  return isQuantized(format) && format.scale !== 'f16';
}

/** Bits of one code: the sum of the planes. */
export function codeBits(format: QuantFormat): number {
  return format.planes.reduce((sum, bits) => sum + bits, 0);
}

/** Columns to which one number of `scales` belongs. */
export function scaleSpan({ scale, groupSize }: QuantFormat): number {
  return scale === 'f16' ? groupSize : scale.superblock;
}

/** Bytes of the scale codes of one superblock, minimums' codes included; 0 for scales of one level. */
export function scaleCodeBytes({ scale, groupSize, offset }: QuantFormat): number {
  if (scale === 'f16') return 0;
  return ((scale.superblock / groupSize) * scale.bits * (offset === 'min' ? 2 : 1)) / 8;
}

/** Why a matrix of this width cannot be stored in this format, or undefined when it can. */
export function formatLimit(format: WeightFormat, columns: number): string | undefined {
  if (!isQuantized(format)) return undefined;
  const multiple = Math.max(BLOCK, scaleSpan(format));
  if (columns % multiple === 0) return undefined;
  return `${format.name} needs rows of a multiple of ${multiple} weights; this matrix has ${columns}`;
}

/** Bytes of each plane, of the scales, of their codes, and in all, for a matrix of `rows × columns` (columns fit the format). */
export function formatBytes(
  format: WeightFormat,
  rows: number,
  columns: number,
): { planes: number[]; scales: number; minimums: number; scaleCodes: number; total: number } {
  const count = rows * columns;
  if (!isQuantized(format)) {
    const bytes = count * (format.name === 'f32' ? 4 : 2);
    return { planes: [bytes], scales: 0, minimums: 0, scaleCodes: 0, total: bytes };
  }
  const planes = format.planes.map((bits) => (count * bits) / 8);
  const spans = count / scaleSpan(format);
  const scales = spans * 2;
  const minimums = format.offset === 'min' ? scales : 0;
  const scaleCodes = spans * scaleCodeBytes(format);
  const total = planes.reduce((a, b) => a + b, 0) + scales + minimums + scaleCodes;
  return { planes, scales, minimums, scaleCodes, total };
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
  /** f16 bits, one a group (a superblock for two-level scales), row-major; empty for plain formats. */
  scales: Uint16Array;
  /** f16 bits of the minimums, for `offset: 'min'`; else empty. */
  minimums: Uint16Array;
  /** Two-level scales only: the superblocks' scale codes, row-major. */
  scaleCodes?: Uint8Array;
}
