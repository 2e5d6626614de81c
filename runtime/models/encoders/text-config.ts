// config.json of text encoders as data: one row of TEXT_TRAITS for each model type, and the fields that the types share.

import type { Activation } from '../../graph/types.ts';
import { ConfigReader } from '../config-reader.ts';
import { HARMLESS, rejectQuantized } from '../decoder-config.ts';
import { fromFirstNomic, isFirstNomic } from './nomic-config.ts';
import { TEXT_TRAITS, type TextNames, type TextTraits } from './text-traits.ts';
import type { TransformerConfig } from './transformer.ts';

/** What a classification head does: a dense layer with an activation (and a norm), then the classes. */
export interface HeadConfig {
  of: 'sequence' | 'token';
  labels: number;
  /** The row or rows that it reads: the first token, the mean, or the model's own pooler. */
  reads: 'first' | 'mean' | 'pooler' | 'tokens';
  dense: Activation | undefined;
  hasDenseBias: boolean;
  hasNorm: boolean;
}

export interface TextConfig extends TransformerConfig {
  /** `model_type`, for reports: no mathematics depends on it. */
  modelType: string;
  names: TextNames;
  /** Before a tensor's name, in the order in which they are tried. */
  prefixes: readonly string[];
  vocabularySize: number;
  /** Rows of the table of positions; 0 without one. */
  positions: number;
  /** The first token's position (2 in RoBERTa's: after the padding token's id). */
  firstPosition: number;
  /** Kinds of segments; 0 without their table. */
  tokenTypes: number;
  areEmbeddingsNormed: boolean;
  hasFinalNorm: boolean;
  /** Tokens that a text may have. */
  maxTokens: number;
  padToken: number;
  /** The row that stands for the text: see `pooledRow`. */
  pooledToken: 'first' | 'last' | 'end-token' | 'largest-id';
  endToken: number | undefined;
  /** Texts are filled up to this many tokens, which the model sees (SigLIP). */
  paddedLength: number | undefined;
  /** What follows the pooled row: a dense layer and tanh; a projection; nothing. */
  pooler: { activation: Activation | undefined; width: number; hasBias: boolean } | undefined;
  head: HeadConfig | undefined;
}

const ACTIVATIONS: Readonly<Record<string, Activation>> = {
  gelu: 'gelu',
  gelu_new: 'gelu-tanh',
  gelu_pytorch_tanh: 'gelu-tanh',
  gelu_fast: 'gelu-tanh',
  quick_gelu: 'gelu-quick',
  silu: 'silu',
  swish: 'silu',
  relu: 'relu',
  tanh: 'tanh',
};

/** Fields of encoders that do not change what they compute. */
export const ENCODER_HARMLESS: ReadonlySet<string> = new Set([
  ...HARMLESS,
  ...['hidden_dropout_prob', 'attention_probs_dropout_prob', 'classifier_dropout', 'seq_classif_dropout', 'qa_dropout'],
  ...['attention_dropout', 'embedding_dropout', 'mlp_dropout', 'tie_weights_', 'gradient_checkpointing', 'directionality'],
  ...['pooler_fc_size', 'pooler_num_attention_heads', 'pooler_num_fc_layers', 'pooler_size_per_head', 'pooler_type'],
  ...['initializer_factor', 'initializer_cutoff_factor', 'decoder_bias', 'sparse_prediction', 'sparse_pred_ignore_index'],
  ...['deterministic_flash_attn', 'reference_compile', 'repad_logits_with_grad', 'tie_word_embeddings', 'type_vocab_size'],
  ...['output_past', 'bos_token_id', 'eos_token_id', 'cls_token_id', 'sep_token_id', 'num_labels', 'encoder_stride'],
  ...['layerscale_value', 'drop_path_rate', 'use_mask_token', 'reshape_hidden_states', 'stage_names', 'out_features'],
  ...['out_indices', 'logit_scale_init_value', 'projection_dim', 'vocab_size', 'apply_layernorm', 'text_config_dict'],
  ...['vision_config_dict', 'architectures'],
]);

export const LIMITS = { layers: 1024, width: 1 << 20, heads: 1 << 14, vocabulary: 1 << 24, positions: 1 << 20, labels: 1 << 20 };

/** The model types that `readTextConfig` reads. */
export const TEXT_MODEL_TYPES: readonly string[] = Object.keys(TEXT_TRAITS);

export function readActivation(reader: ConfigReader, field: string, otherwise: string): Activation {
  return reader.choice(field, ACTIVATIONS, otherwise);
}

