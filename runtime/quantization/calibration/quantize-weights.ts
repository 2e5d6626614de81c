// Every weight of a model, quantised by one method: the stream of a checkpoint in, named matrices out, one tensor in memory
// at a time.

import { throwIfAborted, WpError } from '../../errors.ts';
import { lower } from '../../graph/passes/index.ts';
import type { Graph } from '../../graph/types.ts';
import { FORMATS, type WeightFormat } from '../formats.ts';
import type { GptqOptions } from '../gptq.ts';
import { unpackMatrix } from '../pack.ts';
import type { NamedMatrix } from '../quantized-checkpoint.ts';
import { isMatrix, type Calibration, type CalibrationModel } from './calibrate.ts';
import { WeightQuantizer, type QuantizationMethod } from './quantize-weight.ts';

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
  const quantizer = await WeightQuantizer.create(method, byTensor.values(), gptq);
  const tables = lookedUp(graph);
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
    const statistics = calibration?.get(name);
    const packed = quantizer.quantize(unpackMatrix(matrix), rows, columns, wanted, statistics, tables.has(name));
    yield { name, matrix: packed };
    onProgress?.(++done, graph.weights.filter(isMatrix).length);
  }
}

/** Formats by tensor, or by the lowered graph's weight for all of its parts, as formats by tensor. */
export function spreadFormats(graph: Graph, formats: ReadonlyMap<string, WeightFormat>): Map<string, WeightFormat> {
  const result = new Map<string, WeightFormat>();
  for (const { name, parts } of lower(graph).weights) {
    const shared = formats.get(name) ?? formats.get(parts[0]!.tensor);
    for (const { tensor } of parts) {
      const format = formats.get(tensor) ?? shared;
      if (format) result.set(tensor, format);
    }
  }
  return result;
}

/** Tables whose rows are taken one at a time. */
export function lookedUp(graph: Graph): Set<string> {
  return new Set(
    graph.operations.flatMap((operation) => (operation.op === 'embed' ? [operation.attributes.weight] : [])),
  );
}
