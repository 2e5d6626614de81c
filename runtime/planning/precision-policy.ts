// From a wish for precision to a format for every weight. Weights that a checkpoint stores quantised stay as they are unless
// fewer bits are asked for: more bits would take more memory and bring nothing back. Every departure from the wish is a
// reason. Wishes a role and a layer are read in quantization-options.ts, which only those who have them fetch.

import type { Graph, Weight } from '../graph/types.ts';
import {
  codeBits,
  FORMATS,
  formatLimit,
  isQuantized,
  type FormatName,
  type WeightFormat,
} from '../quantization/formats.ts';
import type { PrecisionName } from '../types.ts';
import { describeBytes, type Reason } from './reason.ts';
import { isMatrix, matrixSize, weightBytes } from './weight-bytes.ts';

/** `foreign`: few bits in an encoding that is no row of the format table (GGUF's IQ types): decoded, and quantised anew. */
export type StoredFormat = FormatName | 'bf16' | 'foreign';
/** By the weight's name in the graph. A weight that is missing here counts as plain numbers. */
export type StoredFormats = ReadonlyMap<string, StoredFormat>;
export type ChosenPrecision = Exclude<PrecisionName, 'auto'>;

/** What is wanted for each matrix. */
export interface PrecisionPolicy {
  /** The formats for a matrix, best first: the first that fits its width is taken, and f16 where none does. */
  formatsFor(weight: Weight): readonly FormatName[];
  /** What was asked for, as sentences. */
  reasons: readonly string[];
}

/** What to try for a graph, best first. */
export type PrecisionLadder = (graph: Graph, stored: StoredFormats) => FormatChoice[];

export interface FormatChoice {
  formats: Map<string, WeightFormat>;
  /** What most weights have got, which may differ from the wish. */
  precision: ChosenPrecision;
  reasons: Reason[];
  /** A shorter context is tried before this. */
  isLastResort?: boolean;
}

/**
 * `auto` takes 8 bits as long as all matrices take no more than this: small models lose most by 4 bits. Measured on
 * fable-25m (20.7 million parameters), loss on 4,096 tokens of WikiText-2 above that of the unquantised weights:
 * 0.0004 nats at 8 bits, 0.064 at 4; with 8 bits for the queries, keys and values only, 0.045 for 13 % more bytes than at 4.
 */
export const AUTO_8BIT_LIMIT_BYTES = 256e6;

/**
 * One precision for all roles, so that a name means what it says; mixed precision is a policy of its own. At 2 and 3 bits
 * two-level scales lose far less in as many bytes (relative error of fable-25m's matrices: 0.27 in q2k, 0.34 in q2g32; 0.145
 * and 0.166 at 3 bits); they want rows of a multiple of 256.
 */
const NAMED_FORMATS: Readonly<Record<ChosenPrecision, readonly FormatName[]>> = {
  '2bit': ['q2k', 'q2g32'],
  '3bit': ['q3k', 'q3g32'],
  '4bit': ['q4g32'],
  '8bit': ['q8g32'],
  f16: ['f16'],
};

/**
 * What `auto` gives up for memory, in this order: bits of most matrices, and those of attention where it has more. Measured on
 * fable-25m (calibration/sensitivity.ts; divergence of the predictions a byte that is saved): attention's output is the most
 * sensitive, then queries, keys and values; the FFN and the embedding, which are four fifths of the bytes, lose least.
 */
const LOWERED: readonly (readonly [ChosenPrecision, ChosenPrecision?])[] = [
  ['8bit'],
  ['4bit', '8bit'],
  ['4bit'],
  ['3bit', '4bit'],
  ['3bit'],
  ['2bit', '3bit'],
  ['2bit'],
];

/** The formats to try for a wish, best first; never empty. Only `auto` gives up precision for memory. */
export function chooseFormats(
  graph: Graph,
  stored: StoredFormats,
  wish: PrecisionName | PrecisionPolicy | PrecisionLadder,
): FormatChoice[] {
  if (typeof wish === 'function') return wish(graph, stored);
  if (typeof wish === 'object') return [formatsFor(graph, stored, wish)];
  if (wish !== 'auto') return [named(graph, stored, wish)];
  if (isStoredQuantized(graph, stored)) return automaticForStored(graph, stored);

  const choices = LOWERED.map(([precision, attention]) => named(graph, stored, precision, attention));
  const [eight, , four] = choices as [FormatChoice, FormatChoice, FormatChoice];
  const bytes = matrixBytes(graph, eight);
  choices.forEach((choice, i) => i > 0 && explainLowered(choice, LOWERED[i]!, '8 do not fit the memory.'));
  if (bytes > AUTO_8BIT_LIMIT_BYTES) {
    choices.splice(0, 2);
    four.reasons[0] = because(
      `4 bits a weight: the matrices take ${describeBytes(matrixBytes(graph, four))}, at 8 bits ${describeBytes(bytes)}.`,
    );
    return choices;
  }
  const small = `the model is small (${describeBytes(bytes)}), and small models lose most by fewer bits.`;
  eight.reasons.unshift(because(`8 bits a weight: ${small}`));
  return choices;
}

