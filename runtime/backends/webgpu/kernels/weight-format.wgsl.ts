// How a kernel reads weights of each format: a *chunk* is what one load of each plane brings, 16 bytes of the first. A kernel
// asks for the chunk's loads and for its vec4s of weights, and multiplies by the scale of each of the chunk's groups. See
// quantization/formats.ts for the planes' bytes, weight-scales.wgsl.ts for the scales, device-matrix.ts for the bindings.

import {
  BLOCK,
  codeBits,
  type FormatName,
  FORMATS,
  isQuantized,
  type QuantFormat,
} from '../../../quantization/formats.ts';
import { type Binding, float, repeat, requireMultiple } from './kernel.ts';
import { type ChunkScales, chunkScales, scaleFunctions } from './weight-scales.wgsl.ts';

/** A plane as a kernel binds it: each element is one chunk's. */
export interface ChunkPlane {
  name: 'plane' | 'plane1';
  /** What is added to the name of a loaded chunk for this plane's words. */
  suffix: '' | 'Low';
  /** WGSL type of one element. */
  type: string;
}

export interface ChunkFormat {
  /** Weights of a chunk. */
  columns: number;
  planes: readonly ChunkPlane[];
  /** The i-th vec4<f32> of a chunk loaded as `word`, before the scale. Its columns are 4·i … 4·i + 3. */
  vector(word: string, i: number): string;
  /** The same weights' codes, as the four unsigned bytes of a u32. Quantised formats only. */
  codes(word: string, i: number): string;
  /** Factor to fold into the scale, to make up for what `vector` left out. */
  scaleFactor: number;
  /** Subtracted from each weight of `vector`, in the same unit; 0 where there are minimums. */
  offset: number;
  /** Undefined for plain numbers. */
  scales: ChunkScales | undefined;
}

const COMPONENTS = ['x', 'y', 'z', 'w'] as const;
const WORD_TYPES: Readonly<Record<number, string>> = { 1: 'u32', 2: 'vec2<u32>', 4: 'vec4<u32>' };

/** unpack4x8unorm is in every WGSL and gives byte / 255. */
const UNORM = 255;

/**
 * In a block of 32 columns a plane of b bits has b words (4 bits: 4 words); the vec4 of columns 4·i … is in word i mod b, at
 * the bits from b·⌊i / b⌋ of each byte.
 */
function quantizedChunk(format: QuantFormat, columns: number): ChunkFormat {
  const bits = codeBits(format);
  const planes = format.planes.map((planeBits, p) => ({
    name: p === 0 ? 'plane' : 'plane1',
    suffix: p === 0 ? '' : 'Low',
    type: WORD_TYPES[(planeBits * columns) / BLOCK]!,
  })) satisfies ChunkPlane[];

  // The bits of one plane, where they belong in the code: `left` bits up.
  const part = (word: string, i: number, p: number, left: number): string => {
    const planeBits = format.planes[p]!;
    const { suffix, type } = planes[p]!;
    const vector = i % (BLOCK / 4);
    const index = Math.floor((4 * i) / BLOCK) * planeBits + (vector % planeBits);
    const own = type === 'u32' ? `${word}${suffix}` : `${word}${suffix}.${COMPONENTS[index]!}`;
    // Signed bytes become unsigned by flipping their top bits.
    if (planeBits === 8) return `${own} ^ 0x80808080u`;
    const mask = (((1 << planeBits) - 1) << left).toString(16).padStart(2, '0');
    return `${shifted(own, planeBits * Math.floor(vector / planeBits) - left)} & 0x${mask.repeat(4)}u`;
  };
  const codes = (word: string, i: number): string => {
    if (planes.length === 1) return part(word, i, 0, 0);
    return `(${part(word, i, 0, format.planes[1]!)}) | (${part(word, i, 1, 0)})`;
  };
  return {
    columns,
    planes,
    codes,
    vector: (word, i) => `unpack4x8unorm(${codes(word, i)})`,
    scaleFactor: UNORM,
    offset: format.offset === 'symmetric' ? 2 ** (bits - 1) / UNORM : 0,
    scales: chunkScales(format, columns),
  };
}

