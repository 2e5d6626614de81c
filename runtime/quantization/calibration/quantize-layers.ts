// GPTQ layer after layer: each layer's inputs are those that the quantised layers before it give, so that it makes up for their
// errors as far as it can (the order of Frantar et al. 2022, section 4, by layer). Every window goes through a layer twice, with
// its own weights to learn what they meet and with the quantised ones to know what they leave.

import { throwIfAborted, WpError } from '../../errors.ts';
import type { Program } from '../../backends/backend.ts';
import { lower } from '../../graph/passes/index.ts';
import type { ColumnStatistics } from '../column-statistics.ts';
import { FORMATS, type PackedMatrix, type WeightFormat } from '../formats.ts';
import type { GptqOptions } from '../gptq.ts';
import { packMatrix, stackMatrices, unpackMatrix } from '../pack.ts';
import type { NamedMatrix } from '../quantized-checkpoint.ts';
import { isMatrix, measuringFormats, openOutput, type Calibration, type CalibrationModel } from './calibrate.ts';
import { HIDDEN_STATE, layerGraph, layersOf } from './layer-graph.ts';
import { gatherer } from './moments.ts';
import { WeightQuantizer } from './quantize-weight.ts';
import { lookedUp, spreadFormats } from './quantize-weights.ts';
import { tapLinears } from './tap.ts';

export interface QuantizeLayersOptions {
  /** By tensor, or by the lowered graph's weight. Missing ones stay f16. */
  formats: ReadonlyMap<string, WeightFormat>;
  /** Of the unquantised model, with moments: for what is outside the layers (the output matrix). */
  calibration: Calibration;
  gptq?: GptqOptions | undefined;
  /** Called after each layer. */
  onProgress?: ((done: number, all: number) => void) | undefined;
  signal?: AbortSignal | undefined;
}

/** Every weight of the model once, quantised by GPTQ: first those outside the layers, then layer after layer. */
export async function* quantizeLayers(
  model: CalibrationModel,
  windows: readonly (readonly number[])[],
  { formats, calibration, gptq, onProgress, signal }: QuantizeLayersOptions,
): AsyncGenerator<NamedMatrix, void, undefined> {
  const { graph } = model;
  const byTensor = spreadFormats(graph, formats);
  const quantizer = await WeightQuantizer.create('gptq', byTensor.values(), gptq);
  const tables = lookedUp(graph);
  const plain = new Map(graph.weights.map((weight) => [weight.name, isMatrix(weight) ? FORMATS.f32 : FORMATS.f16]));
  const quantize = (name: string, matrix: PackedMatrix, statistics: ColumnStatistics | undefined): PackedMatrix => {
    const wanted = byTensor.get(name) ?? FORMATS.f16;
    return quantizer.quantize(unpackMatrix(matrix), matrix.rows, matrix.columns, wanted, statistics, tables.has(name));
  };

  let table: PackedMatrix | undefined;
  const outside = graph.weights.filter(({ layer }) => layer === undefined);
  for await (const { name, matrix } of model.weights({ ...graph, weights: outside }, plain, signal)) {
    throwIfAborted(signal);
    const isVector = !isMatrix(outside.find((weight) => weight.name === name)!);
    const packed = isVector ? matrix : quantize(name, matrix, calibration.get(name));
    if (tables.has(name)) table = packed;
    yield { name, matrix: packed, isVector };
  }
  if (!table) throw new WpError('unsupported-operation', 'The model looks up no table of embeddings.');

  const hidden = lookUp(table, windows);
  const tokens = windows.reduce((most, { length }) => Math.max(most, length), 1);
  const layers = layersOf(graph);
  for (const [i, layer] of layers.entries()) {
    const part = layerGraph(graph, layer, tokens);
    const { graph: tapped, taps } = tapLinears(lower(part.graph));
    const measuring = measuringFormats(tapped, FORMATS.q8g32);
    const formatOf = new Map(
      tapped.weights.map((weight) => [
        weight.name,
        weight.name === HIDDEN_STATE ? FORMATS.f32 : measuring.get(weight.name)!,
      ]),
    );
    const program = await model.backend.compile(tapped, {
      formats: formatOf,
      contextLength: tokens,
      maxTokens: tokens,
      maxOutputs: tokens,
    });
    try {
      const originals = new Map<string, PackedMatrix>();
      for await (const { name, matrix } of model.weights({ ...graph, weights: part.weights }, plain, signal)) {
        originals.set(name, matrix);
      }
      const setWeights = async (matrices: ReadonlyMap<string, PackedMatrix>): Promise<void> => {
        for (const { name, parts } of tapped.weights) {
          if (name === HIDDEN_STATE) continue;
          const format = formatOf.get(name)!;
          const converted = parts.map(({ tensor }) => {
            const { rows, columns } = matrices.get(tensor)!;
            return packMatrix(unpackMatrix(matrices.get(tensor)!), rows, columns, format);
          });
          await program.setWeight(name, stackMatrices(converted));
        }
      };
      const run = async (visit: (output: Float32Array, window: number) => Promise<void> | void): Promise<void> => {
        for (const [w, state] of hidden.entries()) {
          throwIfAborted(signal);
          await visit(await runLayer(program, model, state, tokens, part.columns), w);
        }
      };

      await setWeights(originals);
      const gathered = await gatherer(model.backend, taps, 'moments');
      try {
        await run(async () => {
          for (const tap of taps) await gathered.add(tap, openOutput(program, tap.output));
        });
        const statistics = await gathered.means();
        const quantized = new Map<string, PackedMatrix>();
        for (const weight of part.weights) {
          const matrix = originals.get(weight.name)!;
          const packed = isMatrix(weight) ? quantize(weight.name, matrix, statistics.get(weight.name)) : matrix;
          quantized.set(weight.name, packed);
          yield { name: weight.name, matrix: packed, isVector: !isMatrix(weight) };
        }
        if (i + 1 < layers.length) {
          await setWeights(quantized);
          await run((output, w) => void (hidden[w] = output));
        }
      } finally {
        gathered.dispose();
      }
    } finally {
      program.dispose();
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

async function runLayer(
  program: Program,
  model: CalibrationModel,
  state: Float32Array,
  tokens: number,
  columns: number,
): Promise<Float32Array> {
  const padded = new Float32Array(tokens * columns);
  padded.set(state);
  const none = new Uint16Array(0);
  const planes = [new Uint8Array(padded.buffer)];
  await program.setWeight(HIDDEN_STATE, {
    format: FORMATS.f32,
    rows: tokens,
    columns,
    planes,
    scales: none,
    minimums: none,
  });
  await program.ready();
  const length = state.length / columns;
  const rows = Int32Array.from({ length }, (_, i) => i);
  return program.run({ tokenIds: rows, rotary: model.rotaryRows(0, length), outputRows: rows, past: 0 });
}
