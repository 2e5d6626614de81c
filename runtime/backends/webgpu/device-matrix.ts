// A packed matrix as it lies on the device: as many bytes as it has in quantization/formats.ts, in one binding a plane and
// one for all about scales, since a kernel may bind few buffers. The binding `scales` has
//   one level, symmetric:   the f16s, in pairs
//   one level, min:         a word a group: the scale in its low half, the minimum in its high half
//   two levels, min:        a record a superblock: a word of f16 scale (low) and f16 minimum, then the words of scale codes
//   two levels, symmetric:  the words of scale codes of all superblocks, then the superblocks' f16s, in pairs

import {
  type FormatName,
  FORMATS,
  isQuantized,
  type PackedMatrix,
  scaleCodeBytes,
} from '../../quantization/formats.ts';

export interface DeviceMatrix {
  planes: readonly Uint8Array[];
  /** Undefined for plain numbers. */
  scales: ArrayBufferView | undefined;
}

/** Bindings that a matrix takes: its planes, and its scales if it has any. */
export function matrixBindings(name: FormatName): number {
  const format = FORMATS[name];
  return isQuantized(format) ? format.planes.length + 1 : 1;
}

/** Rows firstRow … firstRow + rows − 1 of a matrix; where a word is shared, the first of them begins it. */
export function deviceMatrix(matrix: PackedMatrix, firstRow: number, rows: number): DeviceMatrix {
  const { format } = matrix;
  const cut = <T extends Uint8Array | Uint16Array>(array: T): T => {
    const each = array.length / matrix.rows;
    return array.subarray(firstRow * each, (firstRow + rows) * each) as T;
  };
  const planes = matrix.planes.map(cut);
  if (!isQuantized(format)) return { planes, scales: undefined };
  const [scales, minimums] = [cut(matrix.scales), cut(matrix.minimums)];
  const isMin = format.offset === 'min';
  const scaleCodes = matrix.scaleCodes && cut(matrix.scaleCodes);
  if (!scaleCodes) return { planes, scales: isMin ? records(scales, minimums) : scales };
  if (isMin) return { planes, scales: records(scales, minimums, scaleCodes, scaleCodeBytes(format)) };
  const joined = new Uint8Array(scaleCodes.length + scales.byteLength);
  joined.set(scaleCodes);
  joined.set(new Uint8Array(scales.buffer, scales.byteOffset, scales.byteLength), scaleCodes.length);
  return { planes, scales: joined };
}

/** A scale and its minimum in a word, each time followed by so many bytes of codes. */
function records(
  scales: Uint16Array,
  minimums: Uint16Array,
  codes: Uint8Array = new Uint8Array(0),
  codeBytes = 0,
): Uint8Array {
  const result = new Uint8Array(scales.length * (4 + codeBytes));
  const halves = new Uint16Array(result.buffer);
  for (let i = 0; i < scales.length; i++) {
    const start = i * (4 + codeBytes);
    halves[start / 2] = scales[i]!;
    halves[start / 2 + 1] = minimums[i]!;
    for (let j = 0; j < codeBytes; j++) result[start + 4 + j] = codes[i * codeBytes + j]!;
  }
  return result;
}
