// config.json of the Llama family as data. What distinguishes a llama from a mistral or a qwen is a feature with a value
// here (`windows`, `qkNorm`, `attentionBias`), so that nothing after this file asks for a model's name. Every field of
// the file is either read, listed as harmless, or an error.

import { ConfigReader } from './config-reader.ts';
import { readRotaryConfig, type RotaryConfig } from './rotary-config.ts';

export interface DecoderConfig {
  /** `model_type`, for reports: no mathematics depends on it. */
  modelType: string;
  layers: number;
  /** Width of the residual stream. */
  hiddenSize: number;
  heads: number;
  /** Key and value heads; each serves heads / keyValueHeads query heads. */
  keyValueHeads: number;
  headDim: number;
  /** Width of the gated feed-forward network. */
  feedForwardSize: number;
  vocabularySize: number;
  /** Of every RMS norm. */
  epsilon: number;
  activation: 'silu' | 'gelu-tanh';
  /** The output matrix is the embedding. */
  tiedEmbeddings: boolean;
  attentionBias: { queryKeyValue: boolean; output: boolean };
  feedForwardBias: boolean;
  /** Each head's query and key is RMS-normed before it is rotated. */
  qkNorm: boolean;
  /** One a layer: how many positions a token sees, itself included; undefined is all. */
  windows: readonly (number | undefined)[];
  rotary: RotaryConfig;
  maxContextLength: number;
  bosToken: number | undefined;
  /** Any of these ends a generation. generation_config.json may say otherwise. */
  eosTokens: readonly number[];
  padToken: number | undefined;
}

/** What a model type means where its config.json is silent. Source: the configuration classes of transformers. */
interface Traits {
  bias: 'attention_bias' | 'query-key-value' | 'none';
  qkNorm: boolean;
  /** Which fields speak of windows: none; sliding_window for all layers; use_sliding_window with a list of layers. */
  windows: 'none' | 'all-layers' | 'listed-layers';
  keyValueHeads: number | undefined;
  headDim: number | undefined;
  maxContextLength: number;
  hasFeedForwardBias: boolean;
}

const TRAITS: Readonly<Record<string, Traits>> = {
  llama: {
    bias: 'attention_bias',
    qkNorm: false,
    windows: 'none',
    keyValueHeads: undefined,
    headDim: undefined,
    maxContextLength: 2048,
    hasFeedForwardBias: true,
  },
  mistral: {
    bias: 'none',
    qkNorm: false,
    windows: 'all-layers',
    keyValueHeads: 8,
    headDim: undefined,
    maxContextLength: 131072,
    hasFeedForwardBias: false,
  },
  qwen2: {
    bias: 'query-key-value',
    qkNorm: false,
    windows: 'listed-layers',
    keyValueHeads: 32,
    headDim: undefined,
    maxContextLength: 32768,
    hasFeedForwardBias: false,
  },
  qwen3: {
    bias: 'attention_bias',
    qkNorm: true,
    windows: 'listed-layers',
    keyValueHeads: 32,
    headDim: 128,
    maxContextLength: 32768,
    hasFeedForwardBias: false,
  },
};

/** Model types that `readDecoderConfig` reads. */
export const DECODER_MODEL_TYPES: readonly string[] = Object.keys(TRAITS);

const ACTIVATIONS = {
  silu: 'silu',
  swish: 'silu',
  gelu_pytorch_tanh: 'gelu-tanh',
  gelu_new: 'gelu-tanh',
} as const;

