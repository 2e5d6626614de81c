// What a matrix-vector product does with its sums. A *unit* is the rows that one group of threads sums together; how rows
// come together in units is chosen so that whatever must meet (a gate and its counterpart, the two dimensions of a rotation
// and the two halves of a word in the cache) meets in one thread.

import { repeat } from './kernel.ts';
import type { MatvecVariant } from './matvec-variant.ts';

export interface MatvecEpilogue {
  units: number;
  /** The r-th row of `unit`, as an expression. */
  row(r: number): string;
  /** Statements that write `value0` … from `unit`. */
  write: string;
}

export interface RotaryShape {
  heads: number;
  keyValueHeads: number;
  headDim: number;
  /** Tokens that the caches have room for. */
  context: number;
}

/** A variant's fields are plain: the shape travels as 'heads/keyValueHeads/headDim/context'. */
export function rotaryText({ heads, keyValueHeads, headDim, context }: RotaryShape): string {
  return [heads, keyValueHeads, headDim, context].join('/');
}

function rotaryShape(text: string): RotaryShape {
  const [heads, keyValueHeads, headDim, context] = text.split('/').map(Number) as [number, number, number, number];
  return { heads, keyValueHeads, headDim, context };
}

export function matvecEpilogue(variant: MatvecEpilogueVariant): MatvecEpilogue {
  if (variant.activation) return activationEpilogue(variant);
  return variant.rotary ? rotaryEpilogue(rotaryShape(variant.rotary)) : plainEpilogue(variant);
}

/** The units of a variant: what its dispatch is counted in. */
export function matvecUnits(variant: MatvecEpilogueVariant): number {
  return matvecEpilogue(variant).units;
}

type MatvecEpilogueVariant = Pick<
  MatvecVariant,
  'rows' | 'firstRow' | 'rowsPerThread' | 'hasResidual' | 'activation' | 'rotary'
>;

function plainEpilogue({ rows, firstRow, rowsPerThread, hasResidual }: MatvecEpilogueVariant): MatvecEpilogue {
  const index = (r: number): string => `${firstRow}u + unit * ${rowsPerThread}u + ${r}u`;
  const value = (r: number): string => (hasResidual ? `value${r} + residual[${index(r)}]` : `value${r}`);
  return {
    units: Math.ceil(rows / rowsPerThread),
    row: (r) => `min(unit * ${rowsPerThread}u + ${r}u, ${rows - 1}u)`,
    write: repeat(
      rowsPerThread,
      (r) => `if (unit * ${rowsPerThread}u + ${r}u < ${rows}u) {
      result[${index(r)}] = ${value(r)};
    }`,
      '\n    ',
    ),
  };
}

function activationEpilogue({ rows, rowsPerThread }: MatvecEpilogueVariant): MatvecEpilogue {
  const width = rows / 2;
  const each = rowsPerThread / 2;
  return {
    units: Math.ceil(width / each),
    row: (r) => `min(unit * ${each}u + ${r % each}u, ${width - 1}u) + ${r < each ? 0 : width}u`,
    write: repeat(
      each,
      (i) => `if (unit * ${each}u + ${i}u < ${width}u) {
      result[unit * ${each}u + ${i}u] = activation(value${i}) * value${i + each};
    }`,
      '\n    ',
    ),
  };
}

/** Rows of a unit: two neighbouring dimensions of a head's first half, and the two that turn with them. */
export const ROTARY_ROWS_PER_THREAD = 4;

function rotaryEpilogue({ heads, keyValueHeads, headDim, context }: RotaryShape): MatvecEpilogue {
  const [half, quarter] = [headDim / 2, headDim / 4];
  const cacheStart = (head: string): string => `((${head}) * ${context}u + step.past) * ${half}u + pair`;
  return {
    units: (heads + 2 * keyValueHeads) * quarter,
    row: (r) => `unit / ${quarter}u * ${headDim}u + unit % ${quarter}u * 2u + ${(r & 1) + (r >> 1) * half}u`,
    write: `let head = unit / ${quarter}u;
    let pair = unit % ${quarter}u;
    let first = vec2<f32>(value0, value1);
    let second = vec2<f32>(value2, value3);
    if (head >= ${heads + keyValueHeads}u) {
      let start = ${cacheStart(`head - ${heads + keyValueHeads}u`)};
      values[start] = pack2x16float(first);
      values[start + ${quarter}u] = pack2x16float(second);
      return;
    }
    let cosine = rotary[pair];
    let sine = rotary[pair + ${quarter}u];
    let rotatedFirst = first * cosine - second * sine;
    let rotatedSecond = second * cosine + first * sine;
    if (head >= ${heads}u) {
      let start = ${cacheStart(`head - ${heads}u`)};
      keys[start] = pack2x16float(rotatedFirst);
      keys[start + ${quarter}u] = pack2x16float(rotatedSecond);
      return;
    }
    queries[head * ${half}u + pair] = rotatedFirst;
    queries[head * ${half}u + pair + ${quarter}u] = rotatedSecond;`,
  };
}
