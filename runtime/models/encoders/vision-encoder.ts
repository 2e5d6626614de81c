// The graph of a vision transformer, for a fixed number of images: all its sizes are numbers. Images are rows, channels last.
//
// Inputs: pixels [images·height·width, channels], resized and normalised as the checkpoint's processor says; rows [images]:
// the class tokens' rows; ranges [images, 2]: the patches' rows. visionInputs makes the last two.

import { EncoderGraphBuilder, lowerEncoder } from '../../graph/encoder-builder.ts';
import type { Graph, ValueId } from '../../graph/types.ts';
import { TensorNamer } from './tensor-namer.ts';
import { memoize, unavailable } from './text-encoder.ts';
import type { EncoderInputs } from './text-inputs.ts';
import { feedForward, Modules, transformerLayers } from './transformer.ts';
import type { VisionConfig } from './vision-config.ts';

/** What a program can return. Only what is asked for is computed. */
export type VisionOutput =
  /** [images·rows, hiddenSize]: class token, others, registers, patches of each image after the last layer. */
  | 'hidden'
  /** [images, hiddenSize]: the model's own pooled vector. */
  | 'pooled'
  /** [images, width]: the pooled vector, projected where the model projects it (CLIP), of length 1 unless `normalize` is false. */
  | 'embedding'
  /** [images, labels]: of a checkpoint with a classification head. */
  | 'logits';

export interface VisionGraphOptions {
  outputs: readonly VisionOutput[];
  /** Default 1. */
  images?: number | undefined;
  /** Of `embedding`. Default true. */
  normalize?: boolean | undefined;
  /** The checkpoint's tensors, by which its spelling is told. */
  tensorNames?: ReadonlySet<string> | undefined;
}

/** Rows of an image after the patches were made: learned ones, then patches. */
export function visionRows({ imageHeight, imageWidth, patchSize, tokensWithPosition, registers }: VisionConfig): {
  learned: number;
  patches: number;
} {
  const patches = Math.floor(imageHeight / patchSize) * Math.floor(imageWidth / patchSize);
  return { learned: tokensWithPosition.length + registers, patches };
}

export function buildVisionGraph(config: VisionConfig, options: VisionGraphOptions): Graph {
  const { images = 1 } = options;
  const { hiddenSize, names } = config;
  const b = new EncoderGraphBuilder();
  const namer = new TensorNamer(config.prefixes, options.tensorNames);
  const modules = new Modules(b, config, namer);
  const { learned, patches } = visionRows(config);
  const rowCount = learned + patches;

  let x = patchRows(modules, config, images);
  if (config.hasNormBeforeLayers) x = modules.norm(x, names.normBeforeLayers);
  const segments = { queries: rowCount, keys: rowCount };
  x = transformerLayers(b, x, config, names, namer, { segments, rotary: new Map() });
  const hidden = config.finalNorm === 'all-rows' ? modules.norm(x, names.finalNorm) : x;

  const classRows = memoize(() => b.selectRows(hidden, b.input('rows', 'i32', [images])));
  const classToken = memoize(() =>
    config.finalNorm === 'pooled-row' ? modules.norm(classRows(), names.finalNorm) : classRows(),
  );
  const linear = (rows: ValueId, name: readonly string[], width: number, columns: number, hasBias: boolean) =>
    modules.linear(rows, name, [width, columns], 'output', hasBias);
  const pooled = memoize(() => {
    if (config.pooler === 'class-token') return classToken();
    if (config.pooler === 'attention') return attentionPooling(modules, hidden, config, images);
    if (config.pooler === 'none') throw unavailable('pooled', config, 'A classifier has no pooler.');
    return b.activation(linear(classToken(), names.pooler, hiddenSize, hiddenSize, true), 'tanh');
  });
  const embedding = () => {
    // A ViT's own pooler was trained for another task: its class token is what people compare.
    let vector = config.pooler === 'tanh' || config.pooler === 'none' ? classToken() : pooled();
    if (config.projection) vector = linear(vector, names.projection, config.projection, hiddenSize, false);
    return options.normalize === false ? vector : b.normalizeRows(vector);
  };
  const logits = () => {
    const { head } = config;
    if (!head) throw unavailable('logits', config, 'Its architecture names no classification head.');
    if (head.kind === 'class-and-mean') {
      const means = b.meanRows(hidden, b.input('ranges', 'i32', [images, 2]));
      return linear(b.concatColumns(classToken(), means), names.classifier, head.labels, 2 * hiddenSize, true);
    }
    const first = linear(classToken(), names.classifier, head.labels, hiddenSize, true);
    if (head.kind === 'class-token') return first;
    const second = b.selectRows(hidden, b.input('secondRows', 'i32', [images]));
    const sum = b.add(first, linear(second, names.secondClassifier, head.labels, hiddenSize, true));
    return b.scaleColumns(sum, { factor: 0.5 });
  };
  const make = { hidden: () => hidden, pooled, embedding, logits };
  for (const name of options.outputs) b.output(name, make[name]());
  return lowerEncoder(b.build());
}

