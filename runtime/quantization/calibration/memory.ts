// What calibration by layers holds at once, beside the model in eight bits while a text runs through it whole.

import { lower } from '../../graph/passes/index.ts';
import type { Graph } from '../../graph/types.ts';
import { isMatrix } from './calibrate.ts';
import { layerGraph, layersOf } from './layer-graph.ts';
import { momentBytes } from './moments.ts';
import { tapLinears } from './tap.ts';

export interface LayerMemory {
  /** Second moments of the inputs of the layer that has most of them. */
  moments: number;
  /** Its matrices, read as f32. */
  matrices: number;
  /** Hidden states of all windows. */
  hidden: number;
}

/** Bytes at the peak of `quantizeLayers`, over windows of these lengths. */
export function layerMemory(graph: Graph, windows: readonly (readonly number[])[]): LayerMemory {
  const tokens = windows.reduce((sum, { length }) => sum + length, 0);
  const result = { moments: 0, matrices: 0, hidden: 0 };
  for (const layer of layersOf(graph)) {
    const part = layerGraph(graph, layer, 1);
    const { taps } = tapLinears(lower(part.graph));
    const numbers = part.weights.filter(isMatrix).reduce((sum, { shape }) => sum + shape[0]! * shape[1]!, 0);
    result.moments = Math.max(
      result.moments,
      taps.reduce((sum, { columns }) => sum + momentBytes(columns), 0),
    );
    result.matrices = Math.max(result.matrices, 4 * numbers);
    result.hidden = 4 * tokens * part.columns;
  }
  return result;
}
