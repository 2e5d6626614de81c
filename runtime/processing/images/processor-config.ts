// preprocessor_config.json as data: how a checkpoint wants its images. Format: the image processors of transformers (their PIL
// editions), whose defaults fill what the file leaves out.

import { WpError } from '../../errors.ts';
import { isRecord } from '../json.ts';

/** By their numbers in Pillow. */
export const RESAMPLING = ['nearest', 'lanczos', 'bilinear', 'bicubic', 'box', 'hamming'] as const;
export type Resampling = (typeof RESAMPLING)[number];

export interface PixelSize {
  width: number;
  height: number;
}

export interface ImageProcessorConfig {
  /** To a size, or until the shorter edge has so many pixels; undefined: images stay as they are. */
  resize: PixelSize | { shortestEdge: number } | undefined;
  resampling: Resampling;
  /** The middle of what was resized, with black around what is smaller. */
  crop: PixelSize | undefined;
  /** A byte times this; undefined: bytes as numbers. */
  rescaleFactor: number | undefined;
  /** (number − mean) / deviation for red, green, blue; undefined: as they are. */
  normalization: { mean: readonly number[]; deviation: readonly number[] } | undefined;
}

interface Defaults {
  size: Record<string, number>;
  /** What a `size` that is one number means. */
  isNumberSquare: boolean;
  resample: number;
  crop: Record<string, number> | undefined;
  mean: readonly number[];
  deviation: readonly number[];
}

const HALF = [0.5, 0.5, 0.5];
const CLIP_MEAN = [0.48145466, 0.4578275, 0.40821073];
const CLIP_DEVIATION = [0.26862954, 0.26130258, 0.27577711];
const square = (edge: number) => ({ height: edge, width: edge });

const CLIP: Defaults = {
  size: { shortest_edge: 224 },
  isNumberSquare: false,
  resample: 3,
  crop: square(224),
  mean: CLIP_MEAN,
  deviation: CLIP_DEVIATION,
};
const VIT: Defaults = {
  size: square(224),
  isNumberSquare: true,
  resample: 2,
  crop: undefined,
  mean: HALF,
  deviation: HALF,
};

/** Processors by their names without their endings. */
const PROCESSORS: Readonly<Record<string, Defaults>> = {
  ViT: VIT,
  DeiT: { ...VIT, size: square(256), resample: 3, crop: square(224) },
  Bit: CLIP,
  CLIP,
  Siglip: { ...VIT, resample: 3 },
};

const ENDINGS = /(?:ImageProcessor|FeatureExtractor)(?:Fast|Pil)?$/;

/** Sizes beyond it are no model's: an image would become larger than memory. */
const MAX_EDGE = 8192;

/**
 * Reads a parsed preprocessor_config.json. Throws `unsupported-config`, with field and value, for a processor that is not known
 * and for what would change the pixels and is not understood.
 */
export function readImageProcessor(json: unknown): ImageProcessorConfig {
  if (!isRecord(json)) throw unsupported('', json, 'an object of fields');
  const named = json.image_processor_type ?? json.feature_extractor_type;
  const name = typeof named === 'string' && ENDINGS.test(named) ? named.replace(ENDINGS, '') : '';
  const defaults = Object.hasOwn(PROCESSORS, name) ? PROCESSORS[name]! : undefined;
  if (!defaults) {
    const allowed = Object.keys(PROCESSORS).map((known) => `${known}ImageProcessor`);
    throw unsupported('image_processor_type', named, allowed.join(', '));
  }
  rejectUnknown(json);
  const flag = (field: string, otherwise: boolean): boolean => {
    const value = json[field] ?? otherwise;
    if (typeof value !== 'boolean') throw unsupported(field, value, 'true or false');
    return value;
  };
  const resample = json.resample ?? defaults.resample;
  const resampling = RESAMPLING[resample as number];
  if (!resampling) throw unsupported('resample', resample, RESAMPLING.map((known, i) => `${i} (${known})`).join(', '));
  const factor = json.rescale_factor ?? 1 / 255;
  if (typeof factor !== 'number' || !Number.isFinite(factor)) throw unsupported('rescale_factor', factor, 'a number');
  const isResized = flag('do_resize', true);
  const isCropped = flag('do_center_crop', defaults.crop !== undefined);
  const isRescaled = flag('do_rescale', true);
  const isNormalized = flag('do_normalize', true);
  return {
    resize: isResized ? readResize(json.size ?? defaults.size, defaults) : undefined,
    resampling,
    crop: isCropped ? readSquareOrSize('crop_size', json.crop_size ?? defaults.crop ?? 224) : undefined,
    rescaleFactor: isRescaled ? factor : undefined,
    normalization: isNormalized
      ? {
          mean: readColours('image_mean', json.image_mean ?? defaults.mean),
          deviation: readColours('image_std', json.image_std ?? defaults.deviation),
        }
      : undefined,
  };
}