/** Patches as rows, learned rows before them, positions added. */
function patchRows(modules: Modules, config: VisionConfig, images: number): ValueId {
  const { b, namer } = modules;
  const { names, channels, hiddenSize, imageHeight, imageWidth, patchSize, tokensWithPosition, registers } = config;
  const pixels = b.input('pixels', 'f32', [images * imageHeight * imageWidth, channels]);
  const size = { height: imageHeight, width: imageWidth, kernelHeight: patchSize, kernelWidth: patchSize };
  const unfolded = b.unfold(pixels, { ...size, stride: patchSize, padding: 0, dilation: 1 });

  const columns = channels * patchSize * patchSize;
  const tensor = namer.name(names.patches, 'weight');
  const stored = [hiddenSize, channels, patchSize, patchSize];
  const parts = [{ tensor, rows: hiddenSize, stored }];
  const weight = b.weight(tensor, { shape: [hiddenSize, columns], role: 'conv', parts });
  const bias = config.hasPatchBias
    ? b.weight(namer.name(names.patches, 'bias'), { shape: [hiddenSize], role: 'bias' })
    : undefined;
  let x = b.linear(unfolded, weight, bias);

  let every = visionRows(config).patches;
  // The last token first: each is put before what is there.
  for (const { name, stored: shape } of tokensWithPosition.toReversed()) {
    x = b.insertRows(x, { weight: modules.table(name, '', shape), every, at: 0 });
    every += 1;
  }
  x = b.addTable(x, modules.table(names.positions, '', config.storedPositions));
  if (registers === 0) return x;
  const table = modules.table(names.registers, '', [1, registers, hiddenSize]);
  return b.insertRows(x, { weight: table, every, at: tokensWithPosition.length });
}

/** SigLIP's head: a learned query attends to all patches; norm and feed-forward network follow. */
function attentionPooling(modules: Modules, x: ValueId, config: VisionConfig, images: number): ValueId {
  const { b, namer } = modules;
  const { hiddenSize, heads, headDim } = config;
  const probe = b.tableRows({
    weight: modules.table(['head.probe'], '', [1, 1, hiddenSize]),
    count: images,
    columns: hiddenSize,
  });
  // One stacked weight for queries, keys and values: each side uses its own columns of the product.
  const weight = b.weight(namer.name(['head.attention.in_proj_weight'], ''), {
    shape: [3 * hiddenSize, hiddenSize],
    role: 'attention-qkv',
  });
  const bias = b.weight(namer.name(['head.attention.in_proj_bias'], ''), { shape: [3 * hiddenSize], role: 'bias' });
  const rows = b.linear(x, weight, bias);
  const attended = b.attend(
    { queries: b.linear(probe, weight, bias), keys: rows, values: rows },
    {
      heads,
      keyValueHeads: heads,
      headDim,
      scale: headDim ** -0.5,
      offsets: { queries: 0, keys: hiddenSize, values: 2 * hiddenSize },
      isCausal: false,
      segments: { queries: 1, keys: visionRows(config).patches },
    },
  );
  const output = modules.linear(attended, ['head.attention.out_proj'], [hiddenSize, hiddenSize], 'attention-output', true);
  const normed = modules.norm(output, ['head.layernorm']);
  const names = { feedForwardIn: ['head.mlp.fc1'], feedForwardOut: ['head.mlp.fc2'] };
  return b.add(output, feedForward(modules, normed, config, names));
}

/**
 * The inputs of a step of these images, each height × width × channels numbers, channels last, as the checkpoint's processor
 * makes them.
 */
export function visionInputs(config: VisionConfig, graph: Graph, pixels: Float32Array<ArrayBuffer>): EncoderInputs {
  const { learned, patches } = visionRows(config);
  const images = pixels.length / (config.imageHeight * config.imageWidth * config.channels);
  const each = (numbers: (first: number) => number[]) =>
    Int32Array.from({ length: images }, (_, i) => i * (learned + patches)).reduce<number[]>(
      (all, first) => [...all, ...numbers(first)],
      [],
    );
  const all: EncoderInputs = {
    pixels,
    rows: Int32Array.from(each((first) => [first])),
    secondRows: Int32Array.from(each((first) => [first + 1])),
    // What transformers calls the patches of a classifier: all rows but the class token.
    ranges: Int32Array.from(each((first) => [first + 1, first + learned + patches])),
  };
  return Object.fromEntries(Object.keys(graph.inputs).map((name) => [name, all[name]!]));
}
