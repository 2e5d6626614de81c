// What a model type means where its config.json is silent, and how its checkpoints name their tensors. Sources: the
// configuration and modelling files of transformers; the names are those of the hub's checkpoints, the renamed ones of
// transformers 5 after them.

import type { Activation } from '../../graph/types.ts';
import { CLIP_LAYER_NAMES } from './clip-layer-names.ts';
import type { ModuleName } from './tensor-namer.ts';
import type { LayerNames, TransformerConfig } from './transformer.ts';

export interface TextNames extends LayerNames {
  words: ModuleName;
  positions: ModuleName;
  tokenTypes: ModuleName;
  embeddingNorm: ModuleName;
  finalNorm: ModuleName;
  relativeBias: ModuleName;
  pooler: ModuleName;
  /** Of a classification head, without the model's prefix. */
  headDense: ModuleName;
  headNorm: ModuleName;
  classifier: ModuleName;
}

export interface TextTraits {
  names: TextNames;
  prefixes: readonly string[];
  fields: {
    layers: string;
    hiddenSize: string;
    heads: string;
    feedForwardSize: string;
    activation: string;
    /** Undefined: 1e-12, which no field changes. */
    epsilon: string | undefined;
  };
  defaults: {
    layers: number;
    hiddenSize: number;
    heads: number;
    feedForwardSize: number;
    positions: number;
    vocabularySize: number;
    activation: string;
    epsilon: number;
    padToken: number;
    endToken: number | undefined;
    tokenTypes: number;
  };
  norms: TransformerConfig['norms'];
  isFirstNormed: boolean;
  gate: TransformerConfig['gate'];
  isCausal: boolean;
  /** All linears have one or none, or fields say. */
  biases: boolean | 'fields';
  positions: 'from-zero' | 'after-padding' | 'none';
  rotary: 'none' | 'one' | 'by-layer';
  relativeBias: TransformerConfig['relativeBias'];
  hasTokenTypes: boolean;
  areEmbeddingsNormed: boolean;
  hasFinalNorm: boolean;
  pooledToken: 'first' | 'last' | 'end-token';
  isPadded: boolean;
  pooler: 'none' | 'tanh' | 'projection' | 'biased-projection';
  head:
    | { reads: 'first' | 'pooler'; dense: Activation | 'field' | undefined; isTokenHeadDense: boolean }
    | undefined;
  /** Fields of this type that change nothing. */
  harmless: readonly string[];
}

const BERT_NAMES: TextNames = {
  words: ['embeddings.word_embeddings'],
  positions: ['embeddings.position_embeddings'],
  tokenTypes: ['embeddings.token_type_embeddings'],
  embeddingNorm: ['embeddings.LayerNorm'],
  finalNorm: [],
  relativeBias: [],
  query: ['encoder.layer.{i}.attention.self.query'],
  key: ['encoder.layer.{i}.attention.self.key'],
  value: ['encoder.layer.{i}.attention.self.value'],
  attentionOutput: ['encoder.layer.{i}.attention.output.dense'],
  attentionNorm: ['encoder.layer.{i}.attention.output.LayerNorm'],
  feedForwardIn: ['encoder.layer.{i}.intermediate.dense'],
  feedForwardOut: ['encoder.layer.{i}.output.dense'],
  feedForwardNorm: ['encoder.layer.{i}.output.LayerNorm'],
  pooler: ['pooler.dense'],
  headDense: ['classifier.dense'],
  headNorm: [],
  classifier: ['classifier', 'classifier.out_proj'],
};