/** Fields that do not change what a trained model computes: training, bookkeeping, defaults of other programs. */
export const HARMLESS: ReadonlySet<string> = new Set([
  ...['_name_or_path', 'name_or_path', 'transformers_version', 'torch_dtype', 'dtype', 'use_cache', 'tokenizer_class'],
  ...['initializer_range', 'attention_dropout', 'hidden_dropout', 'resid_pdrop', 'embd_pdrop', 'dropout'],
  ...['pretraining_tp', 'is_llama_config', 'neftune_noise_alpha', 'unsloth_version', 'unsloth_fixed', 'license'],
  ...['_attn_implementation', '_attn_implementation_autoset', 'attn_implementation', '_attn_implementation_internal'],
  ...['_flash_attn_2_enabled', 'base_model_tp_plan', 'base_model_pp_plan', 'transformers.js_config'],
  ...['output_attentions', 'output_hidden_states', 'return_dict', 'return_dict_in_generate', 'output_scores'],
  ...['id2label', 'label2id', 'problem_type', 'finetuning_task', 'task_specific_params', 'prefix', 'torchscript'],
  ...['chunk_size_feed_forward', 'use_bfloat16', 'tf_legacy_loss', 'is_decoder', 'sep_token_id', 'unk_token_id'],
  ...['cls_token_id', 'mask_token_id', 'decoder_start_token_id', 'forced_bos_token_id', 'forced_eos_token_id'],
  ...['do_sample', 'temperature', 'top_k', 'top_p', 'typical_p', 'repetition_penalty', 'length_penalty', 'num_beams'],
  ...['num_beam_groups', 'diversity_penalty', 'early_stopping', 'max_length', 'min_length', 'max_new_tokens'],
  ...['no_repeat_ngram_size', 'encoder_no_repeat_ngram_size', 'bad_words_ids', 'num_return_sequences'],
  ...['remove_invalid_values', 'exponential_decay_length_penalty', 'suppress_tokens', 'begin_suppress_tokens'],
]);

/** Features that are off when false (or empty), and not understood otherwise. */
const OFF = ['is_encoder_decoder', 'add_cross_attention', 'tie_encoder_decoder', 'rope_interleaved', 'use_mrope'];

/** Larger numbers are a damaged or hostile file: they are refused before anything is sized by them. */
const LIMITS = { layers: 1024, width: 1 << 20, heads: 1 << 14, vocabulary: 1 << 24, context: 1 << 26 };

/** Reads a parsed config.json. Throws `unsupported-config` as `ModelFamily.config` promises. */
export function readDecoderConfig(json: unknown): DecoderConfig {
  const reader = new ConfigReader(json, 'config.json');
  const modelType = reader.text('model_type');
  const traits = Object.hasOwn(TRAITS, modelType) ? TRAITS[modelType] : undefined;
  if (!traits) throw reader.unsupported('model_type', modelType, DECODER_MODEL_TYPES.join(', '));
  rejectOtherTasks(reader);
  rejectQuantized(reader);

  const layers = reader.count('num_hidden_layers', LIMITS.layers);
  const hiddenSize = reader.count('hidden_size', LIMITS.width);
  const heads = reader.count('num_attention_heads', LIMITS.heads);
  const keyValueHeads = reader.count(
    'num_key_value_heads',
    LIMITS.heads,
    reader.has('num_key_value_heads') ? heads : (traits.keyValueHeads ?? heads),
  );
  if (heads % keyValueHeads !== 0) {
    throw reader.unsupported('num_key_value_heads', keyValueHeads, `a divisor of num_attention_heads (${heads})`);
  }
  const headDim = reader.count('head_dim', LIMITS.width, traits.headDim ?? hiddenSize / heads);
  if (headDim % 2 !== 0) throw reader.unsupported('head_dim', headDim, 'an even number');

  const hasBias = traits.bias === 'attention_bias' && reader.flag('attention_bias', false);
  const maxContextLength = reader.count('max_position_embeddings', LIMITS.context, traits.maxContextLength);
  const config: DecoderConfig = {
    modelType,
    layers,
    hiddenSize,
    heads,
    keyValueHeads,
    headDim,
    feedForwardSize: reader.count('intermediate_size', LIMITS.width),
    vocabularySize: reader.count('vocab_size', LIMITS.vocabulary),
    epsilon: reader.positive('rms_norm_eps', 1e-6),
    activation: reader.choice('hidden_act', ACTIVATIONS, 'silu'),
    tiedEmbeddings: reader.flag('tie_word_embeddings', false),
    attentionBias: { queryKeyValue: traits.bias === 'query-key-value' || hasBias, output: hasBias },
    feedForwardBias: traits.hasFeedForwardBias && reader.flag('mlp_bias', false),
    qkNorm: traits.qkNorm,
    windows: readWindows(reader, traits, layers),
    rotary: readRotaryConfig(reader, maxContextLength),
    maxContextLength,
    bosToken: reader.tokens('bos_token_id')[0],
    eosTokens: reader.tokens('eos_token_id'),
    padToken: reader.value('pad_token_id') === -1 ? undefined : reader.tokens('pad_token_id')[0],
  };

  const { scaling } = config.rotary;
  if (scaling.type === 'divisors' && scaling.divisors.length !== headDim / 2) {
    throw reader.unsupported('rope_scaling', `${scaling.divisors.length} divisors`, `${headDim / 2}, half of head_dim`);
  }
  for (const name of OFF) {
    const value = reader.value(name);
    if (value !== undefined && value !== false) throw reader.unsupported(name, value, 'false');
  }
  const pruned = reader.value('pruned_heads');
  if (typeof pruned === 'object' && Object.keys(pruned as object).length > 0) {
    throw reader.unsupported('pruned_heads', pruned, 'none');
  }
  reader.rejectUnread(
    HARMLESS,
    'Use a checkpoint without it; if it does not change the mathematics, report it so that it can be listed as harmless.',
  );
  return config;
}

