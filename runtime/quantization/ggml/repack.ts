// Types of ggml that are rows of our own format table: the same codes and the same scales, which only lie elsewhere. A file
// interleaves each block's scale with its codes; our planes keep them apart.

import { FORMATS, formatBytes, type FormatName, type PackedMatrix } from '../formats.ts';

const EQUAL_FORMATS: ReadonlyMap<string, FormatName> = new Map([
  ['Q4_0', 'q4g32'],
  ['Q8_0', 'q8g32'],
]);

/** The row of the format table that holds exactly the same numbers in the same number of bytes, or undefined. */
export function equalFormat(typeName: string): FormatName | undefined {
  return EQUAL_FORMATS.get(typeName);
}

/** Whole rows of a Q4_0 or Q8_0 matrix in the format that `equalFormat` names, without loss. */
export function repack(name: FormatName, bytes: Uint8Array, rows: number, columns: number): PackedMatrix {
  const format = FORMATS[name];
  const sizes = formatBytes(format, rows, columns);
  const codes = new Uint8Array(sizes.planes[0]!);
  const scales = new Uint16Array(sizes.scales / 2);
  const codeBytes = codes.length / scales.length;
  for (let block = 0, at = 0, to = 0; block < scales.length; block++, at += codeBytes + 2, to += codeBytes) {
    scales[block] = bytes[at]! | (bytes[at + 1]! << 8);
    codes.set(bytes.subarray(at + 2, at + 2 + codeBytes), to);
  }
  return { format, rows, columns, planes: [codes], scales, minimums: new Uint16Array(0) };
}