function readResize(size: unknown, { isNumberSquare }: Defaults): ImageProcessorConfig['resize'] {
  if (typeof size === 'number' && !isNumberSquare) return { shortestEdge: edge('size', size) };
  if (isRecord(size) && size.shortest_edge !== undefined && size.shortest_edge !== null) {
    if (size.longest_edge !== undefined && size.longest_edge !== null) {
      throw unsupported('size', size, 'height and width, or shortest_edge');
    }
    return { shortestEdge: edge('size.shortest_edge', size.shortest_edge) };
  }
  return readSquareOrSize('size', size);
}

function readSquareOrSize(field: string, size: unknown): PixelSize {
  if (typeof size === 'number') return square(edge(field, size));
  // Two numbers are height and width, as in Python.
  const { height, width } = Array.isArray(size)
    ? { height: size[0] as unknown, width: size[1] as unknown }
    : fields(size);
  if (height === undefined || width === undefined) throw unsupported(field, size, 'height and width');
  return { height: edge(`${field}.height`, height), width: edge(`${field}.width`, width) };
}

function fields(value: unknown): Record<string, unknown> {
  return isRecord(value) ? value : {};
}

function edge(field: string, value: unknown): number {
  if (typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= MAX_EDGE) return value;
  throw unsupported(field, value, `a whole number from 1 to ${MAX_EDGE}`);
}

function readColours(field: string, value: unknown): readonly number[] {
  const numbers: unknown = typeof value === 'number' ? [value, value, value] : value;
  const isSound = (x: unknown) => typeof x === 'number' && Number.isFinite(x) && (field === 'image_mean' || x !== 0);
  if (Array.isArray(numbers) && numbers.length === 3 && numbers.every(isSound)) return numbers as number[];
  throw unsupported(field, value, field === 'image_mean' ? 'three numbers' : 'three numbers other than 0');
}

/** Fields that are read, and fields that change no pixel. */
const KNOWN = new Set(
  (
    'image_processor_type feature_extractor_type processor_class auto_map crop_size crop_pct do_center_crop do_convert_rgb ' +
    'do_normalize do_rescale do_resize image_mean image_std resample rescale_factor size default_to_square data_format ' +
    'input_data_format device return_tensors disable_grouping image_seq_length _valid_processor_keys _processor_class ' +
    'use_square_size size_divisor reducing_gap backend'
  ).split(' '),
);

function rejectUnknown(json: Record<string, unknown>): void {
  for (const [field, value] of Object.entries(json)) {
    const isOff = value === null || value === false;
    if (!KNOWN.has(field) && !isOff && field !== 'pad_size') throw unsupported(field, value, 'none');
  }
  for (const field of ['size_divisor', 'reducing_gap', 'use_square_size', 'crop_pct']) {
    const value = json[field] ?? false;
    if (value !== false) throw unsupported(field, value, 'none');
  }
}

function unsupported(field: string, actual: unknown, allowed: string): WpError {
  return new WpError(
    'unsupported-config',
    `preprocessor_config.json: ${field ? `${field} is` : 'it is'} ${JSON.stringify(actual)?.slice(0, 120)}; supported: ${allowed}.`,
    'Use a checkpoint whose images are resized, cropped and normalised only.',
    { file: 'preprocessor_config.json', field, actual, allowed },
  );
}
