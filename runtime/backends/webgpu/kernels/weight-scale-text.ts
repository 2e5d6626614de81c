// What the texts of one-level and two-level scales share.

import { repeat } from './kernel.ts';

/** Statements of two functions' bodies: `load` returns the words of chunk `chunkIndex`, `decode` makes scales of `raw`. */
export interface ScaleText {
  /** WGSL type of an element of the binding `scales`. */
  element: string;
  /** WGSL type of what is loaded. */
  raw: string;
  load: string;
  decode: string;
}

/** WGSL types by how many numbers they hold. */
export const FLOAT_VECTORS: Readonly<Record<number, string>> = { 1: 'f32', 2: 'vec2<f32>', 4: 'vec4<f32>' };

/** A number, or a vector of as many as there are groups. */
export function perGroup(groups: number, value: (group: number) => string): string {
  return groups === 1 ? value(0) : `${FLOAT_VECTORS[groups]!}(${repeat(groups, value, ', ')})`;
}
