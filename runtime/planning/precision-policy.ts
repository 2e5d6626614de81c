// From a role to a format. Weights that a checkpoint stores quantised stay as they are unless fewer bits are asked for:
// more bits would take more memory and bring nothing back. Every departure from the wish is a reason.

import type { Graph, Weight } from '../graph/types.ts';
import {
  codeBits,
  FORMATS,
  formatLimit,
  isQuantized,
  type FormatName,
  type WeightFormat,
} from '../quantization/formats.ts';
import type { Precision } from '../types.ts';
import { describeBytes, type Reason } from './reason.ts';
import { isMatrix, matrixSize, weightBytes } from './weight-bytes.ts';

/** `foreign`: few bits in an encoding that is no row of the format table (GGUF's K-quants): decoded, and quantised anew. */
export type StoredFormat = FormatName | 'bf16' | 'foreign';
/** By the weight's name in the graph. A weight that is missing here counts as plain numbers. */
export type StoredFormats = ReadonlyMap<string, StoredFormat>;
export type ChosenPrecision = Exclude<Precision, 'auto'>;

export interface FormatChoice {
  formats: Map<string, WeightFormat>;
  /** What most weights have got, which may differ from the wish. */
  precision: ChosenPrecision;
  reasons: Reason[];
}

/**
 * `auto` takes 8 bits as long as all matrices take no more than this: small models lose most by 4 bits. Measured on
 * fable-25m (20.7 million parameters), loss on 4,096 tokens of WikiText-2 above that of the unquantised weights:
 * 0.0004 nats at 8 bits, 0.064 at 4; with 8 bits for the queries, keys and values only, 0.045 for 13 % more bytes than at 4.
 */
export const AUTO_8BIT_LIMIT_BYTES = 256e6;

/** One format for all roles, so that a precision means what it says; mixed precision is a policy of its own. */
const FORMAT_OF: Record<ChosenPrecision, FormatName> = { '4bit': 'q4g32', '8bit': 'q8g32', f16: 'f16' };

/**
 * The formats to try for a wish, best first; never empty. `auto` gives up precision for memory: it has up to two.
 */
export function chooseFormats(graph: Graph, stored: StoredFormats, wish: Precision): FormatChoice[] {
  if (wish !== 'auto') return [formatsFor(graph, stored, wish)];
  if (isStoredQuantized(graph, stored)) return [formatsAsStored(graph, stored), ...lowered(graph, stored)];

  const four = formatsFor(graph, stored, '4bit');
  const eight = formatsFor(graph, stored, '8bit');
  const bytes = matrixBytes(graph, eight);
  if (bytes > AUTO_8BIT_LIMIT_BYTES) {
    four.reasons.unshift({
      topic: 'precision',
      reason: `4 bits a weight: the matrices take ${describeBytes(matrixBytes(graph, four))}, at 8 bits ${describeBytes(bytes)}.`,
    });
    return [four];
  }
  eight.reasons.unshift({
    topic: 'precision',
    reason: `8 bits a weight: the model is small (${describeBytes(bytes)}), and small models lose most by fewer bits.`,
  });
  four.reasons.unshift({ topic: 'precision', reason: '4 bits a weight, because 8 do not fit the memory.' });
  return [eight, four];
}

/** A file's own formats, then 4 bits if that is less: what `auto` may fall back to. */
function lowered(graph: Graph, stored: StoredFormats): FormatChoice[] {
  const four = formatsFor(graph, stored, '4bit');
  if (matrixBytes(graph, four) >= matrixBytes(graph, formatsAsStored(graph, stored))) return [];
  four.reasons.unshift({
    topic: 'precision',
    reason: '4 bits a weight, because what the file stores does not fit the memory.',
  });
  return [four];
}

function formatsAsStored(graph: Graph, stored: StoredFormats): FormatChoice {
  const formats = new Map<string, WeightFormat>();
  for (const weight of graph.weights) {
    formats.set(weight.name, isMatrix(weight) ? asStored(weight, stored) : FORMATS.f32);
  }
  return {
    formats,
    precision: dominantPrecision(graph, formats),
    reasons: [{ topic: 'precision', reason: 'The weights keep the bits that the file stores.' }],
  };
}

