// The layers that all encoders are made of, text or image: attention without a cache and a feed-forward network, each with a
// norm before or after. What distinguishes a BERT from a ModernBERT or a DINOv2 is a feature with a value here.

import type { EncoderGraphBuilder } from '../../graph/encoder-builder.ts';
import type { Activation, ValueId, WeightRole } from '../../graph/types.ts';
import type { ModuleName, TensorNamer } from './tensor-namer.ts';

export interface TransformerConfig {
  layers: number;
  /** Width of the residual stream. */
  hiddenSize: number;
  heads: number;
  headDim: number;
  feedForwardSize: number;
  /** Of every layer norm. */
  epsilon: number;
  /** Of the feed-forward network; with `gate`, of the gate. */
  activation: Activation;
  /** Norms stand on the sum (BERT) or on what goes into the sum (all later ones). */
  norms: 'after-sum' | 'before';
  /** ModernBERT's first layer has no norm before its attention, since the embeddings are normed. */
  isFirstNormed: boolean;
  hasNormBias: boolean;
  hasQueryKeyValueBias: boolean;
  hasAttentionOutputBias: boolean;
  hasFeedForwardBias: boolean;
  /** `none`: up, activation, down. `apart`: gate and up are tensors of their own. `stacked`: one tensor, the gate first. */
  gate: 'none' | 'apart' | 'stacked';
  /** A token sees none after it. */
  isCausal: boolean;
  /** One a layer: how far a token sees on either side; undefined is everything. */
  windows: readonly (number | undefined)[];
  /** One a layer: the base of its rotation; undefined is none. */
  rotaryBases: readonly (number | undefined)[];
  /** Scores depend on the distance too, through a table [buckets, heads] that all layers share. */
  relativeBias: { buckets: number; maxDistance: number } | undefined;
  /** What a layer adds is multiplied by a learned vector. */
  hasLayerScale: boolean;
}

/** Modules of a layer. */
export interface LayerNames {
  query: ModuleName;
  key: ModuleName;
  value: ModuleName;
  /** Taken instead of the three above where the checkpoint has it. */
  stackedQueryKeyValue?: ModuleName | undefined;
  attentionOutput: ModuleName;
  attentionNorm: ModuleName;
  feedForwardIn: ModuleName;
  gate?: ModuleName | undefined;
  feedForwardOut: ModuleName;
  feedForwardNorm: ModuleName;
  attentionScale?: ModuleName | undefined;
  feedForwardScale?: ModuleName | undefined;
}

/** What the layers read beside the rows. */
export interface LayerInputs {
  /** Which rows see which: an input, or runs of a fixed length. */
  spans?: ValueId | undefined;
  segments?: { queries: number; keys: number } | undefined;
  /** By base. */
  rotary: ReadonlyMap<number, ValueId>;
  relativeBias?: { weight: string; buckets: ValueId } | undefined;
}

/** The rows after all layers. */
export function transformerLayers(
  b: EncoderGraphBuilder,
  x: ValueId,
  config: TransformerConfig,
  names: LayerNames,
  namer: TensorNamer,
  inputs: LayerInputs,
): ValueId {
  for (let i = 0; i < config.layers; i++) {
    x = b.layer(i, () => transformerLayer(new Modules(b, config, namer.at(i)), i, x, config, names, inputs));
  }
  return x;
}

function transformerLayer(
  modules: Modules,
  index: number,
  x: ValueId,
  config: TransformerConfig,
  names: LayerNames,
  inputs: LayerInputs,
): ValueId {
  const { b } = modules;
  const attend = (rows: ValueId) => selfAttention(modules, index, rows, config, names, inputs);
  const feed = (rows: ValueId) => feedForward(modules, rows, config, names);
  const scaled = (rows: ValueId, scale: ModuleName | undefined) =>
    config.hasLayerScale && scale ? b.scaleColumns(rows, { weight: modules.vector(scale, ''), factor: 1 }) : rows;

  if (config.norms === 'after-sum') {
    x = modules.norm(b.add(x, attend(x)), names.attentionNorm);
    return modules.norm(b.add(x, feed(x)), names.feedForwardNorm);
  }
  const isNormed = index > 0 || config.isFirstNormed;
  const attended = attend(isNormed ? modules.norm(x, names.attentionNorm) : x);
  x = b.add(x, scaled(attended, names.attentionScale));
  return b.add(x, scaled(feed(modules.norm(x, names.feedForwardNorm)), names.feedForwardScale));
}