/** Reads a parsed config.json. Throws `unsupported-config` for a field that changes the mathematics and is not understood. */
export function readTextConfig(json: unknown): TextConfig {
  const reader = new ConfigReader(isFirstNomic(json) ? fromFirstNomic(json) : json, 'config.json');
  const modelType = reader.text('model_type');
  const traits = Object.hasOwn(TEXT_TRAITS, modelType) ? TEXT_TRAITS[modelType] : undefined;
  if (!traits) throw reader.unsupported('model_type', modelType, TEXT_MODEL_TYPES.join(', '));
  rejectQuantized(reader);
  const { fields, defaults } = traits;

  const layers = reader.count(fields.layers, LIMITS.layers, defaults.layers);
  const hiddenSize = reader.count(fields.hiddenSize, LIMITS.width, defaults.hiddenSize);
  const heads = reader.count(fields.heads, LIMITS.heads, defaults.heads);
  if (hiddenSize % heads !== 0) throw reader.unsupported(fields.heads, heads, `a divisor of ${hiddenSize}`);
  const headDim = reader.count('head_dim', LIMITS.width, hiddenSize / heads);
  const positions = reader.count('max_position_embeddings', LIMITS.positions, defaults.positions);
  const padToken = reader.tokens('pad_token_id')[0] ?? defaults.padToken;
  const firstPosition = traits.positions === 'after-padding' ? padToken + 1 : 0;
  const endToken = reader.tokens('eos_token_id')[0] ?? defaults.endToken;
  const vocabularySize = reader.count('vocab_size', LIMITS.vocabulary, defaults.vocabularySize);
  const config: TextConfig = {
    modelType,
    names: traits.names,
    prefixes: traits.prefixes,
    layers,
    hiddenSize,
    heads,
    headDim,
    feedForwardSize: reader.count(fields.feedForwardSize, LIMITS.width, defaults.feedForwardSize),
    epsilon: fields.epsilon === undefined ? 1e-12 : reader.positive(fields.epsilon, defaults.epsilon),
    activation: readActivation(reader, fields.activation, defaults.activation),
    norms: traits.norms,
    isFirstNormed: traits.isFirstNormed,
    hasNormBias: traits.norms === 'before' && traits.gate === 'stacked' ? reader.flag('norm_bias', false) : true,
    ...readBiases(reader, traits),
    gate: traits.gate,
    isCausal: traits.isCausal,
    ...readLayerKinds(reader, traits, layers),
    relativeBias:
      traits.relativeBias === undefined
        ? undefined
        : {
            buckets: reader.count('relative_attention_num_buckets', 4096, traits.relativeBias.buckets),
            maxDistance: traits.relativeBias.maxDistance,
          },
    hasLayerScale: false,
    vocabularySize,
    positions: traits.positions === 'none' ? 0 : positions,
    firstPosition,
    tokenTypes: traits.hasTokenTypes ? reader.count('type_vocab_size', 1024, defaults.tokenTypes) : 0,
    areEmbeddingsNormed: traits.areEmbeddingsNormed,
    hasFinalNorm: traits.hasFinalNorm,
    maxTokens: positions - firstPosition,
    padToken,
    // A CLIP of before transformers 4.30 names no end token: its end token has the largest id.
    pooledToken: traits.pooledToken === 'end-token' && endToken === 2 ? 'largest-id' : traits.pooledToken,
    endToken,
    paddedLength: traits.isPadded ? positions : undefined,
    pooler: readPooler(reader, traits, hiddenSize),
    head: readHead(reader, traits),
  };
  if (config.gate === 'apart' && config.activation !== 'silu' && config.activation !== 'gelu-tanh') {
    throw reader.unsupported(fields.activation, config.activation, 'silu, gelu_pytorch_tanh');
  }
  if (config.gate === 'stacked' && config.activation !== 'gelu') {
    throw reader.unsupported(fields.activation, config.activation, 'gelu');
  }
  rejectSwitches(reader);
  reader.rejectUnread(
    new Set([...ENCODER_HARMLESS, ...traits.harmless]),
    'Use a checkpoint without it; if it does not change the mathematics, report it so that it can be listed as harmless.',
  );
  return config;
}

function readBiases(
  reader: ConfigReader,
  { biases }: TextTraits,
): Pick<TransformerConfig, 'hasQueryKeyValueBias' | 'hasAttentionOutputBias' | 'hasFeedForwardBias'> {
  if (biases !== 'fields') {
    return { hasQueryKeyValueBias: biases, hasAttentionOutputBias: biases, hasFeedForwardBias: biases };
  }
  const attention = reader.flag('attention_bias', false);
  return {
    hasQueryKeyValueBias: attention,
    hasAttentionOutputBias: attention,
    hasFeedForwardBias: reader.flag('mlp_bias', false),
  };
}

