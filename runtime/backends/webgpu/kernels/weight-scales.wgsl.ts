// How a kernel reads the scales (and minimums) of a chunk. It has one group or several; or it shares its group with other
// chunks. What is loaded and what it means are apart, so that a kernel may load early. device-matrix.ts says how they lie.

import { type QuantFormat, SUPERBLOCK } from '../../../quantization/formats.ts';
import { twoLevelScales } from '../two-level-scales.ts';
import { float } from './kernel.ts';
import { FLOAT_VECTORS, perGroup, type ScaleText } from './weight-scale-text.ts';

export interface ChunkScales {
  /** Groups of a chunk: 1, 2 or 4. */
  groups: number;
  hasMinimums: boolean;
  /** WGSL type of an element of the binding `scales`, of what a chunk loads, and of what that means. */
  element: string;
  raw: string;
  type: string;
  /** The scale and the minimum of a group, of a variable of `type`. */
  scale(variable: string, group: number): string;
  minimum(variable: string, group: number): string;
  text(superblocks: string, factor: number): ScaleText;
}

const COMPONENTS = ['x', 'y', 'z', 'w'] as const;
const WORDS: Readonly<Record<number, string>> = { 1: 'u32', 2: 'vec2<u32>', 4: 'vec4<u32>' };

/** The scales of a chunk of so many columns. */
export function chunkScales(format: QuantFormat, columns: number): ChunkScales {
  const groups = Math.max(1, columns / format.groupSize);
  const hasMinimums = format.offset === 'min';
  const component = (group: number): string => (groups === 1 ? '' : `.${COMPONENTS[group]!}`);
  const text = (superblocks: string, factor: number): ScaleText =>
    format.scale === 'f16'
      ? oneLevelText(groups, Math.max(1, format.groupSize / columns), hasMinimums, factor)
      : twoLevelScales.get().twoLevelText(format, format.scale.bits, groups, SUPERBLOCK / columns, superblocks, factor);
  const { element, raw } = text('', 1);
  return {
    groups,
    hasMinimums,
    element,
    raw,
    type: hasMinimums ? 'ChunkScale' : FLOAT_VECTORS[groups]!,
    scale: (variable, group) => `${variable}${hasMinimums ? '.scale' : ''}${component(group)}`,
    minimum: (variable, group) => `${variable}.minimum${component(group)}`,
    text,
  };
}

/** f16 scales, in pairs; or a scale and its minimum, a word each. */
function oneLevelText(groups: number, chunksPerScale: number, hasMinimums: boolean, factor: number): ScaleText {
  const index = (perWord: number): string => (perWord === 1 ? 'chunkIndex' : `chunkIndex / ${perWord}u`);
  const words = hasMinimums ? groups : Math.max(1, groups / 2);
  const element = WORDS[words]!;
  const word = (i: number): string => (words === 1 ? 'raw' : `raw.${COMPONENTS[i]!}`);
  const pair = (i: number): string => `unpack2x16float(${word(i)})`;
  const shape = { element, raw: element };
  if (hasMinimums) {
    const scales = perGroup(groups, (g) => `${pair(g)}.x`);
    const minimums = perGroup(groups, (g) => `${pair(g)}.y`);
    const decode = `return ChunkScale(${float(factor)} * ${scales}, ${minimums});`;
    return { ...shape, load: `return scales[${index(chunksPerScale)}];`, decode };
  }
  if (groups > 1) {
    const value = groups === 2 ? pair(0) : `vec4<f32>(${pair(0)}, ${pair(1)})`;
    return { ...shape, load: 'return scales[chunkIndex];', decode: `return ${float(factor)} * ${value};` };
  }
  const decode = `let pair = unpack2x16float(raw);
  return ${float(factor)} * select(pair.x, pair.y, ((${index(chunksPerScale)}) & 1u) == 1u);`;
  return { ...shape, load: `return scales[${index(2 * chunksPerScale)}];`, decode };
}

/**
 * The functions `loadScale(chunk)` of a chunk's words, `scaleOf(words, chunk)` of what they mean, times `factor`, and
 * `chunkScale(chunk)` of both. `superblocks` is a WGSL expression of how many superblocks the bound matrix has: formats
 * without two-level scales do not look at it. Plain formats get no functions.
 */
export function scaleFunctions(scales: ChunkScales | undefined, superblocks: string, factor: number): string {
  if (!scales) return '';
  const { groups, hasMinimums, raw, type } = scales;
  const { load, decode } = scales.text(superblocks, factor);
  return `
${hasMinimums ? `struct ChunkScale { scale: ${FLOAT_VECTORS[groups]!}, minimum: ${FLOAT_VECTORS[groups]!} }` : ''}
fn loadScale(chunkIndex: u32) -> ${raw} {
  ${load}
}
fn scaleOf(raw: ${raw}, chunkIndex: u32) -> ${type} {
  ${decode}
}
fn chunkScale(chunkIndex: u32) -> ${type} {
  return scaleOf(loadScale(chunkIndex), chunkIndex);
}`;
}
