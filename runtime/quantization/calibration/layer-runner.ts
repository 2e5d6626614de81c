// One layer of a model as a program, with the inputs of its matrices as further outputs: windows go through it one by one.

import type { Program } from '../../backends/backend.ts';
import { lower } from '../../graph/passes/index.ts';
import type { Graph, Weight } from '../../graph/types.ts';
import { FORMATS, type PackedMatrix, type WeightFormat } from '../formats.ts';
import { packMatrix, stackMatrices, unpackMatrix } from '../pack.ts';
import { measuringFormats, type CalibrationModel } from './calibrate.ts';
import { HIDDEN_STATE, layerGraph } from './layer-graph.ts';
import { tapLinears, type Tap } from './tap.ts';

export class LayerRunner {
  private constructor(
    private readonly model: CalibrationModel,
    readonly program: Program,
    private readonly graph: Graph,
    private readonly formats: ReadonlyMap<string, WeightFormat>,
    /** Those of the checkpoint, in the order of the graph. */
    readonly weights: readonly Weight[],
    readonly taps: readonly Tap[],
    private readonly tokens: number,
    private readonly columns: number,
  ) {}

  /** For windows of at most `tokens`. */
  static async create(model: CalibrationModel, layer: number, tokens: number): Promise<LayerRunner> {
    const part = layerGraph(model.graph, layer, tokens);
    const { graph, taps } = tapLinears(lower(part.graph));
    const formats = measuringFormats(graph, FORMATS.q8g32).set(HIDDEN_STATE, FORMATS.f32);
    const sizes = { contextLength: tokens, maxTokens: tokens, maxOutputs: tokens };
    const program = await model.backend.compile(graph, { formats, ...sizes });
    return new LayerRunner(model, program, graph, formats, part.weights, taps, tokens, part.columns);
  }

  /** By the checkpoint's name, in any format: run in eight bits. */
  async setWeights(matrices: ReadonlyMap<string, PackedMatrix>): Promise<void> {
    for (const { name, parts } of this.graph.weights) {
      if (name === HIDDEN_STATE) continue;
      const format = this.formats.get(name)!;
      const converted = parts.map(({ tensor }) => {
        const matrix = matrices.get(tensor)!;
        return packMatrix(unpackMatrix(matrix), matrix.rows, matrix.columns, format);
      });
      await this.program.setWeight(name, stackMatrices(converted));
    }
  }

  /** What the layer makes of a hidden state [tokens, columns]. */
  async run(state: Float32Array): Promise<Float32Array> {
    const { tokens, columns, program, model } = this;
    const padded = new Float32Array(tokens * columns);
    padded.set(state);
    const none = new Uint16Array(0);
    const planes = [new Uint8Array(padded.buffer)];
    const matrix = { format: FORMATS.f32, rows: tokens, columns, planes, scales: none, minimums: none };
    await program.setWeight(HIDDEN_STATE, matrix);
    await program.ready();
    const length = state.length / columns;
    const rows = Int32Array.from({ length }, (_, i) => i);
    return program.run({ tokenIds: rows, rotary: model.rotaryRows(0, length), outputRows: rows, past: 0 });
  }

  dispose(): void {
    this.program.dispose();
  }
}
