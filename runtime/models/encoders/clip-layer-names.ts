import type { LayerNames } from './transformer.ts';

/** What CLIP's and SigLIP's checkpoints call the parts of a layer, in both of their towers. */
export const CLIP_LAYER_NAMES: LayerNames = {
  query: ['encoder.layers.{i}.self_attn.q_proj'],
  key: ['encoder.layers.{i}.self_attn.k_proj'],
  value: ['encoder.layers.{i}.self_attn.v_proj'],
  attentionOutput: ['encoder.layers.{i}.self_attn.out_proj'],
  attentionNorm: ['encoder.layers.{i}.layer_norm1'],
  feedForwardIn: ['encoder.layers.{i}.mlp.fc1'],
  feedForwardOut: ['encoder.layers.{i}.mlp.fc2'],
  feedForwardNorm: ['encoder.layers.{i}.layer_norm2'],
};
