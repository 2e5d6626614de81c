// The configuration that the first checkpoints of nomic-bert carry (GPT-2's names, and switches of the code that came with
// them) in the fields that transformers 5 gave the model. Source: the config.json of nomic-ai/nomic-embed-text-v1.5.

import { ConfigReader } from '../config-reader.ts';

type Fields = Record<string, unknown>;

export function isFirstNomic(json: unknown): json is Fields {
  const fields = json as Fields | null;
  return typeof fields === 'object' && fields?.['model_type'] === 'nomic_bert' && 'n_embd' in fields;
}

/** Switches that this version understands in one position only. */
const FIXED: Readonly<Fields> = {
  activation_function: 'swiglu',
  prenorm: false,
  parallel_block: false,
  causal: false,
  use_rms_norm: false,
  rotary_emb_fraction: 1,
  rotary_emb_interleaved: false,
  rotary_emb_scale_base: undefined,
  qkv_proj_bias: false,
  mlp_fc1_bias: false,
  mlp_fc2_bias: false,
  scale_attn_weights: true,
  scale_attn_by_inverse_layer_idx: false,
};

/** How the code is run, and training. `rotary_scaling_factor` matters beyond the trained positions only, which are refused. */
const HARMLESS: ReadonlySet<string> = new Set([
  ...['attn_pdrop', 'embd_pdrop', 'resid_pdrop', 'summary_activation', 'summary_first_dropout', 'summary_proj_to_labels'],
  ...['summary_type', 'summary_use_proj', 'dense_seq_output', 'fused_bias_fc', 'fused_dropout_add_ln', 'use_flash_attn'],
  ...['use_xentropy', 'reorder_and_upcast_attn', 'last_layer_subset', 'pad_vocab_size_multiple', 'rotary_scaling_factor'],
  ...['parallel_block_tied_norm', 'initializer_range', 'layer_norm_training', 'auto_map', 'n_positions', 'use_cache'],
  ...['_name_or_path', 'transformers_version', 'torch_dtype', 'dtype', 'bos_token_id', 'eos_token_id', 'tie_word_embeddings'],
]);

/** Throws `unsupported-config` for a switch in a position that is not understood. */
export function fromFirstNomic(json: Fields): Fields {
  const reader = new ConfigReader(json, 'config.json');
  for (const [name, only] of Object.entries(FIXED)) {
    const value = reader.value(name);
    if (value !== undefined && value !== only) throw reader.unsupported(name, value, String(only));
  }
  const fields = {
    model_type: reader.text('model_type'),
    architectures: reader.value('architectures'),
    vocab_size: reader.value('vocab_size'),
    type_vocab_size: reader.value('type_vocab_size'),
    pad_token_id: reader.value('pad_token_id'),
    hidden_size: reader.value('n_embd'),
    num_hidden_layers: reader.value('n_layer'),
    num_attention_heads: reader.value('n_head'),
    intermediate_size: reader.value('n_inner'),
    layer_norm_eps: reader.value('layer_norm_epsilon'),
    max_position_embeddings: reader.value('max_trained_positions') ?? reader.value('n_positions'),
    rope_parameters: { rope_type: 'default', rope_theta: reader.value('rotary_emb_base') ?? 10000 },
    hidden_act: 'silu',
    id2label: reader.value('id2label'),
  };
  reader.rejectUnread(HARMLESS, 'Use the checkpoint of another revision, or report the field.');
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}
