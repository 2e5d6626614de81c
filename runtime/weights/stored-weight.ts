// Where a weight of the graph is in the checkpoint: its parts, the format each is stored in, and the tensors that hold
// them. All that can be wrong between a graph and a checkpoint is found here, before any weight is downloaded.
//
// Plain matrices are tensors F32, F16 or BF16. A quantised matrix X [rows, columns] of our own convention is
//   X.plane0, X.plane1, …  U8 [rows, columns × bits of the plane / 8], most significant plane first
//   X.scales               F16 [rows, columns / group size] (/ 256 for two-level scales)
//   X.minimums             F16, the same shape, for formats with minimums
//   X.scale_codes          U8 [rows, bytes], for two-level scales: see quantization/formats.ts
// (tensors in blocks of another encoding, which GGUF files hold, say themselves how they are decoded)
// and the file's __metadata__ names its format: "wp-models.quantization" = {"X": "q4g32", …}.

import { WpError } from '../errors.ts';
import type { Graph, Weight } from '../graph/types.ts';
import {
  codeBits,
  FORMATS,
  formatLimit,
  isQuantized,
  scaleCodeBytes,
  scaleSpan,
  type FormatName,
  type QuantFormat,
} from '../quantization/formats.ts';
import type { Checkpoint, StoredTensor } from './checkpoint.ts';

/** `foreign`: few bits in an encoding that is no row of the format table; it is decoded exactly. */
export type StoredFormat = FormatName | 'bf16' | 'foreign';

export const quantizationKey = 'wp-models.quantization';

/** A tensor of a part, and what it holds. */
export interface StoredPiece {
  holds: 'numbers' | 'blocks' | 'plane' | 'scales' | 'minimums' | 'scaleCodes';
  /** Which plane. */
  plane: number;
  tensor: StoredTensor;
}

export interface StoredPart {
  /** As the checkpoint calls it. */
  name: string;
  format: StoredFormat;
  /** A vector of n numbers is n rows of one column. */
  rows: number;
  columns: number;
  pieces: readonly StoredPiece[];
}

export interface StoredWeight {
  weight: Weight;
  parts: readonly StoredPart[];
}

/**
 * Finds every weight of the graph. Throws `missing-tensor` with all missing names, `corrupt-file` for shapes that differ,
 * `unsupported-format` for dtypes and formats that this version does not read.
 */
export function locateWeights(checkpoint: Checkpoint, graph: Graph): StoredWeight[] {
  const formats = readQuantization(checkpoint);
  const missing: string[] = [];
  const located: StoredWeight[] = [];
  for (const weight of graph.weights) {
    const parts = weight.parts.map((part) => locatePart(checkpoint, formats, weight, part));
    parts.forEach((part, i) => part ?? missing.push(weight.parts[i]!.tensor));
    located.push({ weight, parts: parts.filter((part) => part !== undefined) });
  }
  if (missing.length > 0) {
    const shown = missing.slice(0, 5).join(', ');
    throw new WpError(
      'missing-tensor',
      `The checkpoint lacks ${missing.length} of the model's tensors: ${shown}${missing.length > 5 ? ', …' : ''}.`,
      'config.json and the weights do not belong together, or the checkpoint holds only an adapter or a part of the model.',
      { missing: missing.slice(0, 100), count: missing.length, present: [...checkpoint.tensors.keys()].slice(0, 20) },
    );
  }
  return located;
}

/** The format that a weight is stored in; for parts in different formats, the most precise one. */
export function storedFormatOf(parts: readonly StoredPart[]): StoredFormat {
  const bits = (name: StoredFormat): number => {
    if (name === 'bf16') return 16;
    if (name === 'foreign') return 12; // what it becomes is not decided: anything but plain numbers gives way to it
    const format = FORMATS[name];
    if (isQuantized(format)) return codeBits(format);
    return format.name === 'f32' ? 32 : 16;
  };
  const [first, ...others] = parts.map((part) => part.format);
  if (!first) throw new WpError('internal', 'A weight without parts has no format.');
  return others.reduce((best, name) => (bits(name) > bits(best) ? name : best), first);
}

function readQuantization(checkpoint: Checkpoint): Map<string, FormatName> {
  const formats = new Map<string, FormatName>();
  const text = checkpoint.metadata.get(quantizationKey);
  if (text === undefined) return formats;
  let table: unknown;
  try {
    table = JSON.parse(text);
  } catch (cause) {
    throw corrupt(`The metadata "${quantizationKey}" is not JSON.`, {}, cause);
  }
  if (typeof table !== 'object' || table === null || Array.isArray(table)) {
    throw corrupt(`The metadata "${quantizationKey}" is not an object.`, {});
  }
  for (const [tensor, format] of Object.entries(table)) {
    if (typeof format !== 'string' || !Object.hasOwn(FORMATS, format) || !isQuantized(FORMATS[format as FormatName])) {
      throw new WpError(
        'unsupported-format',
        `Tensor "${tensor}" is quantised as ${JSON.stringify(format)}, which this version does not read.`,
        'Update wp-models, or quantise the model again.',
        { tensor, actual: format, allowed: Object.keys(FORMATS) },
      );
    }
    formats.set(tensor, format as FormatName);
  }
  return formats;
}

