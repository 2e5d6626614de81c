// Two-level scales as kernels read them: a superblock's f16, times a small integer a group. The integers' bytes are those of
// quantization/formats.ts; device-matrix.ts says where the f16s are.

import { type QuantFormat, scaleCodeBytes } from '../../../quantization/formats.ts';
import { float } from './kernel.ts';
import { perGroup, type ScaleText } from './weight-scale-text.ts';

/** Of a chunk of `groups` groups; `chunks` of them make a superblock. */
export function twoLevelText(
  format: QuantFormat,
  codeBits: 4 | 6 | 8,
  groups: number,
  chunks: number,
  superblocks: string,
  factor: number,
): ScaleText {
  const words = scaleCodeBytes(format) / 4;
  const superblock = `let superblock = chunkIndex / ${chunks}u;`;
  const group = `let group = chunkIndex % ${chunks}u * ${groups}u;`;
  const prelude = `${superblock}\n  ${group}`;
  const field = (word: string, shift: number, mask: number): string => `((${word} >> ${shift}u) & ${mask}u)`;

  if (format.offset === 'min') {
    const decode = (codes: string, scale: (g: number) => string, minimum: (g: number) => string): string => `${group}
  ${codes}
  let pair = unpack2x16float(raw.x);
  return ChunkScale(${float(factor)} * pair.x * ${perGroup(groups, scale)}, pair.y * ${perGroup(groups, minimum)});`;
    if (codeBits === 4) {
      return {
        element: 'u32',
        raw: 'vec2<u32>',
        load: `${prelude}
  let start = superblock * ${words + 1}u;
  return vec2<u32>(scales[start], scales[start + 1u + group / 4u]);`,
        decode: decode(
          'let codes = raw.y >> (group % 4u * 8u);',
          (g) => `f32(${field('codes', 8 * g, 15)})`,
          (g) => `f32(${field('codes', 8 * g + 4, 15)})`,
        ),
      };
    }
    const six = (low: string, high: string): string => `f32(${field(low, 0, 15)} | (${field(high, 0, 3)} << 4u))`;
    return {
      element: 'vec4<u32>',
      raw: 'vec4<u32>',
      load: `return scales[chunkIndex / ${chunks}u];`,
      decode: decode(
        'let codes = vec4<u32>(raw.y, raw.z, raw.w, raw.w >> 16u) >> (vec4<u32>(4u, 4u, 2u, 2u) * group);',
        () => six('codes.x', 'codes.z'),
        () => six('codes.y', 'codes.w'),
      ),
    };
  }

  const superScale = `scales[${superblocks} * ${words}u + superblock / 2u]`;
  const decode = (codes: string, scale: (g: number) => string): string => `${prelude}
  ${codes}
  let pair = unpack2x16float(raw.x);
  return ${float(factor)} * select(pair.x, pair.y, superblock % 2u == 1u) * ${perGroup(groups, scale)};`;
  if (codeBits === 8) {
    return {
      element: 'u32',
      raw: 'vec2<u32>',
      load: `${prelude}
  return vec2<u32>(${superScale}, scales[superblock * ${words}u + group / 4u]);`,
      decode: decode(
        'let codes = bitcast<i32>(raw.y >> (group % 4u * 8u));',
        (g) => `f32(extractBits(codes, ${8 * g}u, 8u))`,
      ),
    };
  }
  return {
    element: 'u32',
    raw: 'vec3<u32>',
    load: `${prelude}
  let start = superblock * ${words}u;
  return vec3<u32>(${superScale}, scales[start + group / 8u], scales[start + 2u]);`,
    decode: decode(
      'let codes = vec2<u32>(raw.y >> (group % 8u * 4u), raw.z >> (group * 2u));',
      (g) => `f32(i32(${field('codes.x', 4 * g, 15)} | (${field('codes.y', 2 * g, 3)} << 4u)) - 32)`,
    ),
  };
}