/** Windows and rotations of the layers: none, the same for all, or by a list of layers' kinds (ModernBERT). */
function readLayerKinds(
  reader: ConfigReader,
  { rotary }: TextTraits,
  layers: number,
): Pick<TransformerConfig, 'windows' | 'rotaryBases'> {
  const all = <T>(value: T): T[] => Array.from({ length: layers }, () => value);
  if (rotary === 'none') return { windows: all(undefined), rotaryBases: all(undefined) };
  const parameters = reader.value('rope_parameters');
  if (rotary === 'one') {
    const base = parameters === undefined ? reader.positive('rope_theta', 1000) : readBase(parameters, 'rope_parameters');
    return { windows: all(undefined), rotaryBases: all(base) };
  }
  const every = reader.count('global_attn_every_n_layers', LIMITS.layers, 3);
  const types = reader.value('layer_types') ?? all(0).map((_, i) => (i % every === 0 ? 'full_attention' : 'sliding_attention'));
  if (!Array.isArray(types) || types.length !== layers) {
    throw reader.unsupported('layer_types', types, `a list of ${layers} names, one a layer`);
  }
  const kinds = parameters === undefined ? undefined : new ConfigReader(parameters, 'config.json: rope_parameters');
  const globalBase = kinds
    ? readBase(kinds.value('full_attention'), 'rope_parameters.full_attention')
    : reader.positive('global_rope_theta', 160000);
  const localBase = kinds
    ? readBase(kinds.value('sliding_attention'), 'rope_parameters.sliding_attention')
    : reader.positive('local_rope_theta', 10000);
  const window = Math.floor(reader.count('local_attention', LIMITS.positions, 128) / 2);
  const isLocal = types.map((type: unknown) => {
    if (type !== 'full_attention' && type !== 'sliding_attention') {
      throw reader.unsupported('layer_types', type, 'full_attention, sliding_attention');
    }
    return type === 'sliding_attention';
  });
  return {
    windows: isLocal.map((local) => (local ? window : undefined)),
    rotaryBases: isLocal.map((local) => (local ? localBase : globalBase)),
  };
}

function readBase(json: unknown, where: string): number {
  const reader = new ConfigReader(json, `config.json: ${where}`);
  const type = reader.text('rope_type', 'default');
  if (type !== 'default') throw reader.unsupported('rope_type', type, 'default');
  const base = reader.positive('rope_theta');
  reader.rejectUnread(new Set(), 'Use a checkpoint whose positions are not scaled.');
  return base;
}

function readPooler(reader: ConfigReader, { pooler }: TextTraits, hiddenSize: number): TextConfig['pooler'] {
  if (pooler === 'none') return undefined;
  if (pooler === 'tanh') return { activation: 'tanh', width: hiddenSize, hasBias: true };
  const field = pooler === 'projection' ? 'projection_dim' : 'projection_size';
  return {
    activation: undefined,
    width: reader.count(field, LIMITS.width, pooler === 'projection' ? 512 : hiddenSize),
    hasBias: pooler === 'biased-projection',
  };
}

/** The classification head that `architectures` names; other heads (masked words) are left out, the encoder is the same. */
function readHead(reader: ConfigReader, { head }: TextTraits): HeadConfig | undefined {
  const [architecture] = (reader.value('architectures') as string[] | undefined) ?? [];
  const of = /ForSequenceClassification$/.test(architecture ?? '')
    ? 'sequence'
    : /ForTokenClassification$/.test(architecture ?? '')
      ? 'token'
      : undefined;
  if (of === undefined || head === undefined) return undefined;
  const labels = readLabelCount(reader);
  if (of === 'token') {
    const isDense = head.isTokenHeadDense;
    const dense = isDense && head.dense === 'field' ? readActivation(reader, 'classifier_activation', 'gelu') : undefined;
    const hasDenseBias = isDense && reader.flag('classifier_bias', false);
    return { of, labels, reads: 'tokens', dense, hasDenseBias, hasNorm: isDense };
  }
  if (head.dense === 'field') {
    const reads = reader.choice('classifier_pooling', { cls: 'first', mean: 'mean' } as const, 'cls');
    const dense = readActivation(reader, 'classifier_activation', 'gelu');
    return { of, labels, reads, dense, hasDenseBias: reader.flag('classifier_bias', false), hasNorm: true };
  }
  return { of, labels, reads: head.reads, dense: head.dense, hasDenseBias: true, hasNorm: false };
}

/** As many as id2label names; transformers' default is two. */
export function readLabelCount(reader: ConfigReader): number {
  const names = reader.value('id2label');
  const named = typeof names === 'object' && names !== null ? Object.keys(names).length : undefined;
  return named ?? reader.count('num_labels', LIMITS.labels, 2);
}

/** Features that are off when false, and not understood otherwise. */
export function rejectSwitches(reader: ConfigReader): void {
  for (const name of ['is_decoder', 'add_cross_attention', 'is_encoder_decoder', 'tie_encoder_decoder']) {
    const value = reader.value(name);
    if (value !== undefined && value !== false) throw reader.unsupported(name, value, 'false');
  }
  const positions = reader.value('position_embedding_type') ?? 'absolute';
  if (positions !== 'absolute' && positions !== 'rope') {
    throw reader.unsupported('position_embedding_type', positions, 'absolute, rope');
  }
  const pruned = reader.value('pruned_heads');
  if (typeof pruned === 'object' && Object.keys(pruned as object).length > 0) {
    throw reader.unsupported('pruned_heads', pruned, 'none');
  }
}
