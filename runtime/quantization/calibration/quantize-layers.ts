// GPTQ one layer at a time, with the moments of that layer only. `sequential`: each layer's inputs are those that the quantised
// layers before it give, so that it makes up for their errors as far as it can (the order of Frantar et al. 2022, section 4, by
// layer); every window then goes through a layer twice, with its own weights to learn what they meet and with the quantised ones
// to know what they leave.

import { throwIfAborted, WpError } from '../../errors.ts';
import type { Graph, Weight } from '../../graph/types.ts';
import type { ColumnStatistics } from '../column-statistics.ts';
import { FORMATS, type PackedMatrix, type WeightFormat } from '../formats.ts';
import type { GptqOptions } from '../gptq.ts';
import { unpackMatrix } from '../pack.ts';
import type { NamedMatrix } from '../quantized-checkpoint.ts';
import { isMatrix, openOutput, type Calibration, type CalibrationModel } from './calibrate.ts';
import { layersOf } from './layer-graph.ts';
import { LayerRunner } from './layer-runner.ts';
import { gatherer } from './moments.ts';
import { WeightQuantizer } from './quantize-weight.ts';
import { lookedUp, spreadFormats } from './quantize-weights.ts';

export interface QuantizeLayersOptions {
  /** By tensor, or by the lowered graph's weight. Missing ones stay f16. */
  formats: ReadonlyMap<string, WeightFormat>;
  /** Of the unquantised model, with moments of what is outside the layers (the output matrix): see `outsideLayers`. */
  calibration: Calibration;
  /** Layers meet what quantised layers give. Default true; false: what the model's own give. */
  sequential?: boolean | undefined;
  /** Matrices that are stored in their format already: passed on as they are. */
  kept?: ReadonlySet<string> | undefined;
  gptq?: GptqOptions | undefined;
  /** Goes on before this layer (an index into the graph's layers) with the hidden states that it meets. */
  from?: LayerState | undefined;
  /** Called when all matrices before a layer were taken, with what a run needs that begins there. */
  onLayer?: ((state: LayerState) => void | Promise<void>) | undefined;
  /** Called after each layer. */
  onProgress?: ((done: number, all: number) => void) | undefined;
  signal?: AbortSignal | undefined;
}

export interface LayerState {
  layer: number;
  /** Of each window, [tokens, columns]. */
  hidden: readonly Float32Array[];
}

/** Weights in the order in which `quantizeLayers` gives them; `outside` is the order of those outside the layers. */
export function orderByLayers(graph: Graph, outside: readonly Weight[]): Weight[] {
  return [...outside, ...layersOf(graph).flatMap((layer) => graph.weights.filter((weight) => weight.layer === layer))];
}

/** Weights that no layer has: tables, the last norm, the output matrix. */
export function outsideLayers(graph: Graph): Weight[] {
  return graph.weights.filter(({ layer }) => layer === undefined);
}

/**
 * Every weight of the model once, quantised by GPTQ: first those outside the layers, as the model gives them, then layer after
 * layer in the order of the graph. At most one layer is held in memory, with the hidden states of all windows.
 */
export async function* quantizeLayers(
  model: CalibrationModel,
  windows: readonly (readonly number[])[],
  options: QuantizeLayersOptions,
): AsyncGenerator<NamedMatrix, void, undefined> {
  const { formats, calibration, sequential = true, kept, gptq, from, onLayer, onProgress, signal } = options;
  const { graph } = model;
  const byTensor = spreadFormats(graph, formats);
  const quantizer = await WeightQuantizer.create('gptq', byTensor.values(), gptq);
  const tables = lookedUp(graph);
  const formatOf = (name: string): WeightFormat => byTensor.get(name) ?? FORMATS.f16;
  const read = new Map(
    graph.weights.map((weight) => {
      if (!isMatrix(weight)) return [weight.name, FORMATS.f16];
      return [weight.name, kept?.has(weight.name) ? formatOf(weight.name) : FORMATS.f32];
    }),
  );
  const quantize = (weight: Weight, matrix: PackedMatrix, known: ColumnStatistics | undefined): PackedMatrix => {
    const { name } = weight;
    if (!isMatrix(weight) || kept?.has(name)) return matrix;
    const { rows, columns } = matrix;
    return quantizer.quantize(unpackMatrix(matrix), rows, columns, formatOf(name), known, tables.has(name));
  };

  let hidden: Float32Array[] | undefined = from && [...from.hidden];
  if (!hidden) {
    const outside = outsideLayers(graph);
    for await (const { name, matrix } of model.weights({ ...graph, weights: outside }, read, signal)) {
      throwIfAborted(signal);
      const weight = outside.find((candidate) => candidate.name === name)!;
      const packed = quantize(weight, matrix, calibration.get(name));
      if (tables.has(name)) hidden = lookUp(sequential ? packed : matrix, windows);
      yield { name, matrix: packed, isVector: !isMatrix(weight) };
    }
  }
  if (!hidden) throw new WpError('unsupported-operation', 'The model looks up no table of embeddings.');

  const tokens = windows.reduce((most, { length }) => Math.max(most, length), 1);
  const layers = layersOf(graph);
  for (const [i, layer] of layers.entries()) {
    if (i < (from?.layer ?? 0)) continue;
    await onLayer?.({ layer: i, hidden });
    const runner = await LayerRunner.create(model, layer, tokens);
    try {
      const originals = new Map<string, PackedMatrix>();
      for await (const { name, matrix } of model.weights({ ...graph, weights: runner.weights }, read, signal)) {
        originals.set(name, matrix);
      }
      await runner.setWeights(originals);
      const isLast = i + 1 === layers.length;
      const gathered = await gatherer(model.backend, runner.taps, 'moments');
      let statistics: Calibration;
      try {
        for (const [w, state] of hidden.entries()) {
          throwIfAborted(signal);
          const output = await runner.run(state);
          for (const tap of runner.taps) await gathered.add(tap, openOutput(runner.program, tap.output));
          if (!sequential) hidden[w] = output;
        }
        statistics = await gathered.means();
      } finally {
        gathered.dispose();
      }
      const quantized = new Map<string, PackedMatrix>();
      for (const weight of runner.weights) {
        throwIfAborted(signal);
        const matrix = quantize(weight, originals.get(weight.name)!, statistics.get(weight.name));
        quantized.set(weight.name, matrix);
        yield { name: weight.name, matrix, isVector: !isMatrix(weight) };
      }
      if (sequential && !isLast) {
        await runner.setWeights(quantized);
        for (const [w, state] of hidden.entries()) {
          throwIfAborted(signal);
          hidden[w] = await runner.run(state);
        }
      }
    } finally {
      runner.dispose();
    }
    onProgress?.(i + 1, layers.length);
  }
}

/** The windows' rows of a table: the hidden state before the first layer. */
function lookUp(table: PackedMatrix, windows: readonly (readonly number[])[]): Float32Array[] {
  const { columns } = table;
  const values = unpackMatrix(table);
  return windows.map((window) => {
    const state = new Float32Array(window.length * columns);
    window.forEach((token, i) => state.set(values.subarray(token * columns, (token + 1) * columns), i * columns));
    return state;
  });
}