const BERT: TextTraits = {
  names: BERT_NAMES,
  prefixes: ['', 'bert.'],
  fields: {
    layers: 'num_hidden_layers',
    hiddenSize: 'hidden_size',
    heads: 'num_attention_heads',
    feedForwardSize: 'intermediate_size',
    activation: 'hidden_act',
    epsilon: 'layer_norm_eps',
  },
  defaults: {
    layers: 12,
    hiddenSize: 768,
    heads: 12,
    feedForwardSize: 3072,
    positions: 512,
    vocabularySize: 30522,
    activation: 'gelu',
    epsilon: 1e-12,
    padToken: 0,
    endToken: undefined,
    tokenTypes: 2,
  },
  norms: 'after-sum',
  isFirstNormed: true,
  gate: 'none',
  isCausal: false,
  biases: true,
  positions: 'from-zero',
  rotary: 'none',
  relativeBias: undefined,
  hasTokenTypes: true,
  areEmbeddingsNormed: true,
  hasFinalNorm: false,
  pooledToken: 'first',
  isPadded: false,
  pooler: 'tanh',
  head: { reads: 'pooler', dense: undefined, isTokenHeadDense: false },
  harmless: [],
};

const ROBERTA: TextTraits = {
  ...BERT,
  prefixes: ['', 'roberta.'],
  defaults: { ...BERT.defaults, padToken: 1, endToken: 2, vocabularySize: 50265 },
  positions: 'after-padding',
  head: { reads: 'first', dense: 'tanh', isTokenHeadDense: false },
};

const DISTILBERT: TextTraits = {
  ...BERT,
  names: {
    ...BERT_NAMES,
    query: ['transformer.layer.{i}.attention.q_lin'],
    key: ['transformer.layer.{i}.attention.k_lin'],
    value: ['transformer.layer.{i}.attention.v_lin'],
    attentionOutput: ['transformer.layer.{i}.attention.out_lin'],
    attentionNorm: ['transformer.layer.{i}.sa_layer_norm'],
    feedForwardIn: ['transformer.layer.{i}.ffn.lin1'],
    feedForwardOut: ['transformer.layer.{i}.ffn.lin2'],
    feedForwardNorm: ['transformer.layer.{i}.output_layer_norm'],
    headDense: ['pre_classifier'],
  },
  prefixes: ['', 'distilbert.'],
  fields: {
    layers: 'n_layers',
    hiddenSize: 'dim',
    heads: 'n_heads',
    feedForwardSize: 'hidden_dim',
    activation: 'activation',
    epsilon: undefined,
  },
  defaults: { ...BERT.defaults, layers: 6 },
  hasTokenTypes: false,
  pooler: 'none',
  head: { reads: 'first', dense: 'relu', isTokenHeadDense: false },
  // Sinusoidal positions are stored like learned ones.
  harmless: ['sinusoidal_pos_embds'],
};

const MPNET: TextTraits = {
  ...ROBERTA,
  names: {
    ...BERT_NAMES,
    query: ['encoder.layer.{i}.attention.attn.q'],
    key: ['encoder.layer.{i}.attention.attn.k'],
    value: ['encoder.layer.{i}.attention.attn.v'],
    attentionOutput: ['encoder.layer.{i}.attention.attn.o'],
    attentionNorm: ['encoder.layer.{i}.attention.LayerNorm'],
    relativeBias: ['encoder.relative_attention_bias'],
  },
  prefixes: ['', 'mpnet.'],
  defaults: { ...ROBERTA.defaults, vocabularySize: 30527 },
  relativeBias: { buckets: 32, maxDistance: 128 },
  hasTokenTypes: false,
};

const NOMIC_BERT: TextTraits = {
  ...BERT,
  names: {
    ...BERT_NAMES,
    embeddingNorm: ['embeddings.LayerNorm', 'emb_ln'],
    stackedQueryKeyValue: ['encoder.layers.{i}.attn.Wqkv'],
    query: ['layers.{i}.self_attn.q_proj'],
    key: ['layers.{i}.self_attn.k_proj'],
    value: ['layers.{i}.self_attn.v_proj'],
    attentionOutput: ['layers.{i}.self_attn.o_proj', 'encoder.layers.{i}.attn.out_proj'],
    attentionNorm: ['layers.{i}.post_attention_layernorm', 'encoder.layers.{i}.norm1'],
    gate: ['layers.{i}.mlp.gate_proj', 'encoder.layers.{i}.mlp.fc12'],
    feedForwardIn: ['layers.{i}.mlp.up_proj', 'encoder.layers.{i}.mlp.fc11'],
    feedForwardOut: ['layers.{i}.mlp.down_proj', 'encoder.layers.{i}.mlp.fc2'],
    feedForwardNorm: ['layers.{i}.post_mlp_layernorm', 'encoder.layers.{i}.norm2'],
  },
  prefixes: ['', 'nomic_bert.'],
  defaults: { ...BERT.defaults, activation: 'silu', positions: 2048, vocabularySize: 30528 },
  gate: 'apart',
  biases: false,
  positions: 'none',
  rotary: 'one',
};

