// What a model type of vision transformers means where its config.json is silent, and how its checkpoints name their tensors.
// Sources: the configuration and modelling files of transformers.

import { CLIP_LAYER_NAMES } from './clip-layer-names.ts';
import type { ModuleName } from './tensor-namer.ts';
import type { LayerNames } from './transformer.ts';

export interface VisionNames extends LayerNames {
  patches: ModuleName;
  positions: ModuleName;
  registers: ModuleName;
  normBeforeLayers: ModuleName;
  finalNorm: ModuleName;
  pooler: ModuleName;
  projection: ModuleName;
  classifier: ModuleName;
  secondClassifier: ModuleName;
}

export interface VisionTraits {
  names: VisionNames;
  prefixes: readonly string[];
  defaults: { imageSize: number; patchSize: number; activation: string; epsilon: number };
  hasMlpRatio: boolean;
  hasLayerScale: boolean;
  hasPatchBias: boolean;
  hasRegisters: boolean;
  /** Learned rows before the patches, with how many dimensions each has in the checkpoint. */
  tokens: readonly { name: ModuleName; dimensions: number }[];
  /** The table of positions is [1, positions, hiddenSize]. */
  arePositionsBatched: boolean;
  hasNormBeforeLayers: boolean;
  finalNorm: 'all-rows' | 'pooled-row';
  /** What makes the pooled vector of a model without a classifier: a dense layer and tanh, the class token, attention. */
  pooler: 'tanh' | 'class-token' | 'attention';
  hasProjection: boolean;
  classifier: 'class-token' | 'class-and-mean';
}

const VIT: VisionTraits = {
  names: {
    patches: ['embeddings.patch_embeddings.projection'],
    positions: ['embeddings.position_embeddings'],
    registers: ['embeddings.register_tokens'],
    normBeforeLayers: [],
    query: ['encoder.layer.{i}.attention.attention.query', 'layers.{i}.attention.q_proj'],
    key: ['encoder.layer.{i}.attention.attention.key', 'layers.{i}.attention.k_proj'],
    value: ['encoder.layer.{i}.attention.attention.value', 'layers.{i}.attention.v_proj'],
    attentionOutput: ['encoder.layer.{i}.attention.output.dense', 'layers.{i}.attention.o_proj'],
    attentionNorm: ['encoder.layer.{i}.layernorm_before', 'layers.{i}.layernorm_before'],
    feedForwardIn: ['encoder.layer.{i}.intermediate.dense', 'layers.{i}.mlp.fc1'],
    feedForwardOut: ['encoder.layer.{i}.output.dense', 'layers.{i}.mlp.fc2'],
    feedForwardNorm: ['encoder.layer.{i}.layernorm_after', 'layers.{i}.layernorm_after'],
    finalNorm: ['layernorm'],
    pooler: ['pooler.dense'],
    projection: [],
    classifier: ['classifier', 'cls_classifier'],
    secondClassifier: ['distillation_classifier'],
  },
  prefixes: ['', 'vit.'],
  defaults: { imageSize: 224, patchSize: 16, activation: 'gelu', epsilon: 1e-12 },
  hasMlpRatio: false,
  hasLayerScale: false,
  hasPatchBias: true,
  hasRegisters: false,
  tokens: [{ name: ['embeddings.cls_token'], dimensions: 3 }],
  arePositionsBatched: true,
  hasNormBeforeLayers: false,
  finalNorm: 'all-rows',
  pooler: 'tanh',
  hasProjection: false,
  classifier: 'class-token',
};

const DEIT: VisionTraits = {
  ...VIT,
  prefixes: ['', 'deit.'],
  tokens: [...VIT.tokens, { name: ['embeddings.distillation_token'], dimensions: 3 }],
};

const DINOV2: VisionTraits = {
  ...VIT,
  names: {
    ...VIT.names,
    query: ['encoder.layer.{i}.attention.attention.query', 'encoder.layer.{i}.attention.q_proj'],
    key: ['encoder.layer.{i}.attention.attention.key', 'encoder.layer.{i}.attention.k_proj'],
    value: ['encoder.layer.{i}.attention.attention.value', 'encoder.layer.{i}.attention.v_proj'],
    attentionOutput: ['encoder.layer.{i}.attention.output.dense', 'encoder.layer.{i}.attention.o_proj'],
    attentionNorm: ['encoder.layer.{i}.norm1'],
    feedForwardIn: ['encoder.layer.{i}.mlp.fc1'],
    feedForwardOut: ['encoder.layer.{i}.mlp.fc2'],
    feedForwardNorm: ['encoder.layer.{i}.norm2'],
    attentionScale: ['encoder.layer.{i}.layer_scale1.lambda1'],
    feedForwardScale: ['encoder.layer.{i}.layer_scale2.lambda1'],
  },
  prefixes: ['', 'dinov2.', 'dinov2_with_registers.'],
  defaults: { ...VIT.defaults, epsilon: 1e-6 },
  hasMlpRatio: true,
  hasLayerScale: true,
  pooler: 'class-token',
  classifier: 'class-and-mean',
};

const CLIP_VISION: VisionTraits = {
  ...VIT,
  names: {
    ...CLIP_LAYER_NAMES,
    patches: ['embeddings.patch_embedding'],
    positions: ['embeddings.position_embedding.weight'],
    registers: [],
    normBeforeLayers: ['pre_layrnorm'],
    finalNorm: ['post_layernorm'],
    pooler: ['head'],
    projection: ['visual_projection'],
    classifier: ['classifier'],
    secondClassifier: [],
  },
  prefixes: ['vision_model.', ''],
  defaults: { imageSize: 224, patchSize: 32, activation: 'quick_gelu', epsilon: 1e-5 },
  hasPatchBias: false,
  tokens: [{ name: ['embeddings.class_embedding'], dimensions: 1 }],
  arePositionsBatched: false,
  hasNormBeforeLayers: true,
  finalNorm: 'pooled-row',
  pooler: 'class-token',
  hasProjection: true,
};

const SIGLIP_VISION: VisionTraits = {
  ...CLIP_VISION,
  defaults: { imageSize: 224, patchSize: 16, activation: 'gelu_pytorch_tanh', epsilon: 1e-6 },
  hasPatchBias: true,
  tokens: [],
  hasNormBeforeLayers: false,
  finalNorm: 'all-rows',
  pooler: 'attention',
  hasProjection: false,
};

export const VISION_TRAITS: Readonly<Record<string, VisionTraits>> = {
  vit: VIT,
  deit: DEIT,
  dinov2: DINOV2,
  dinov2_with_registers: { ...DINOV2, hasRegisters: true },
  clip_vision_model: CLIP_VISION,
  siglip_vision_model: SIGLIP_VISION,
};
