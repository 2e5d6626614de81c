// What the kernels need to know of each row of the format table (quantization/formats.ts).

import {
  BLOCK,
  codeBits,
  FORMATS,
  isQuantized,
  scaleCodeBytes,
  scaleSpan,
  type FormatName,
  type QuantFormat,
} from '../../quantization/formats.ts';
import { activationGroupBytes, ACTIVATION_GROUP } from './layouts.ts';
import type { KernelName } from './tape.ts';

export interface FormatRow {
  linear: KernelName;
  embed: KernelName;
  /** What makes the activations ready for the product; f32 takes them as they are. */
  prepare: KernelName | undefined;
  /** Bits of a code, or of a number. */
  bits: number;
  /** Undefined for plain formats, as everything below is 0. */
  quantized: QuantFormat | undefined;
  /** What a code is off from the number that it stands for. */
  correction: number;
  /** Columns to which one f16 scale belongs. */
  scaleColumns: number;
  /** Columns that share a scale, and a minimum. */
  groupColumns: number;
  /** Columns that share a minimum: 0 without minimums. */
  sumColumns: number;
  /** Bytes of the scale codes of one superblock of a row. */
  scaleCodeBytes: number;
}

const NO_GROUPS = { correction: 0, scaleColumns: 0, groupColumns: 0, sumColumns: 0, scaleCodeBytes: 0 };

function quantizedRow(format: QuantFormat): FormatRow {
  const bits = codeBits(format);
  const isMin = format.offset === 'min';
  const scales = format.scale !== 'f16' ? 'K' : format.groupSize < BLOCK ? 'Narrow' : 'Wide';
  return {
    linear: `linearQ${bits}${scales}` as KernelName,
    embed: 'embedInteger',
    prepare: bits === 8 ? 'splitActivations' : 'quantizeActivations',
    bits,
    quantized: format,
    // Codes of 8 bits are stored as signed bytes: less by 128, which is right for symmetric weights.
    correction: bits === 8 ? (isMin ? 128 : 0) : isMin ? 0 : -(2 ** (bits - 1)),
    scaleColumns: scaleSpan(format),
    groupColumns: format.groupSize,
    sumColumns: isMin ? format.groupSize : 0,
    scaleCodeBytes: scaleCodeBytes(format),
  };
}

export function rowOf(name: FormatName): FormatRow {
  const format = FORMATS[name];
  if (isQuantized(format)) return quantizedRow(format);
  const isHalf = name === 'f16';
  return {
    ...NO_GROUPS,
    linear: isHalf ? 'linearF16' : 'linearF32',
    embed: isHalf ? 'embedF16' : 'embedF32',
    prepare: isHalf ? 'foldActivations' : undefined,
    bits: isHalf ? 16 : 32,
    quantized: undefined,
  };
}

/** Bytes of `count` rows of prepared activations, and of the sums that stand behind them. */
export function preparedBytes(
  row: FormatRow,
  count: number,
  columns: number,
  isRelaxed: boolean,
): { activations: number; sums: number } {
  if (!row.prepare) return { activations: 0, sums: 0 };
  if (!row.quantized) return { activations: count * columns * 4, sums: 0 };
  const groups = (count * columns) / ACTIVATION_GROUP;
  return {
    activations: groups * activationGroupBytes(row.bits === 8, isRelaxed),
    sums: row.sumColumns === 0 ? 0 : ((count * columns) / row.sumColumns) * 4,
  };
}