function readWindows(reader: ConfigReader, traits: Traits, layers: number): (number | undefined)[] {
  const all = (window: number | undefined) => Array.from({ length: layers }, () => window);
  if (traits.windows === 'none') return all(undefined);

  if (traits.windows === 'all-layers') {
    // An absent field means 4,096, a null means no window: so does transformers' MistralConfig.
    if (reader.has('sliding_window') && reader.value('sliding_window') === undefined) return all(undefined);
    return all(reader.count('sliding_window', LIMITS.context, 4096));
  }

  const isOn = reader.flag('use_sliding_window', false);
  const isNull = reader.has('sliding_window') && reader.value('sliding_window') === undefined;
  const size = isNull ? undefined : reader.count('sliding_window', LIMITS.context, 4096);
  const window = isOn ? size : undefined;
  const firstWindowed = reader.value('max_window_layers') ?? 28;
  if (typeof firstWindowed !== 'number') throw reader.unsupported('max_window_layers', firstWindowed, 'a number');
  const types = reader.value('layer_types');
  if (types === undefined) return all(window).map((w, i) => (i >= firstWindowed ? w : undefined));

  if (!Array.isArray(types) || types.length !== layers) {
    throw reader.unsupported('layer_types', types, `a list of ${layers} names, one a layer`);
  }
  return types.map((type: unknown) => {
    if (type === 'full_attention') return undefined;
    if (type !== 'sliding_attention') throw reader.unsupported('layer_types', type, 'full_attention, sliding_attention');
    if (window === undefined) throw reader.unsupported('layer_types', type, 'full_attention, as use_sliding_window is off');
    return window;
  });
}

/** A head for another task, or code of the checkpoint's own, would need other weights or other mathematics. */
function rejectOtherTasks(reader: ConfigReader): void {
  const architectures = reader.value('architectures');
  if (architectures !== undefined) {
    const isCausal = (name: unknown) => typeof name === 'string' && name.endsWith('ForCausalLM');
    if (!Array.isArray(architectures) || !architectures.every(isCausal)) {
      throw reader.unsupported('architectures', architectures, '…ForCausalLM', 'This checkpoint does not generate text.');
    }
  }
  const code = reader.value('auto_map');
  if (code !== undefined) {
    throw reader.unsupported('auto_map', code, 'none', 'The checkpoint brings Python code of its own, which may compute something else.');
  }
}

export function rejectQuantized(reader: ConfigReader): void {
  for (const name of ['quantization_config', 'compression_config']) {
    const value = reader.value(name);
    if (value === undefined) continue;
    throw reader.unsupported(
      name,
      value,
      'none',
      'Use the unquantised checkpoint (bf16, f16 or f32): it is quantised while it loads.',
    );
  }
}