function selfAttention(
  modules: Modules,
  index: number,
  x: ValueId,
  config: TransformerConfig,
  names: LayerNames,
  { spans, segments, rotary, relativeBias }: LayerInputs,
): ValueId {
  const { b, namer } = modules;
  const { heads, headDim, hiddenSize, hasQueryKeyValueBias, relativeBias: biasConfig } = config;
  const width = heads * headDim;
  const base = config.rotaryBases[index];
  const angles = base === undefined ? undefined : rotary.get(base)!;
  const turn = (rows: ValueId, count: number) =>
    angles === undefined ? rows : b.rotate(rows, angles, { heads: count, headDim });
  const project = (name: ModuleName, rows: number) =>
    modules.linear(x, name, [rows, hiddenSize], 'attention-qkv', hasQueryKeyValueBias);

  let queries: ValueId, keys: ValueId, values: ValueId;
  let offsets = { queries: 0, keys: 0, values: 0 };
  const stacked = names.stackedQueryKeyValue;
  if (stacked && (names.query.length === 0 || namer.has(stacked, 'weight'))) {
    queries = keys = values = turn(project(stacked, 3 * width), 2 * heads);
    offsets = { queries: 0, keys: width, values: 2 * width };
  } else {
    queries = turn(project(names.query, width), heads);
    keys = turn(project(names.key, width), heads);
    values = project(names.value, width);
  }
  const attended = b.attend(
    { queries, keys, values, spans, buckets: relativeBias?.buckets },
    {
      heads,
      keyValueHeads: heads,
      headDim,
      scale: headDim ** -0.5,
      offsets,
      isCausal: config.isCausal,
      window: config.windows[index],
      segments,
      relativeBias:
        relativeBias && biasConfig
          ? { weight: relativeBias.weight, buckets: biasConfig.buckets, reach: biasConfig.maxDistance }
          : undefined,
    },
  );
  return modules.linear(attended, names.attentionOutput, [hiddenSize, width], 'attention-output', config.hasAttentionOutputBias);
}

/** Also the network of SigLIP's pooling head. */
export function feedForward(
  modules: Modules,
  x: ValueId,
  { hiddenSize, feedForwardSize, activation, gate, hasFeedForwardBias }: TransformerConfig,
  names: Pick<LayerNames, 'feedForwardIn' | 'gate' | 'feedForwardOut'>,
): ValueId {
  const { b } = modules;
  const inward = (name: ModuleName, rows: number) =>
    modules.linear(x, name, [rows, hiddenSize], 'ffn-in', hasFeedForwardBias);
  let inner: ValueId;
  if (gate === 'none') {
    inner = b.activation(inward(names.feedForwardIn, feedForwardSize), activation);
  } else if (gate === 'stacked') {
    inner = b.gatedGelu(inward(names.feedForwardIn, 2 * feedForwardSize));
  } else {
    const [first, second] = [inward(names.gate!, feedForwardSize), inward(names.feedForwardIn, feedForwardSize)];
    inner = b.gatedActivation(first, second, { activation: activation as 'silu' | 'gelu-tanh' });
  }
  return modules.linear(inner, names.feedForwardOut, [hiddenSize, feedForwardSize], 'ffn-out', hasFeedForwardBias);
}

/** Declares the tensors of modules as it applies them. */
export class Modules {
  constructor(
    readonly b: EncoderGraphBuilder,
    private readonly config: Pick<TransformerConfig, 'hiddenSize' | 'epsilon' | 'hasNormBias'>,
    readonly namer: TensorNamer,
  ) {}

  linear(x: ValueId, module: ModuleName, shape: readonly [number, number], role: WeightRole, hasBias: boolean): ValueId {
    const weight = this.b.weight(this.namer.name(module, 'weight'), { shape, role });
    const bias = hasBias ? this.b.weight(this.namer.name(module, 'bias'), { shape: [shape[0]], role: 'bias' }) : undefined;
    return this.b.linear(x, weight, bias);
  }

  norm(x: ValueId, module: ModuleName): ValueId {
    const { hiddenSize, epsilon, hasNormBias } = this.config;
    const vector = (leaf: string, role: WeightRole) =>
      this.b.weight(this.namer.name(module, leaf), { shape: [hiddenSize], role });
    const bias = hasNormBias ? vector('bias', 'bias') : undefined;
    return this.b.layerNorm(x, { weight: vector('weight', 'norm'), bias, epsilon });
  }

  /** A vector of hiddenSize numbers. */
  vector(module: ModuleName, leaf: string): string {
    return this.b.weight(this.namer.name(module, leaf), { shape: [this.config.hiddenSize], role: 'norm' });
  }

  /** A table of rows of hiddenSize numbers as a vector, which tensors of any shape with these numbers fill. */
  table(module: ModuleName, leaf: string, stored: readonly number[], role: WeightRole = 'position'): string {
    const tensor = this.namer.name(module, leaf);
    const rows = stored.reduce((product, size) => product * size, 1);
    return this.b.weight(tensor, { shape: [rows], role, parts: [{ tensor, rows, stored }] });
  }
}
