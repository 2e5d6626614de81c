// The Llama family: a decoder of pre-normed layers with rotary grouped-query attention and a gated feed-forward network.
// Written in the plain form; the passes of graph/ fuse it. Names of tensors are those of Hugging Face checkpoints.

import type { GraphBuilder } from '../graph/builder.ts';
import type { ValueId, WeightRole } from '../graph/types.ts';
import { DECODER_MODEL_TYPES, readDecoderConfig, type DecoderConfig } from './decoder-config.ts';
import type { ModelFamily } from './family.ts';

/**
 * Inputs: tokenIds [tokens] i32, rotary [tokens, headDim] f32 (rotary.ts), outputRows [outputs] i32.
 * Output: logits [outputs, vocabulary] of the rows asked for; the last norm and the output matrix run for those only.
 */
export const decoder: ModelFamily<DecoderConfig> = {
  modelTypes: DECODER_MODEL_TYPES,
  config: readDecoderConfig,

  build(b, config) {
    const { hiddenSize, vocabularySize, epsilon } = config;
    const tokenIds = b.input('tokenIds', 'i32', ['tokens']);
    const rotary = b.input('rotary', 'f32', ['tokens', config.headDim]);
    const outputRows = b.input('outputRows', 'i32', ['outputs']);

    const tableShape = [vocabularySize, hiddenSize];
    const table = b.weight('model.embed_tokens.weight', { shape: tableShape, role: 'embedding' });
    let x = b.embed(tokenIds, table);
    for (let i = 0; i < config.layers; i++) x = b.layer(i, () => decoderLayer(b, i, x, rotary, config));

    x = b.selectRows(x, outputRows);
    x = b.rmsNorm(x, { weight: b.weight('model.norm.weight', { shape: [hiddenSize], role: 'norm' }), epsilon });
    const head = config.tiedEmbeddings ? table : b.weight('lm_head.weight', { shape: tableShape, role: 'output' });
    b.output('logits', b.linear(x, head));
  },
};

function decoderLayer(b: GraphBuilder, index: number, x: ValueId, rotary: ValueId, config: DecoderConfig): ValueId {
  const { hiddenSize, epsilon } = config;
  const prefix = `model.layers.${index}`;
  const norm = (name: string, size = hiddenSize) =>
    b.weight(`${prefix}.${name}.weight`, { shape: [size], role: 'norm' });

  const attentionInput = b.rmsNorm(x, { weight: norm('input_layernorm'), epsilon });
  x = b.add(x, selfAttention(b, index, attentionInput, rotary, config));
  const feedForwardInput = b.rmsNorm(x, { weight: norm('post_attention_layernorm'), epsilon });
  return b.add(x, feedForward(b, `${prefix}.mlp`, feedForwardInput, config));
}

function selfAttention(
  b: GraphBuilder,
  index: number,
  x: ValueId,
  rotary: ValueId,
  { hiddenSize, heads, keyValueHeads, headDim, epsilon, attentionBias, qkNorm, windows }: DecoderConfig,
): ValueId {
  const prefix = `model.layers.${index}.self_attn`;
  const project = (name: string, rows: number) =>
    linear(b, x, `${prefix}.${name}`, [rows, hiddenSize], 'attention-qkv', attentionBias.queryKeyValue);
  const headNorm = (name: string) =>
    qkNorm ? b.weight(`${prefix}.${name}.weight`, { shape: [headDim], role: 'norm' }) : undefined;
  const cache = (kind: 'key' | 'value') =>
    b.state(`layer${index}.${kind}`, { shape: [keyValueHeads, 'context', headDim], kind });

  const shape = { heads, keyValueHeads, headDim, keyState: cache('key'), valueState: cache('value') };
  const queries = b.rotaryCache(
    {
      queries: project('q_proj', heads * headDim),
      keys: project('k_proj', keyValueHeads * headDim),
      values: project('v_proj', keyValueHeads * headDim),
      rotary,
    },
    { ...shape, queryNorm: headNorm('q_norm'), keyNorm: headNorm('k_norm'), epsilon },
  );
  const attended = b.attention(queries, { ...shape, scale: headDim ** -0.5, window: windows[index] });
  const outputShape = [hiddenSize, heads * headDim];
  return linear(b, attended, `${prefix}.o_proj`, outputShape, 'attention-output', attentionBias.output);
}

function feedForward(
  b: GraphBuilder,
  prefix: string,
  x: ValueId,
  { hiddenSize, feedForwardSize, activation, feedForwardBias }: DecoderConfig,
): ValueId {
  const inward = (name: string) =>
    linear(b, x, `${prefix}.${name}`, [feedForwardSize, hiddenSize], 'ffn-in', feedForwardBias);
  const inner = b.gatedActivation(inward('gate_proj'), inward('up_proj'), { activation });
  return linear(b, inner, `${prefix}.down_proj`, [hiddenSize, feedForwardSize], 'ffn-out', feedForwardBias);
}

/** x·Wᵀ (+ bias), of the tensors `name`.weight and `name`.bias. */
function linear(
  b: GraphBuilder,
  x: ValueId,
  name: string,
  shape: readonly number[],
  role: WeightRole,
  hasBias: boolean,
): ValueId {
  const weight = b.weight(`${name}.weight`, { shape, role });
  const bias = hasBias ? b.weight(`${name}.bias`, { shape: [shape[0]!], role: 'bias' }) : undefined;
  return b.linear(x, weight, bias);
}