function shifted(word: string, right: number): string {
  if (right === 0) return word;
  return right > 0 ? `(${word} >> ${right}u)` : `(${word} << ${-right}u)`;
}

const HALVES_8: ChunkFormat = {
  columns: 8,
  planes: [{ name: 'plane', suffix: '', type: 'vec4<u32>' }],
  vector: (word, i) => {
    const [low, high] = i === 0 ? ['x', 'y'] : ['z', 'w'];
    return `vec4<f32>(unpack2x16float(${word}.${low!}), unpack2x16float(${word}.${high!}))`;
  },
  codes: () => '',
  scaleFactor: 1,
  offset: 0,
  scales: undefined,
};

const HALVES_4: ChunkFormat = {
  ...HALVES_8,
  columns: 4,
  planes: [{ name: 'plane', suffix: '', type: 'vec2<u32>' }],
  vector: (word) => `vec4<f32>(unpack2x16float(${word}.x), unpack2x16float(${word}.y))`,
};

const FLOATS: ChunkFormat = {
  ...HALVES_8,
  columns: 4,
  planes: [{ name: 'plane', suffix: '', type: 'vec4<f32>' }],
  vector: (word) => word,
};

/**
 * The widest chunk of a format that divides `columns`, which is a multiple of 32 for quantised formats (and no more than 32
 * where a kernel wants chunks of that at most). Throws `unsupported-operation` when it divides no load.
 */
export function chunkFormat(format: FormatName, columns: number): ChunkFormat {
  const description = FORMATS[format];
  if (isQuantized(description)) {
    const [firstBits] = description.planes;
    requireMultiple(`the columns of a matrix in ${format}`, columns, BLOCK);
    // 16 bytes of the first plane; of 2 bits 8 where rows are no multiples of 64 columns.
    const widest = 128 / firstBits!;
    return quantizedChunk(description, columns % widest === 0 ? widest : BLOCK);
  }
  requireMultiple(`the columns of a matrix in ${format}`, columns, 4);
  if (format === 'f32') return FLOATS;
  return columns % 8 === 0 ? HALVES_8 : HALVES_4;
}

/**
 * The bindings of a matrix: its planes, and its scales if it has any. Kernels that read scales for other widths than a
 * chunk's say so with `scales`.
 */
export function weightBindings(
  format: FormatName,
  columns: number,
  scales: ChunkScales | undefined = chunkFormat(format, columns).scales,
): Binding[] {
  const { planes } = chunkFormat(format, columns);
  const bindings: Binding[] = planes.map(({ name, type }) => ({ name, access: 'read', type: `array<${type}>` }));
  if (scales) bindings.push({ name: 'scales', access: 'read', type: `array<${scales.element}>` });
  return bindings;
}

/** Statements that load chunk `index` as `word`: a variable a plane. */
export function loadChunk({ planes }: ChunkFormat, word: string, index: string): string {
  return planes.map(({ name, suffix }) => `let ${word}${suffix} = ${name}[${index}];`).join(' ');
}

/**
 * The function `chunkVectors(index)`: a chunk as an array of scaled vec4s, for kernels that keep the weights.
 * `superblocks` as in `scaleFunctions`.
 */
export function chunkVectorsFunction(chunk: ChunkFormat, superblocks: string): string {
  const { scales } = chunk;
  const count = chunk.columns / 4;
  const value = (i: number): string => {
    if (!scales) return chunk.vector('word', i);
    const group = Math.floor((i * scales.groups) / count);
    const scale = scales.scale('scale', group);
    if (scales.hasMinimums) return `${chunk.vector('word', i)} * ${scale} + ${scales.minimum('scale', group)}`;
    return `(${chunk.vector('word', i)} - ${float(chunk.offset)}) * ${scale}`;
  };
  return `${scaleFunctions(chunk.scales, superblocks, chunk.scaleFactor)}
fn chunkVectors(chunkIndex: u32) -> array<vec4<f32>, ${count}> {
  ${loadChunk(chunk, 'word', 'chunkIndex')}
  ${scales ? 'let scale = chunkScale(chunkIndex);' : ''}
  return array<vec4<f32>, ${count}>(
    ${repeat(count, value, ',\n    ')}
  );
}`;
}
