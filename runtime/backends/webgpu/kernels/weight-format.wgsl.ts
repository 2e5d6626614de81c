// How a kernel reads weights of each format: a *chunk* is what one 16-byte load brings. A kernel asks for the chunk's load
// and for its vec4s of weights, and multiplies by the chunk's scale where there is one. See quantization/formats.ts for the bytes.

import { WpError } from '../../../errors.ts';
import { formatLimit, type FormatName, FORMATS } from '../../../quantization/formats.ts';
import { type Binding, repeat, requireMultiple } from './kernel.ts';

export interface ChunkFormat {
  /** Weights of a chunk. */
  columns: number;
  /** WGSL type of one element of the plane's binding: one chunk. */
  type: string;
  isScaled: boolean;
  /** The i-th vec4<f32> of a loaded chunk `word`, before the scale. Its columns are 4·i … 4·i + 3. */
  vector(word: string, i: number): string;
  /** Factor to fold into the scale, to make up for what `vector` left out. */
  scaleFactor: number;
  /** Subtracted from each weight of `vector`, in the same unit. */
  offset: number;
  /** Chunks that share a scale. */
  chunksPerScale: number;
}

const COMPONENTS = ['x', 'y', 'z', 'w'] as const;

/** unpack4x8unorm is in every WGSL and gives byte / 255. */
const UNORM = 255;

const QUANTIZED = {
  // Word i holds columns 4·i … 4·i + 3 in the low nibbles of its bytes, and columns 16 + 4·i … in the high ones.
  q4g32: {
    columns: 32,
    type: 'vec4<u32>',
    isScaled: true,
    vector: (word: string, i: number) => {
      const nibbles = i < 4 ? `${word}.${COMPONENTS[i]!}` : `(${word}.${COMPONENTS[i - 4]!} >> 4u)`;
      return `unpack4x8unorm(${nibbles} & 0x0f0f0f0fu)`;
    },
    scaleFactor: UNORM,
    offset: 8 / UNORM,
    chunksPerScale: 1,
  },
  // Signed bytes: unpack4x8snorm maps −128 to −1, as −127, so the bytes are made unsigned by flipping their top bits.
  q8g32: {
    columns: 16,
    type: 'vec4<u32>',
    isScaled: true,
    vector: (word: string, i: number) => `unpack4x8unorm(${word}.${COMPONENTS[i]!} ^ 0x80808080u)`,
    scaleFactor: UNORM,
    offset: 128 / UNORM,
    chunksPerScale: 2,
  },
} as const satisfies Partial<Record<FormatName, ChunkFormat>>;

const HALVES_8: ChunkFormat = {
  columns: 8,
  type: 'vec4<u32>',
  isScaled: false,
  vector: (word, i) => {
    const [low, high] = i === 0 ? ['x', 'y'] : ['z', 'w'];
    return `vec4<f32>(unpack2x16float(${word}.${low!}), unpack2x16float(${word}.${high!}))`;
  },
  scaleFactor: 1,
  offset: 0,
  chunksPerScale: 1,
};

const HALVES_4: ChunkFormat = {
  ...HALVES_8,
  columns: 4,
  type: 'vec2<u32>',
  vector: (word) => `vec4<f32>(unpack2x16float(${word}.x), unpack2x16float(${word}.y))`,
};

const FLOATS: ChunkFormat = { ...HALVES_8, columns: 4, type: 'vec4<f32>', vector: (word) => word };

/** The chunk of a format for rows of `columns` weights. Throws `unsupported-operation` when they do not fit. */
export function chunkFormat(format: FormatName, columns: number): ChunkFormat {
  const limit = formatLimit(FORMATS[format], columns);
  if (limit) throw new WpError('unsupported-operation', limit, '', { actual: columns });
  if (format === 'q4g32' || format === 'q8g32') return QUANTIZED[format];
  if (format !== 'f32' && format !== 'f16') {
    throw new WpError('unsupported-format', `The WebGPU backend has no kernels for ${format}.`, '', { actual: format });
  }
  requireMultiple(`the columns of a matrix in ${format}`, columns, 4);
  if (format === 'f32') return FLOATS;
  return columns % 8 === 0 ? HALVES_8 : HALVES_4;
}

/** The bindings of a matrix: its plane, and its scales if it has any. */
export function weightBindings(format: FormatName, columns: number): Binding[] {
  const chunk = chunkFormat(format, columns);
  const plane: Binding = { name: 'plane', access: 'read', type: `array<${chunk.type}>` };
  if (!chunk.isScaled) return [plane];
  return [plane, { name: 'scales', access: 'read', type: 'array<u32>' }];
}

/**
 * The function `chunkScale(index)` of the scale of a chunk, f16s being read from pairs in words. Formats without scales get
 * none.
 */
export function scaleFunction(chunk: ChunkFormat): string {
  if (!chunk.isScaled) return '';
  const index = chunk.chunksPerScale === 1 ? 'chunkIndex' : `chunkIndex / ${chunk.chunksPerScale}u`;
  return `
fn chunkScale(chunkIndex: u32) -> f32 {
  let index = ${index};
  let pair = unpack2x16float(scales[index >> 1u]);
  return ${float(chunk.scaleFactor)} * select(pair.x, pair.y, (index & 1u) == 1u);
}`;
}

/** The function `chunkVectors(index)`: a chunk as an array of scaled vec4s, for kernels that keep the weights. */
export function chunkVectorsFunction(chunk: ChunkFormat): string {
  const count = chunk.columns / 4;
  const value = (i: number): string => {
    if (!chunk.isScaled) return chunk.vector('word', i);
    return `(${chunk.vector('word', i)} - ${float(chunk.offset)}) * scale`;
  };
  return `${scaleFunction(chunk)}
fn chunkVectors(chunkIndex: u32) -> array<vec4<f32>, ${count}> {
  let word = plane[chunkIndex];
  ${chunk.isScaled ? 'let scale = chunkScale(chunkIndex);' : ''}
  return array<vec4<f32>, ${count}>(
    ${repeat(count, value, ',\n    ')}
  );
}`;
}

/** A WGSL f32 literal. */
export function float(value: number): string {
  const text = String(value);
  return /[.e]/.test(text) ? `${text}f` : `${text}.0f`;
}
