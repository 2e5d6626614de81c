// config.json of vision transformers as data: one row of VISION_TRAITS for each model type.

import { ConfigReader } from '../config-reader.ts';
import { rejectQuantized } from '../decoder-config.ts';
import { ENCODER_HARMLESS, LIMITS, readActivation, readLabelCount, rejectSwitches } from './text-config.ts';
import type { ModuleName } from './tensor-namer.ts';
import { VISION_TRAITS, type VisionNames, type VisionTraits } from './vision-traits.ts';
import type { TransformerConfig } from './transformer.ts';

export interface VisionConfig extends TransformerConfig {
  modelType: string;
  names: VisionNames;
  prefixes: readonly string[];
  channels: number;
  imageHeight: number;
  imageWidth: number;
  patchSize: number;
  hasPatchBias: boolean;
  /** Learned rows before the patches, with their shapes in the checkpoint. */
  tokensWithPosition: readonly { name: ModuleName; stored: readonly number[] }[];
  /** Those that get no position and stand between the others and the patches (DINOv2's registers). */
  registers: number;
  /** The shape of the table of positions in the checkpoint. */
  storedPositions: readonly number[];
  hasNormBeforeLayers: boolean;
  /** The norm behind the layers is of all rows, or of the class token's alone (CLIP). */
  finalNorm: 'all-rows' | 'pooled-row';
  pooler: VisionTraits['pooler'] | 'none';
  /** Width of what a CLIP projects images to. */
  projection: number | undefined;
  head: { kind: 'class-token' | 'class-and-mean' | 'two-tokens'; labels: number } | undefined;
}

export const VISION_MODEL_TYPES: readonly string[] = Object.keys(VISION_TRAITS);

/** Reads a parsed config.json. Throws `unsupported-config` for a field that changes the mathematics and is not understood. */
export function readVisionConfig(json: unknown): VisionConfig {
  const reader = new ConfigReader(json, 'config.json');
  const modelType = reader.text('model_type');
  const traits = Object.hasOwn(VISION_TRAITS, modelType) ? VISION_TRAITS[modelType] : undefined;
  if (!traits) throw reader.unsupported('model_type', modelType, VISION_MODEL_TYPES.join(', '));
  rejectQuantized(reader);
  const { defaults } = traits;
  const layers = reader.count('num_hidden_layers', LIMITS.layers, 12);
  const hiddenSize = reader.count('hidden_size', LIMITS.width, 768);
  const heads = reader.count('num_attention_heads', LIMITS.heads, 12);
  if (hiddenSize % heads !== 0) throw reader.unsupported('num_attention_heads', heads, `a divisor of ${hiddenSize}`);
  const [imageHeight, imageWidth] = readSize(reader, 'image_size', defaults.imageSize);
  const [patchSize, patchWidth] = readSize(reader, 'patch_size', defaults.patchSize);
  if (patchWidth !== patchSize) throw reader.unsupported('patch_size', [patchSize, patchWidth], 'a square');
  if (reader.flag('use_swiglu_ffn', false)) throw reader.unsupported('use_swiglu_ffn', true, 'false');
  if (!reader.flag('apply_layernorm', true)) throw reader.unsupported('apply_layernorm', false, 'true');
  const declaredWidth = reader.value('intermediate_size');
  const feedForwardSize = traits.hasMlpRatio
    ? hiddenSize * reader.count('mlp_ratio', 64, 4)
    : typeof declaredWidth === 'number'
      ? reader.count('intermediate_size', LIMITS.width)
      : 3072;
  const patches = Math.floor(imageHeight / patchSize) * Math.floor(imageWidth / patchSize);
  const registers = traits.hasRegisters ? reader.count('num_register_tokens', 1024, 4) : 0;
  const positions = patches + traits.tokens.length;
  const architecture = ((reader.value('architectures') as string[] | undefined) ?? [])[0] ?? '';
  const isClassifier = architecture.includes('ForImageClassification');
  const withoutPooler = traits.pooler === 'tanh' && isClassifier;
  const config: VisionConfig = {
    modelType,
    names: traits.names,
    prefixes: traits.prefixes,
    layers,
    hiddenSize,
    heads,
    headDim: hiddenSize / heads,
    feedForwardSize,
    epsilon: reader.positive('layer_norm_eps', defaults.epsilon),
    activation: readActivation(reader, 'hidden_act', defaults.activation),
    norms: 'before',
    isFirstNormed: true,
    hasNormBias: true,
    hasQueryKeyValueBias: reader.flag('qkv_bias', true),
    hasAttentionOutputBias: true,
    hasFeedForwardBias: true,
    gate: 'none',
    isCausal: false,
    windows: [],
    rotaryBases: [],
    relativeBias: undefined,
    hasLayerScale: traits.hasLayerScale,
    channels: reader.count('num_channels', 64, 3),
    imageHeight,
    imageWidth,
    patchSize,
    hasPatchBias: traits.hasPatchBias,
    tokensWithPosition: traits.tokens.map(({ name, dimensions }) => ({
      name,
      stored: [...Array.from({ length: dimensions - 1 }, () => 1), hiddenSize],
    })),
    registers,
    storedPositions: traits.arePositionsBatched ? [1, positions, hiddenSize] : [positions, hiddenSize],
    hasNormBeforeLayers: traits.hasNormBeforeLayers,
    finalNorm: traits.finalNorm,
    pooler: withoutPooler ? 'none' : traits.pooler,
    projection: traits.hasProjection ? reader.count('projection_dim', LIMITS.width, 512) : undefined,
    head: isClassifier
      ? {
          kind: architecture.endsWith('WithTeacher') ? 'two-tokens' : traits.classifier,
          labels: readLabelCount(reader),
        }
      : undefined,
  };
  reader.choice('pooler_act', { tanh: true }, 'tanh');
  if (!reader.flag('vision_use_head', true)) throw reader.unsupported('vision_use_head', false, 'true');
  rejectSwitches(reader);
  reader.rejectUnread(
    new Set([...ENCODER_HARMLESS, 'pooler_output_size']),
    'Use a checkpoint without it; if it does not change the mathematics, report it so that it can be listed as harmless.',
  );
  return config;
}

function readSize(reader: ConfigReader, field: string, otherwise: number): [number, number] {
  const value = reader.value(field) ?? otherwise;
  const [height, width] = Array.isArray(value) ? (value as unknown[]) : [value, value];
  const isSize = (size: unknown): size is number => Number.isInteger(size) && (size as number) >= 1 && (size as number) <= 8192;
  if (isSize(height) && isSize(width)) return [height, width];
  throw reader.unsupported(field, value, 'a whole number from 1 to 8192, or two');
}
