// The tensors of a quantisation, from the checkpoint to the output one by one, so that the peak is about one tensor: or one layer,
// where GPTQ weighs a layer's inputs.

import { throwIfAborted, WpError } from '../../errors.ts';
import type { Graph, Weight } from '../../graph/types.ts';
import {
  quantizeLayers,
  quantizeWeights,
  type Calibration,
  type CalibrationModel,
  type LayerState,
} from '../../quantization/calibration/index.ts';
import type { WeightFormat } from '../../quantization/formats.ts';
import type { NamedMatrix } from '../../quantization/quantized-checkpoint.ts';
import type { QuantizationMethod, QuantizeProgress } from '../../types.ts';
import type { WeightSource } from '../../weights/weight-source.ts';
import { isKept, keptFormat, runsOf } from './kept-weights.ts';
import type { Output } from './output.ts';

export interface Writing {
  output: Output;
  /** In the order of the output. */
  planned: readonly Weight[];
  formats: ReadonlyMap<string, WeightFormat>;
  /** Bytes of the large file that are there already. */
  done: number;
  method: QuantizationMethod;
  model: CalibrationModel;
  windows: readonly number[][];
  calibration: Calibration | undefined;
  weights: WeightSource;
  authored: Graph;
  /** Where an interrupted run stopped. */
  from: LayerState | undefined;
  onLayer: (state: LayerState) => Promise<void>;
  write: (file: string, start: number, bytes: Uint8Array) => Promise<void>;
  onProgress: (progress: QuantizeProgress) => void;
  signal: AbortSignal;
}

/** True for the methods that go layer by layer, and need the tensors in that order. */
export function goesByLayers(method: QuantizationMethod): boolean {
  return method === 'gptq' || method === 'gptq-layers';
}

export async function writeTensors(writing: Writing): Promise<void> {
  const { output, planned, done, signal } = writing;
  for (const { name, bytes } of output.smallFiles) await writing.write(name, 0, bytes);
  const isThere = (end: number): boolean => done >= end;
  if (!isThere(output.header.length)) await writing.write(output.name, 0, output.header);
  const places = new Map(output.tensors.map((tensor) => [tensor.name, tensor]));
  // Tensors that no weight of the checkpoint holds (rotary divisors) are known as they are.
  const known = new Set(planned.map(({ name }) => name));
  let end = output.header.length;
  for (const tensor of output.tensors) {
    if (known.has(tensor.name)) continue;
    if (!isThere(tensor.start + tensor.bytes))
      await writing.write(output.name, tensor.start, tensor.encode(undefined as never));
    end = tensor.start + tensor.bytes;
  }
  const isWaiting = (name: string): boolean => {
    const { start, bytes } = places.get(name)!;
    return !isThere(start + bytes);
  };
  const waiting = planned.filter(({ name }) => isWaiting(name));
  let count = planned.length - waiting.length;
  if (waiting.length === 0) return;
  for await (const { name, matrix } of goesByLayers(writing.method) ? byLayers(writing) : byTensors(writing, waiting)) {
    throwIfAborted(signal);
    if (!isWaiting(name)) continue;
    const tensor = places.get(name)!;
    const bytes = tensor.encode(matrix);
    if (bytes.length !== tensor.bytes) {
      throw new WpError('internal', `${name} takes ${bytes.length} bytes; ${tensor.bytes} were planned.`);
    }
    if (tensor.start < end) throw new WpError('internal', `${name} came out of order.`);
    await writing.write(output.name, tensor.start, bytes);
    end = tensor.start + tensor.bytes;
    writing.onProgress({ phase: 'quantizing', done: ++count, total: planned.length, tensor: name });
  }
}

function byLayers(writing: Writing): AsyncIterable<NamedMatrix> {
  const { model, windows, formats, weights, planned, method, from, onLayer, signal } = writing;
  const kept = planned.filter((weight) => isKept(weight, formats, weights)).map(({ name }) => name);
  return quantizeLayers(model, windows, {
    formats,
    calibration: writing.calibration ?? new Map(),
    sequential: method === 'gptq-layers',
    kept: new Set(kept),
    from,
    onLayer,
    signal,
  });
}

async function* byTensors(writing: Writing, waiting: readonly Weight[]): AsyncIterable<NamedMatrix> {
  const { model, formats, weights, authored, calibration, signal } = writing;
  const method = writing.method as 'search' | 'hqq' | 'importance';
  for (const run of runsOf(waiting, (weight) => isKept(weight, formats, weights))) {
    const graph: Graph = { ...authored, weights: run.weights };
    if (run.isKept) {
      const read = new Map(run.weights.map((weight) => [weight.name, keptFormat(weight, formats)]));
      yield* model.weights(graph, read, signal);
    } else {
      const part: CalibrationModel = { ...model, weights: (_, wanted, until) => model.weights(graph, wanted, until) };
      yield* quantizeWeights(part, { formats, method, calibration, signal });
    }
  }
}
