// A small decoder graph for tests of passes, plans and backends: written here rather than taken from models/, so that a
// defect of a family cannot hide one of the graph.

import { GraphBuilder } from '../../runtime/graph/builder.ts';
import type { Graph } from '../../runtime/graph/types.ts';

export interface TinyDecoderOptions {
  layers: number;
  vocabulary: number;
  columns: number;
  width: number;
  heads: number;
  keyValueHeads: number;
  headDim: number;
  window?: number | undefined;
  hasBias: boolean;
  hasQueryKeyNorm: boolean;
  isTied: boolean;
  activation: 'silu' | 'gelu-tanh';
  /** The values' weights are of another kind than those of queries and keys: they are not stacked. */
  hasValuesApart?: boolean;
}

export const TINY_DECODER: TinyDecoderOptions = {
  layers: 2,
  vocabulary: 50,
  columns: 64,
  width: 96,
  heads: 4,
  keyValueHeads: 2,
  headDim: 16,
  hasBias: false,
  hasQueryKeyNorm: false,
  isTied: true,
  activation: 'silu',
};

/** The graph as a family writes it, not lowered. */
export function tinyDecoder(options: TinyDecoderOptions = TINY_DECODER): Graph {
  const { layers, vocabulary, columns, width, heads, keyValueHeads, headDim, window, hasBias, hasQueryKeyNorm } =
    options;
  const epsilon = 1e-5;
  const b = new GraphBuilder();
  const ids = b.input('tokenIds', 'i32', ['tokens']);
  const rotary = b.input('rotary', 'f32', ['tokens', headDim]);
  const rows = b.input('outputRows', 'i32', ['outputs']);
  const table = b.weight('embed', { shape: [vocabulary, columns], role: 'embedding' });
  let x = b.embed(ids, table);
  for (let layer = 0; layer < layers; layer++) {
    x = b.layer(layer, () => {
      const name = (part: string) => `layers.${layer}.${part}`;
      const norm = (part: string, size = columns) => b.weight(name(part), { shape: [size], role: 'norm' });
      const matrix = (
        part: string,
        rowCount: number,
        columnCount: number,
        role: 'attention-qkv' | 'ffn-in' | 'ffn-out' | 'attention-output',
      ) => b.weight(name(part), { shape: [rowCount, columnCount], role });
      const bias = (part: string, size: number) =>
        hasBias ? b.weight(name(part), { shape: [size], role: 'bias' }) : undefined;

      const normed = b.rmsNorm(x, { weight: norm('norm1'), epsilon });
      const keyValueColumns = keyValueHeads * headDim;
      const queries = b.linear(
        normed,
        matrix('q', heads * headDim, columns, 'attention-qkv'),
        bias('q.bias', heads * headDim),
      );
      const keys = b.linear(
        normed,
        matrix('k', keyValueColumns, columns, 'attention-qkv'),
        bias('k.bias', keyValueColumns),
      );
      const values = b.linear(
        normed,
        matrix('v', keyValueColumns, columns, 'attention-qkv'),
        bias('v.bias', keyValueColumns),
      );
      const shape = [keyValueHeads, 'context', headDim] as const;
      const cache = {
        heads,
        keyValueHeads,
        headDim,
        keyState: b.state(name('keys'), { shape, kind: 'key' }),
        valueState: b.state(name('values'), { shape, kind: 'value' }),
      };
      const rotated = b.rotaryCache(
        { queries, keys, values, rotary },
        {
          ...cache,
          queryNorm: hasQueryKeyNorm ? norm('qNorm', headDim) : undefined,
          keyNorm: hasQueryKeyNorm ? norm('kNorm', headDim) : undefined,
          epsilon,
        },
      );
      const attended = b.attention(rotated, { ...cache, scale: headDim ** -0.5, window });
      const afterAttention = b.add(x, b.linear(attended, matrix('o', columns, heads * headDim, 'attention-output')));
      const ffnIn = b.rmsNorm(afterAttention, { weight: norm('norm2'), epsilon });
      const gate = b.linear(ffnIn, matrix('gate', width, columns, 'ffn-in'));
      const up = b.linear(ffnIn, matrix('up', width, columns, 'ffn-in'));
      const activated = b.gatedActivation(gate, up, { activation: options.activation });
      return b.add(afterAttention, b.linear(activated, matrix('down', columns, width, 'ffn-out')));
    });
  }
  const last = b.selectRows(x, rows);
  const normed = b.rmsNorm(last, { weight: b.weight('norm', { shape: [columns], role: 'norm' }), epsilon });
  const head = options.isTied ? table : b.weight('head', { shape: [vocabulary, columns], role: 'output' });
  b.output('logits', b.linear(normed, head));
  const graph = b.build();
  if (!options.hasValuesApart) return graph;
  const isValues = (name: string): boolean => /\.v$/.test(name);
  return { ...graph, weights: graph.weights.map((w) => (isValues(w.name) ? { ...w, kind: 'other' } : w)) };
}
