// `auto` by what was measured: a file that was written with `budget: 'device'` says what each matrix costs the model in each
// format (nats a token, calibration/sensitivity.ts), and where memory is short the bits of every layer and role are assigned for
// the bytes that the device has. A chunk of its own: only files with such figures fetch it.

import { WpError } from '../errors.ts';
import type { Graph, Weight } from '../graph/types.ts';
import { assignBits, type Unit } from '../quantization/assign-bits.ts';
import {
  formatBytes,
  formatLimit,
  FORMATS,
  isQuantized,
  type FormatName,
  type QuantFormat,
} from '../quantization/formats.ts';
import { chooseFormats, type FormatChoice, type PrecisionLadder } from './precision-policy.ts';
import { averageBits, isMatrix, matrixSize, weightBytes } from './weight-bytes.ts';

/** By the checkpoint's name of a matrix, then by a row of the format table: what the predictions lose, nats a token. */
export type Sensitivity = ReadonlyMap<string, ReadonlyMap<QuantFormat, number>>;

/** Each budget that is tried beside the one before. */
const STEP = 0.97;

/** Throws `corrupt-file` for figures that are none. */
export function measuredPrecision(text: string): PrecisionLadder {
  const sensitivity = readSensitivity(text);
  return (graph, stored) => {
    const first = chooseFormats(graph, stored, 'auto')[0]!;
    const units = unitsOf(graph, sensitivity);
    const measured = new Set(units.map(({ name }) => name));
    const matrices = graph.weights.filter(isMatrix);
    const bytesOf = (weights: readonly Weight[]): number =>
      weights.reduce((sum, weight) => sum + weightBytes(weight, first.formats), 0);
    const fixed = bytesOf(matrices.filter(({ name }) => !measured.has(name)));
    const smallest = units.reduce((sum, { candidates }) => sum + Math.min(...candidates.map(({ bytes }) => bytes)), 0);
    const fourBits = matrices
      .filter(({ name }) => measured.has(name))
      .map(matrixSize)
      .reduce((sum, { rows, columns }) => sum + formatBytes(FORMATS.q4g32, rows, columns).total, 0);

    const choices: FormatChoice[] = [first];
    let last = Infinity;
    for (let budget = (bytesOf(matrices) - fixed) * STEP; units.length > 0; budget *= STEP) {
      const { formats, bytes } = assignBits(units, Math.max(budget, smallest));
      if (bytes < last) {
        const wanted = ({ name }: Weight) => [(formats.get(name) ?? first.formats.get(name)!).name as FormatName];
        const choice = chooseFormats(graph, stored, { formatsFor: wanted, reasons: [] })[0]!;
        const bits = averageBits(graph, choice.formats).toFixed(1);
        choice.isLastResort = bytes < fourBits;
        choice.reasons.unshift({
          topic: 'precision',
          reason: `${bits} bits a weight, each layer and role by the sensitivity that the file states, because more do not fit the memory.`,
        });
        choices.push(choice);
      }
      last = bytes;
      if (budget <= smallest) break;
    }
    return choices;
  };
}

/** Costs add up over the tensors of a stack; a weight of which one was not measured keeps its format. */
function unitsOf(graph: Graph, sensitivity: Sensitivity): Unit[] {
  return graph.weights.filter(isMatrix).flatMap((weight) => {
    const { rows, columns } = matrixSize(weight);
    const costs = weight.parts.map(({ tensor }) => sensitivity.get(tensor));
    const candidates = [...(costs[0]?.keys() ?? [])]
      .filter((format) => formatLimit(format, columns) === undefined && costs.every((some) => some?.has(format)))
      .map((format) => ({
        format,
        bytes: formatBytes(format, rows, columns).total,
        cost: costs.reduce((sum, some) => sum + some!.get(format)!, 0),
      }));
    return candidates.length > 0 && weight.role !== 'position' ? [{ name: weight.name, candidates }] : [];
  });
}

function readSensitivity(text: string): Sensitivity {
  const corrupt = (what: string): WpError =>
    new WpError('corrupt-file', `The file's figures of sensitivity ${what}.`, 'Write the file again.');
  let read: unknown;
  try {
    read = JSON.parse(text);
  } catch {
    throw corrupt('are no JSON');
  }
  if (typeof read !== 'object' || read === null) throw corrupt('are no object');
  const entries = Object.entries(read).map(([tensor, costs]) => {
    if (typeof costs !== 'object' || costs === null) throw corrupt(`of ${tensor.slice(0, 80)} are no object`);
    const byFormat = Object.entries(costs as Record<string, unknown>).flatMap(([name, cost]) => {
      if (typeof cost !== 'number' || !(cost >= 0)) {
        throw corrupt(`give ${tensor.slice(0, 80)} the cost ${JSON.stringify(cost)?.slice(0, 40)}`);
      }
      // A row of a later version is not to choose from.
      const format = Object.hasOwn(FORMATS, name) ? FORMATS[name as keyof typeof FORMATS] : undefined;
      return format && isQuantized(format) ? [[format, cost] as const] : [];
    });
    return [tensor, new Map(byFormat)] as const;
  });
  return new Map(entries);
}