const MODERNBERT: TextTraits = {
  ...BERT,
  names: {
    ...BERT_NAMES,
    words: ['embeddings.tok_embeddings'],
    embeddingNorm: ['embeddings.norm'],
    finalNorm: ['final_norm'],
    stackedQueryKeyValue: ['layers.{i}.attn.Wqkv'],
    query: [],
    attentionOutput: ['layers.{i}.attn.Wo'],
    attentionNorm: ['layers.{i}.attn_norm'],
    feedForwardIn: ['layers.{i}.mlp.Wi'],
    feedForwardOut: ['layers.{i}.mlp.Wo'],
    feedForwardNorm: ['layers.{i}.mlp_norm'],
    headDense: ['head.dense'],
    headNorm: ['head.norm'],
  },
  prefixes: ['', 'model.'],
  fields: { ...BERT.fields, activation: 'hidden_activation', epsilon: 'norm_eps' },
  defaults: {
    ...BERT.defaults,
    layers: 22,
    feedForwardSize: 1152,
    epsilon: 1e-5,
    positions: 8192,
    vocabularySize: 50368,
    padToken: 50283,
  },
  norms: 'before',
  isFirstNormed: false,
  gate: 'stacked',
  biases: 'fields',
  positions: 'none',
  rotary: 'by-layer',
  hasTokenTypes: false,
  hasFinalNorm: true,
  pooler: 'none',
  head: { reads: 'first', dense: 'field', isTokenHeadDense: true },
  harmless: ['classifier_pooling', 'classifier_activation', 'classifier_bias', 'global_attn_every_n_layers'],
};

const CLIP_NAMES: TextNames = {
  ...BERT_NAMES,
  ...CLIP_LAYER_NAMES,
  words: ['embeddings.token_embedding'],
  positions: ['embeddings.position_embedding'],
  finalNorm: ['final_layer_norm'],
  pooler: ['text_projection'],
};

const CLIP_TEXT: TextTraits = {
  ...BERT,
  names: CLIP_NAMES,
  prefixes: ['text_model.', ''],
  defaults: {
    ...BERT.defaults,
    hiddenSize: 512,
    heads: 8,
    feedForwardSize: 2048,
    positions: 77,
    vocabularySize: 49408,
    activation: 'quick_gelu',
    epsilon: 1e-5,
    padToken: 1,
    endToken: 49407,
  },
  norms: 'before',
  isCausal: true,
  hasTokenTypes: false,
  areEmbeddingsNormed: false,
  hasFinalNorm: true,
  pooledToken: 'end-token',
  pooler: 'projection',
  head: undefined,
};

const SIGLIP_TEXT: TextTraits = {
  ...CLIP_TEXT,
  names: { ...CLIP_NAMES, pooler: ['head'] },
  defaults: {
    ...CLIP_TEXT.defaults,
    hiddenSize: 768,
    heads: 12,
    feedForwardSize: 3072,
    positions: 64,
    vocabularySize: 32000,
    activation: 'gelu_pytorch_tanh',
    epsilon: 1e-6,
  },
  isCausal: false,
  pooledToken: 'last',
  isPadded: true,
  pooler: 'biased-projection',
};

export const TEXT_TRAITS: Readonly<Record<string, TextTraits>> = {
  bert: BERT,
  roberta: ROBERTA,
  'xlm-roberta': ROBERTA,
  camembert: ROBERTA,
  distilbert: DISTILBERT,
  mpnet: MPNET,
  nomic_bert: NOMIC_BERT,
  modernbert: MODERNBERT,
  clip_text_model: CLIP_TEXT,
  siglip_text_model: SIGLIP_TEXT,
};