/** Checkpoints of the bare model leave `model.` out, some exports add it. */
function spellings(name: string): string[] {
  return [name, name.startsWith('model.') ? name.slice(6) : `model.${name}`];
}

function locatePart(
  checkpoint: Checkpoint,
  formats: ReadonlyMap<string, FormatName>,
  weight: Weight,
  part: Weight['parts'][number],
): StoredPart | undefined {
  const tail = weight.shape.slice(1);
  const expected = part.stored ?? [part.rows, ...tail];
  const columns = tail.reduce((product, size) => product * size, 1);
  for (const name of spellings(part.tensor)) {
    const quantized = formats.get(name);
    if (quantized) return locateQuantized(checkpoint, name, quantized, part.rows, columns);
    const tensor = checkpoint.tensors.get(name);
    if (!tensor) continue;
    expectShape(tensor, expected, weight);
    return {
      name,
      format: plainFormat(tensor),
      rows: part.rows,
      columns,
      pieces: [{ holds: tensor.encoding ? 'blocks' : 'numbers', plane: 0, tensor }],
    };
  }
  return undefined;
}

function locateQuantized(
  checkpoint: Checkpoint,
  name: string,
  formatName: FormatName,
  rows: number,
  columns: number,
): StoredPart {
  const format: QuantFormat = FORMATS[formatName] as QuantFormat;
  const limit = formatLimit(format, columns);
  if (limit)
    throw corrupt(`Tensor "${name}" cannot be quantised as the file says: ${limit}.`, {
      tensor: name,
      format: formatName,
    });
  const piece = (
    suffix: string,
    dtype: 'U8' | 'F16',
    width: number,
    holds: StoredPiece['holds'],
    plane = 0,
  ): StoredPiece => {
    const tensor = checkpoint.tensors.get(`${name}.${suffix}`);
    if (!tensor) {
      throw new WpError(
        'missing-tensor',
        `The checkpoint calls "${name}" quantised as ${formatName} but has no "${name}.${suffix}".`,
        'The file is incomplete: quantise the model again.',
        { missing: [`${name}.${suffix}`] },
      );
    }
    if (tensor.dtype !== dtype) {
      throw corrupt(`Tensor "${tensor.name}" is ${tensor.dtype}; ${formatName} needs ${dtype}.`, {
        actual: tensor.dtype,
        expected: dtype,
      });
    }
    expectShape(tensor, [rows, width]);
    return { holds, plane, tensor };
  };
  const spans = columns / scaleSpan(format);
  const pieces = format.planes.map((bits, i) => piece(`plane${i}`, 'U8', (columns * bits) / 8, 'plane', i));
  pieces.push(piece('scales', 'F16', spans, 'scales'));
  if (format.offset === 'min') pieces.push(piece('minimums', 'F16', spans, 'minimums'));
  const codeBytes = scaleCodeBytes(format);
  if (codeBytes > 0) pieces.push(piece('scale_codes', 'U8', spans * codeBytes, 'scaleCodes'));
  return { name, format: formatName, rows, columns, pieces };
}

function plainFormat(tensor: StoredTensor): StoredFormat {
  if (tensor.encoding) return tensor.encoding.equals ?? 'foreign';
  switch (tensor.dtype) {
    case 'F32':
      return 'f32';
    case 'F16':
      return 'f16';
    case 'BF16':
      return 'bf16';
    default:
      throw new WpError(
        'unsupported-format',
        `Tensor "${tensor.name}" of ${tensor.file} is ${tensor.dtype}; weights may be F32, F16 or BF16.`,
        'Use an unquantised checkpoint of the model; it is quantised here while it loads.',
        { tensor: tensor.name, file: tensor.file, actual: tensor.dtype, allowed: ['F32', 'F16', 'BF16'] },
      );
  }
}

function expectShape(tensor: StoredTensor, expected: readonly number[], weight?: Weight): void {
  const { shape } = tensor;
  if (shape.length === expected.length && shape.every((size, i) => size === expected[i])) return;
  throw new WpError(
    'corrupt-file',
    `Tensor "${tensor.name}" of ${tensor.file} has the shape [${shape.join(', ')}]; the model's configuration asks for [${expected.join(', ')}].`,
    'The configuration and the weights do not belong together: download both again.',
    { tensor: tensor.name, file: tensor.file, actual: shape, expected, weight: weight?.name },
  );
}

function corrupt(message: string, details: Record<string, unknown>, cause?: unknown): WpError {
  return new WpError(
    'corrupt-file',
    message,
    'The file is damaged: download it, or quantise the model, again.',
    details,
    cause === undefined ? undefined : { cause },
  );
}