/** What a file stores, as nearly as the format table can say it: a foreign encoding has fewer bits than f16 would take. */
function asStored(weight: Weight, stored: StoredFormats): WeightFormat {
  const known = storedFormat(weight, stored);
  if (known) return known;
  const isForeign = stored.get(weight.name) === 'foreign';
  const fits = formatLimit(FORMATS.q8g32, matrixSize(weight).columns) === undefined;
  return isForeign && fits ? FORMATS.q8g32 : FORMATS.f16;
}

/** The formats for a wish by name. Norms and biases stay f32: they are a thousandth of the bytes. */
function formatsFor(graph: Graph, stored: StoredFormats, wish: ChosenPrecision): FormatChoice {
  const wanted = FORMATS[FORMAT_OF[wish]];
  const formats = new Map<string, WeightFormat>();
  const tooNarrow = new Map<string, number>();
  const kept = new Map<string, number>();
  const requantized = new Map<string, number>();
  for (const weight of graph.weights) {
    const known = isMatrix(weight) ? storedFormat(weight, stored) : undefined;
    const limit = formatLimit(wanted, matrixSize(weight).columns);
    if (!isMatrix(weight)) {
      formats.set(weight.name, FORMATS.f32);
    } else if (known && formatBits(known) <= formatBits(wanted)) {
      if (known.name !== wanted.name) count(kept, known.name);
      formats.set(weight.name, known);
    } else if (limit !== undefined) {
      count(tooNarrow, limit);
      formats.set(weight.name, known ?? FORMATS.f16);
    } else {
      if (known) count(requantized, known.name);
      formats.set(weight.name, wanted);
    }
  }
  const matrices = (many: number) => `${many} ${many === 1 ? 'matrix' : 'matrices'}`;
  const reasons = [
    ...[...kept].map(
      ([name, many]) =>
        `${matrices(many)} stay in ${name}, as the file stores them: more bits would take memory and bring nothing back.`,
    ),
    ...[...requantized].map(
      ([name, many]) =>
        `${matrices(many)} are quantised again, from ${name} to ${wanted.name}: the original weights would lose less.`,
    ),
    ...[...tooNarrow].map(([limit, many]) => `${matrices(many)} keep more bits: ${limit}.`),
  ];
  return {
    formats,
    precision: dominantPrecision(graph, formats),
    reasons: reasons.map((reason) => ({ topic: 'precision', reason })),
  };
}

/** The quantised format in which a matrix is stored, or undefined when its numbers are plain. */
function storedFormat(weight: Weight, stored: StoredFormats): WeightFormat | undefined {
  const name = stored.get(weight.name);
  const format = name === undefined || name === 'bf16' || name === 'foreign' ? undefined : FORMATS[name];
  return format && isQuantized(format) ? format : undefined;
}

function isStoredQuantized(graph: Graph, stored: StoredFormats): boolean {
  return graph.weights.some((weight) => isMatrix(weight) && storedFormat(weight, stored) !== undefined);
}

/** What most weights of the matrices have got. */
function dominantPrecision(graph: Graph, formats: ReadonlyMap<string, WeightFormat>): ChosenPrecision {
  const shares = new Map<ChosenPrecision, number>();
  for (const weight of graph.weights.filter(isMatrix)) {
    const { rows, columns } = matrixSize(weight);
    const bits = formatBits(formats.get(weight.name)!);
    const precision = bits <= 4 ? '4bit' : bits <= 8 ? '8bit' : 'f16';
    shares.set(precision, (shares.get(precision) ?? 0) + rows * columns);
  }
  return [...shares].sort((a, b) => b[1] - a[1])[0]?.[0] ?? 'f16';
}

function matrixBytes(graph: Graph, { formats }: FormatChoice): number {
  return graph.weights.filter(isMatrix).reduce((sum, weight) => sum + weightBytes(weight, formats), 0);
}

function formatBits(format: WeightFormat): number {
  if (isQuantized(format)) return codeBits(format);
  return format.name === 'f32' ? 32 : 16;
}

function count(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}
