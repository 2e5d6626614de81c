// The metadata of a GGUF file that holds an encoder of texts, as the config.json that models/encoders reads, and its tensors by
// the names of the architecture's checkpoints. Keys and names: gguf-py/gguf/constants.py of llama.cpp.

import { WpError } from '../../errors.ts';
import type { GgufConfig } from './config.ts';
import { ArchitectureFields } from './fields.ts';
import type { GgufTensor } from './header.ts';
import type { GgufMetadata } from './metadata.ts';

interface EncoderArchitecture {
  /** model_type of config.json. */
  modelType: string;
  activation: string;
  hasRotary: boolean;
  /** Of the tensors before the layers, and of a layer's, without `.weight` or `.bias`. */
  outer: Readonly<Record<string, string>>;
  layer: Readonly<Record<string, string>>;
}

const BERT_LAYER = 'encoder.layer.{i}';
const NOMIC_LAYER = 'encoder.layers.{i}';

const ENCODERS: Readonly<Record<string, EncoderArchitecture>> = {
  bert: {
    modelType: 'bert',
    activation: 'gelu',
    hasRotary: false,
    outer: {
      token_embd: 'embeddings.word_embeddings',
      position_embd: 'embeddings.position_embeddings',
      token_types: 'embeddings.token_type_embeddings',
      token_embd_norm: 'embeddings.LayerNorm',
    },
    layer: {
      attn_q: `${BERT_LAYER}.attention.self.query`,
      attn_k: `${BERT_LAYER}.attention.self.key`,
      attn_v: `${BERT_LAYER}.attention.self.value`,
      attn_output: `${BERT_LAYER}.attention.output.dense`,
      attn_output_norm: `${BERT_LAYER}.attention.output.LayerNorm`,
      ffn_up: `${BERT_LAYER}.intermediate.dense`,
      ffn_down: `${BERT_LAYER}.output.dense`,
      layer_output_norm: `${BERT_LAYER}.output.LayerNorm`,
    },
  },
  'nomic-bert': {
    modelType: 'nomic_bert',
    activation: 'silu',
    hasRotary: true,
    outer: {
      token_embd: 'embeddings.word_embeddings',
      token_types: 'embeddings.token_type_embeddings',
      token_embd_norm: 'emb_ln',
    },
    layer: {
      attn_qkv: `${NOMIC_LAYER}.attn.Wqkv`,
      attn_output: `${NOMIC_LAYER}.attn.out_proj`,
      attn_output_norm: `${NOMIC_LAYER}.norm1`,
      ffn_gate: `${NOMIC_LAYER}.mlp.fc12`,
      ffn_up: `${NOMIC_LAYER}.mlp.fc11`,
      ffn_down: `${NOMIC_LAYER}.mlp.fc2`,
      layer_output_norm: `${NOMIC_LAYER}.norm2`,
    },
  },
};

export const ENCODER_ARCHITECTURES: readonly string[] = Object.keys(ENCODERS);

/** llama.cpp's numbers of `pooling_type`; 0 is none: the reader's own choice. */
const POOLINGS: Readonly<Record<number, 'mean' | 'first' | 'last' | undefined>> = {
  0: undefined,
  1: 'mean',
  2: 'first',
  3: 'last',
};

/** Of an architecture of ENCODER_ARCHITECTURES. Throws `unsupported-config` for a key that is not understood. */
export function readEncoderConfig(
  metadata: GgufMetadata,
  tensors: readonly GgufTensor[],
  name: string,
  file: string,
): GgufConfig {
  const architecture = ENCODERS[name]!;
  const fields = new ArchitectureFields(metadata, name, file);
  const shapes = new Map(tensors.map((tensor) => [tensor.name, tensor.shape]));
  const hiddenSize = fields.required('embedding_length');
  const heads = fields.required('attention.head_count');
  const layers = fields.required('block_count');
  fields.mustBe('attention.head_count_kv', [heads]);
  for (const key of ['attention.key_length', 'attention.value_length', 'rope.dimension_count']) {
    fields.mustBe(key, [hiddenSize / heads]);
  }
  fields.mustBe('attention.causal', [false]);
  fields.mustBe('expert_count', [0]);
  fields.mustBe('moe_every_n_layers', [0]);
  fields.value('vocab_size'); // the embedding's rows say it
  const pooling = fields.number('pooling_type') ?? 0;
  if (!Object.hasOwn(POOLINGS, pooling))
    throw fields.unsupported('pooling_type', pooling, '0 (none), 1 (mean), 2 (cls), 3 (last)');
  const last = Object.keys(architecture.layer)[0]!;
  // Before a graph is built that is as large as the file claims.
  const missing = `blk.${layers - 1}.${last}.weight`;
  if (Number.isInteger(layers) && layers > 0 && !shapes.has(missing)) {
    const hint = 'Choose another file: this one holds a part of a model, or another kind of model.';
    throw new WpError('missing-tensor', `${file} has ${layers} layers, but no tensor "${missing}".`, hint, {
      missing: [missing],
      layers,
    });
  }
  const rotary = architecture.hasRotary
    ? { rope_parameters: { rope_type: 'default', rope_theta: fields.number('rope.freq_base') ?? 10_000 } }
    : {};
  const config: Record<string, unknown> = {
    model_type: architecture.modelType,
    num_hidden_layers: layers,
    hidden_size: hiddenSize,
    num_attention_heads: heads,
    intermediate_size: fields.required('feed_forward_length'),
    vocab_size: shapes.get('token_embd.weight')?.[0] ?? null,
    type_vocab_size: shapes.get('token_types.weight')?.[0] ?? null,
    max_position_embeddings: fields.required('context_length'),
    layer_norm_eps: fields.required('attention.layer_norm_epsilon'),
    hidden_act: architecture.activation,
    ...rotary,
  };
  fields.rejectUnread();
  return {
    config,
    heads,
    keyValueHeads: heads,
    headDim: hiddenSize / heads,
    hasInterleavedRows: false,
    nameOf: (tensor) => checkpointName(architecture, tensor),
    encoder: { pooling: POOLINGS[pooling] },
  };
}

function checkpointName({ outer, layer }: EncoderArchitecture, ggufName: string): string | undefined {
  const [, index, name, leaf] = /^(?:blk\.(0|[1-9]\d{0,4})\.)?([a-z_]+)\.(weight|bias)$/.exec(ggufName) ?? [];
  const names = index === undefined ? outer : layer;
  if (name === undefined || !Object.hasOwn(names, name)) return undefined;
  return `${names[name]!.replace('{i}', index ?? '')}.${leaf}`;
}