/** Positions keep f16: their tables are small, and every token adds a row of theirs. */
function named(
  graph: Graph,
  stored: StoredFormats,
  precision: ChosenPrecision,
  attention: ChosenPrecision = precision,
): FormatChoice {
  const byRole = ({ role }: Weight): ChosenPrecision =>
    role === 'position' ? 'f16' : role.startsWith('attention') ? attention : precision;
  return formatsFor(graph, stored, { formatsFor: (weight) => NAMED_FORMATS[byRole(weight)], reasons: [] });
}

function because(reason: string): Reason {
  return { topic: 'precision', reason };
}

function explainLowered(choice: FormatChoice, [most, attention]: (typeof LOWERED)[number], cause: string): void {
  choice.isLastResort = most === '3bit' || most === '2bit';
  const apart = attention ? ` (attention ${parseInt(attention)})` : '';
  choice.reasons.unshift(because(`${parseInt(most)} bits a weight${apart}, because ${cause}`));
}

/** A file's own formats, then fewer bits where they take less: what `auto` may fall back to. */
function automaticForStored(graph: Graph, stored: StoredFormats): FormatChoice[] {
  const choices = [formatsAsStored(graph, stored)];
  for (const step of LOWERED.slice(1)) {
    const lower = named(graph, stored, ...step);
    if (matrixBytes(graph, lower) >= matrixBytes(graph, choices.at(-1)!)) continue;
    explainLowered(lower, step, 'what the file stores does not fit the memory.');
    choices.push(lower);
  }
  return choices;
}

function formatsAsStored(graph: Graph, stored: StoredFormats): FormatChoice {
  const formats = new Map<string, WeightFormat>();
  for (const weight of graph.weights) {
    formats.set(weight.name, isMatrix(weight) ? asStored(weight, stored) : FORMATS.f32);
  }
  return {
    formats,
    precision: dominantPrecision(graph, formats),
    reasons: [because('The weights keep the bits that the file stores.')],
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

/** The formats of a policy. Norms and biases stay f32: they are a thousandth of the bytes. */
function formatsFor(graph: Graph, stored: StoredFormats, policy: PrecisionPolicy): FormatChoice {
  const formats = new Map<string, WeightFormat>();
  const tooNarrow = new Map<string, number>();
  const kept = new Map<string, number>();
  const requantized = new Map<string, number>();
  for (const weight of graph.weights) {
    if (!isMatrix(weight)) {
      formats.set(weight.name, FORMATS.f32);
      continue;
    }
    const known = storedFormat(weight, stored);
    const { columns } = matrixSize(weight);
    const wanted = policy.formatsFor(weight).map((name): WeightFormat => FORMATS[name]);
    const fitting = wanted.find((format) => formatLimit(format, columns) === undefined);
    const bits = formatBits(wanted[0]!);
    if (known && formatBits(known) <= bits) {
      if (!wanted.some(({ name }) => name === known.name)) count(kept, known.name);
      formats.set(weight.name, known);
    } else if (!fitting) {
      count(tooNarrow, `keep more bits: ${formatLimit(wanted.at(-1)!, columns)}`);
      formats.set(weight.name, known ?? FORMATS.f16);
    } else {
      if (fitting !== wanted[0]) count(tooNarrow, `take ${fitting.name}: ${formatLimit(wanted[0]!, columns)}`);
      if (known) count(requantized, `${known.name} to ${fitting.name}`);
      formats.set(weight.name, fitting);
    }
  }
  const matrices = (many: number) => `${many} ${many === 1 ? 'matrix' : 'matrices'}`;
  const reasons = [
    ...policy.reasons,
    ...[...kept].map(
      ([name, many]) =>
        `${matrices(many)} stay in ${name}, as the file stores them: more bits would take memory and bring nothing back.`,
    ),
    ...[...requantized].map(
      ([change, many]) =>
        `${matrices(many)} are quantised again, from ${change}: the original weights would lose less.`,
    ),
    ...[...tooNarrow].map(([what, many]) => `${matrices(many)} ${what}.`),
  ];
  return { formats, precision: dominantPrecision(graph, formats), reasons: reasons.map(because) };
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
    const names = { 2: '2bit', 3: '3bit', 4: '4bit', 5: '8bit', 6: '8bit', 8: '8bit' } as const;
    const precision = names[bits as keyof typeof names] ?? 'f16';
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
