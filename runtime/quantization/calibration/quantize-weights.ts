// Every weight of a model, quantised by one method: the stream of a checkpoint in, named matrices out, one tensor in memory
// at a time.

import { throwIfAborted, WpError } from '../../errors.ts';
import { lower } from '../../graph/passes/index.ts';
import type { Graph } from '../../graph/types.ts';
import { evenStatistics, mixStatistics, type ColumnStatistics } from '../column-statistics.ts';
import { formatLimit, FORMATS, isQuantized, type PackedMatrix, type WeightFormat } from '../formats.ts';
import { Gptq, type GptqOptions } from '../gptq.ts';
import { quantizeHqq } from '../hqq.ts';
import { quantizeByImportance } from '../importance.ts';
import { packMatrix, unpackMatrix } from '../pack.ts';
import { loadPacker } from '../packer.ts';
import type { NamedMatrix } from '../quantized-checkpoint.ts';
import { isMatrix, type Calibration, type CalibrationModel } from './calibrate.ts';

/**
 * `search`: scale search without data, what loading does. `hqq`: without data, too. `importance`: scale search by the inputs'
 * mean squares. `gptq`: by their second moments.
 */
export type QuantizationMethod = 'search' | 'hqq' | 'importance' | 'gptq';

export interface QuantizeWeightsOptions {
  /** By tensor; or by the lowered graph's weight (`spreadFormats`). Missing ones stay f16. */
  formats: ReadonlyMap<string, WeightFormat>;
  method: QuantizationMethod;
  /** For `importance` and `gptq`; the latter needs moments. A matrix without statistics takes the scale search. */
  calibration?: Calibration | undefined;
  gptq?: GptqOptions | undefined;
  onProgress?: ((done: number, all: number) => void) | undefined;
  signal?: AbortSignal | undefined;
}

/** How much the look-up of a table counts beside its use as the output matrix, at equal mean squares of their inputs. */
const LOOKUP_WEIGHT = 0.5;

/**
 * Quantises every weight of the model, tensor by tensor, in the order in which they arrive. Norms and biases stay f16, and so do
 * matrices that the map leaves out or whose width does not fit.
 */
export async function* quantizeWeights(
  model: CalibrationModel,
  { formats, method, calibration, gptq, onProgress, signal }: QuantizeWeightsOptions,
): AsyncGenerator<NamedMatrix, void, undefined> {
  if ((method === 'importance' || method === 'gptq') && !calibration) {
    throw new WpError('invalid-argument', `The method ${method} needs a calibration.`, 'Name a text to calibrate on.');
  }
  const { graph } = model;
  const byTensor = spreadFormats(graph, formats);
  const packer = await loadPacker(byTensor.values());
  const tables = lookedUp(graph);
  // Matrices with the same inputs share a factorisation, and come near one another.
  const factorised = new Map<ColumnStatistics, Gptq>();
  const plain = new Map(graph.weights.map((weight) => [weight.name, isMatrix(weight) ? FORMATS.f32 : FORMATS.f16]));
  let done = 0;
  for await (const { name, matrix } of model.weights(graph, plain, signal)) {
    throwIfAborted(signal);
    const weight = graph.weights.find((candidate) => candidate.name === name)!;
    if (!isMatrix(weight)) {
      yield { name, matrix, isVector: true };
      continue;
    }
    const { rows, columns } = matrix;
    const wanted = byTensor.get(name) ?? FORMATS.f16;
    const format = formatLimit(wanted, columns) === undefined ? wanted : FORMATS.f16;
    const values = unpackMatrix(matrix);
    let statistics = calibration?.get(name);
    if (statistics && tables.has(name))
      statistics = mixStatistics(statistics, evenStatistics(statistics), LOOKUP_WEIGHT);
    let packed: PackedMatrix;
    if (!isQuantized(format)) packed = packMatrix(values, rows, columns, format);
    else if (method === 'hqq') packed = quantizeHqq(values, rows, columns, format);
    else if (method === 'search' || !statistics) packed = packer(values, rows, columns, format);
    else if (method === 'importance') packed = quantizeByImportance(values, rows, columns, format, statistics);
    else {
      const known = factorised.get(statistics) ?? new Gptq(statistics, gptq);
      factorised.clear();
      factorised.set(statistics, known);
      packed = known.quantize(values, rows, format);
    }
    yield { name, matrix: packed };
    onProgress?.(++done, graph.weights.filter(isMatrix).length);
  }
}

/** Formats by the lowered graph's weights, as formats by tensor: all parts of a stacked weight have one. */
export function spreadFormats(graph: Graph, formats: ReadonlyMap<string, WeightFormat>): Map<string, WeightFormat> {
  const result = new Map<string, WeightFormat>();
  for (const { name, parts } of lower(graph).weights) {
    const format = formats.get(name) ?? formats.get(parts[0]!.tensor);
    for (const { tensor } of parts) if (format) result.set(tensor, format);
  }
  return result;
}

/** Tables whose rows are taken one at a time. */
function lookedUp(graph: Graph): Set<string> {
  return new Set(
    graph.operations.flatMap((operation) => (operation.op === 'embed' ? [operation.attributes.weight] : [])),
  );
}
