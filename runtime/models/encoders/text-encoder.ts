// The graph of a text encoder. Texts of a step stand one after another without padding between: `spans` says which tokens see
// each other. A backend that needs a rectangle (WebNN) makes it from the spans.
//
// Inputs (a graph has those that it needs): tokenIds, positionIds, tokenTypeIds [tokens]; spans [tokens, 2]: each token's text
// as rows first … end − 1; rotary0, rotary1 … [tokens, headDim]; buckets [2·maxDistance + 1]; for one row a text: rows
// [outputs] (the row that stands for it) and ranges [outputs, 2] (its first row and its end). text-inputs.ts makes them all.

import { EncoderGraphBuilder, lowerEncoder } from '../../graph/encoder-builder.ts';
import type { Graph, ValueId } from '../../graph/types.ts';
import { WpError } from '../../errors.ts';
import { TensorNamer } from './tensor-namer.ts';
import type { TextConfig } from './text-config.ts';
import { Modules, transformerLayers, type LayerInputs } from './transformer.ts';

/** What a program can return. Only what is asked for is computed. */
export type TextOutput =
  /** [tokens, hiddenSize]: the last layer's rows, normed where the model norms them. */
  | 'hidden'
  /** [outputs, width]: the model's own pooled vector (BERT's pooler, CLIP's and SigLIP's projected text). */
  | 'pooled'
  /** [outputs, width]: the vector of each text, by `pooling` and `normalize`. */
  | 'embedding'
  /** [outputs or tokens, labels]: of a checkpoint with a classification head. */
  | 'logits';

export type Pooling = 'mean' | 'first' | 'last' | 'pooler';

export interface TextGraphOptions {
  outputs: readonly TextOutput[];
  /** Of `embedding`. Default: `pooler` for CLIP and SigLIP, else `mean`. */
  pooling?: Pooling | undefined;
  /** Of `embedding`: to length 1. Default true. */
  normalize?: boolean | undefined;
  /** The checkpoint's tensors, by which its spelling is told. */
  tensorNames?: ReadonlySet<string> | undefined;
}

export function buildTextGraph(config: TextConfig, options: TextGraphOptions): Graph {
  const b = new EncoderGraphBuilder();
  const namer = new TensorNamer(config.prefixes, options.tensorNames);
  const modules = new Modules(b, config, namer);
  const inputs = new LazyInputs(b);
  const hidden = textRows(b, modules, namer, inputs, config);

  const pooledRow = () => b.selectRows(hidden, inputs.get('rows', () => b.input('rows', 'i32', ['outputs'])));
  const mean = () => b.meanRows(hidden, inputs.get('ranges', () => b.input('ranges', 'i32', ['outputs', 2])));
  const pooled = memoize(() => {
    const { pooler, names, hiddenSize } = config;
    if (!pooler) throw unavailable('pooled', config, 'It has no pooler of its own.');
    const dense = modules.linear(pooledRow(), names.pooler, [pooler.width, hiddenSize], 'output', pooler.hasBias);
    return pooler.activation ? b.activation(dense, pooler.activation) : dense;
  });
  const embedding = () => {
    const { pooling = config.pooler && !config.pooler.activation ? 'pooler' : 'mean' } = options;
    // `first` and `last` are the host's choice of rows.
    const vector = pooling === 'mean' ? mean() : pooling === 'pooler' ? pooled() : pooledRow();
    return options.normalize === false ? vector : b.normalizeRows(vector);
  };
  const logits = () => classify(modules, config, { tokens: hidden, first: pooledRow, mean, pooler: pooled });

  const make: Record<TextOutput, () => ValueId> = { hidden: () => hidden, pooled, embedding, logits };
  for (const name of options.outputs) b.output(name, make[name]());
  return lowerEncoder(b.build());
}

function textRows(
  b: EncoderGraphBuilder,
  modules: Modules,
  namer: TensorNamer,
  inputs: LazyInputs,
  config: TextConfig,
): ValueId {
  const { names, hiddenSize } = config;
  const table = (module: readonly string[], rows: number, role: 'embedding' | 'position') =>
    b.weight(namer.name(module, 'weight'), { shape: [rows, hiddenSize], role });
  const ids = (name: string) => inputs.get(name, () => b.input(name, 'i32', ['tokens']));

  let x = b.embed(ids('tokenIds'), table(names.words, config.vocabularySize, 'embedding'));
  if (config.tokenTypes > 0) {
    x = b.add(x, b.embed(ids('tokenTypeIds'), table(names.tokenTypes, config.tokenTypes, 'position')));
  }
  if (config.positions > 0) {
    x = b.add(x, b.embed(ids('positionIds'), table(names.positions, config.positions, 'position')));
  }
  if (config.areEmbeddingsNormed) x = modules.norm(x, names.embeddingNorm);

  const layerInputs: LayerInputs = {
    spans: inputs.get('spans', () => b.input('spans', 'i32', ['tokens', 2])),
    rotary: new Map(
      rotaryBases(config).map((base, i) => [base, b.input(`rotary${i}`, 'f32', ['tokens', config.headDim])]),
    ),
    relativeBias: config.relativeBias && {
      weight: modules.table(names.relativeBias, 'weight', [config.relativeBias.buckets, config.heads]),
      buckets: b.input('buckets', 'i32', [2 * config.relativeBias.maxDistance + 1]),
    },
  };
  x = transformerLayers(b, x, config, names, namer, layerInputs);
  return config.hasFinalNorm ? modules.norm(x, names.finalNorm) : x;
}

/** The distinct bases of the layers' rotations: base i turns by the input `rotary<i>`. */
export function rotaryBases({ rotaryBases: bases }: Pick<TextConfig, 'rotaryBases'>): number[] {
  return [...new Set(bases.filter((base) => base !== undefined))];
}

function classify(
  modules: Modules,
  config: TextConfig,
  rows: { tokens: ValueId; first: () => ValueId; mean: () => ValueId; pooler: () => ValueId },
): ValueId {
  const { head, names, hiddenSize } = config;
  if (!head) throw unavailable('logits', config, 'Its architecture names no classification head.');
  let x = head.reads === 'tokens' ? rows.tokens : rows[head.reads]();
  if (head.dense) {
    x = modules.linear(x, names.headDense, [hiddenSize, hiddenSize], 'output', head.hasDenseBias);
    x = modules.b.activation(x, head.dense);
  }
  if (head.hasNorm) x = modules.norm(x, names.headNorm);
  return modules.linear(x, names.classifier, [head.labels, hiddenSize], 'output', true);
}

/** Inputs are declared when they are first needed: a caller need not bring what nothing reads. */
class LazyInputs {
  readonly #known = new Map<string, ValueId>();

  constructor(private readonly b: EncoderGraphBuilder) {}

  get(name: string, declare: (b: EncoderGraphBuilder) => ValueId): ValueId {
    const known = this.#known.get(name);
    if (known !== undefined) return known;
    const declared = declare(this.b);
    this.#known.set(name, declared);
    return declared;
  }
}

export function memoize<T>(make: () => T): () => T {
  let made: { value: T } | undefined;
  return () => (made ??= { value: make() }).value;
}

export function unavailable(output: string, { modelType }: { modelType: string }, why: string): WpError {
  return new WpError('invalid-argument', `This ${modelType} has no output ${output}. ${why}`, 'Choose another output.', {
    actual: output,
  });
}
