// The metadata of a GGUF file as the config.json that the model would have beside safetensors, so that models/ reads one
// kind of configuration. Metadata that would change the mathematics and is not understood is an error.

import { WpError } from '../../errors.ts';
import { ENCODER_ARCHITECTURES, readEncoderConfig } from './encoder-config.ts';
import { ArchitectureFields } from './fields.ts';
import type { GgufTensor } from './header.ts';
import type { GgufMetadata } from './metadata.ts';
import { corruptGguf, shown, unsupportedGguf } from './refusals.ts';
import { checkpointName } from './tensor-names.ts';

/** What is taken from a file whose `general.architecture` is this. */
interface Architecture {
  /** model_type of config.json. */
  modelType: 'llama' | 'qwen2' | 'qwen3';
  /** The converter interleaved the rows of query and key: see tensor-names.ts. */
  hasInterleavedRows: boolean;
}

const ARCHITECTURES: Readonly<Record<string, Architecture>> = {
  llama: { modelType: 'llama', hasInterleavedRows: true },
  qwen2: { modelType: 'qwen2', hasInterleavedRows: false },
  qwen3: { modelType: 'qwen3', hasInterleavedRows: false },
};

export interface GgufConfig {
  /** As models/ reads it. */
  config: Record<string, unknown>;
  heads: number;
  keyValueHeads: number;
  headDim: number;
  hasInterleavedRows: boolean;
  /** The name that models/ knows a tensor by; undefined for one that the architecture does not have. */
  nameOf(tensor: string): string | undefined;
  /** Of an encoder of texts: how they become vectors. */
  encoder: { pooling: 'mean' | 'first' | 'last' | undefined } | undefined;
}

/** Divisors of the rotary frequencies, one a pair; see `rope_freqs.weight`. */
export const ROTARY_DIVISORS = 'rope_freqs.weight';

/** Reads the metadata. `divisors` are the numbers of the tensor `rope_freqs.weight`, when the file has it. */
export function readGgufConfig(
  metadata: GgufMetadata,
  tensors: readonly GgufTensor[],
  file: string,
  divisors: readonly number[] | undefined,
): GgufConfig {
  const name = metadata.get('general.architecture');
  if (typeof name !== 'string' || name === '') throw corruptGguf(file, 'does not name its general.architecture');
  const kind = metadata.get('general.type');
  if (kind !== undefined && kind !== 'model') {
    throw unsupportedGguf(
      'unsupported-format',
      file,
      `is of the general.type ${shown(String(kind))}, not a whole model`,
      'Choose the file of the model itself.',
      { actual: kind, allowed: 'model' },
    );
  }
  if (ENCODER_ARCHITECTURES.includes(name)) return readEncoderConfig(metadata, tensors, name, file);
  const architecture = Object.hasOwn(ARCHITECTURES, name) ? ARCHITECTURES[name] : undefined;
  if (!architecture) {
    const allowed = [...Object.keys(ARCHITECTURES), ...ENCODER_ARCHITECTURES];
    throw unsupportedGguf(
      'unsupported-architecture',
      file,
      `is a model of the architecture ${shown(name)}; supported: ${allowed.join(', ')}`,
      'Choose a model of one of these architectures.',
      { actual: name, allowed },
    );
  }
  const fields = new ArchitectureFields(metadata, name, file);
  const shapes = new Map(tensors.map((tensor) => [tensor.name, tensor.shape]));
  const has = (tensor: string): boolean => shapes.has(tensor);

  const hiddenSize = fields.required('embedding_length');
  const heads = fields.required('attention.head_count');
  const keyValueHeads = fields.number('attention.head_count_kv') ?? heads;
  const headDim = fields.number('attention.key_length') ?? hiddenSize / heads;
  const contextLength = fields.required('context_length');
  fields.mustBe('attention.value_length', [headDim]);
  fields.mustBe('rope.dimension_count', [headDim]);
  for (const key of ['expert_count', 'expert_used_count', 'attention.clamp_kqv', 'attention.max_alibi_bias'])
    fields.mustBe(key, [0]);
  for (const key of ['attention.scale', 'logit_scale', 'residual_scale', 'embedding_scale']) fields.mustBe(key, [0]);
  fields.mustBe('attention.causal', [true]);
  fields.mustBe('use_parallel_residual', [false]);
  fields.value('tensor_data_layout'); // what a converter called its order of rows
  fields.value('vocab_size'); // the embedding's rows say it

  const layers = fields.required('block_count');
  // Before a graph is built that is as large as the file claims.
  const last = `blk.${layers - 1}.attn_q.weight`;
  if (Number.isInteger(layers) && layers > 0 && !has(last)) {
    const hint = 'Choose another file: this one holds a part of a model, or another kind of model.';
    throw new WpError('missing-tensor', `${file} has ${layers} layers, but no tensor "${last}".`, hint, {
      missing: [last],
      layers,
    });
  }

  const window = fields.number('attention.sliding_window') ?? 0;
  const isWindowed = window > 0 && window < contextLength;
  if (isWindowed && architecture.modelType !== 'llama') {
    throw fields.unsupported('attention.sliding_window', window, 'none');
  }
  const vocabulary = shapes.get('token_embd.weight')?.[0];
  const config: Record<string, unknown> = {
    model_type: isWindowed ? 'mistral' : architecture.modelType,
    ...(isWindowed && { sliding_window: window }),
    num_hidden_layers: layers,
    hidden_size: hiddenSize,
    num_attention_heads: heads,
    num_key_value_heads: keyValueHeads,
    head_dim: headDim,
    intermediate_size: fields.required('feed_forward_length'),
    vocab_size: vocabulary ?? metadata.get(`${name}.vocab_size`) ?? null,
    rms_norm_eps: fields.required('attention.layer_norm_rms_epsilon'),
    max_position_embeddings: contextLength,
    rope_theta: fields.number('rope.freq_base') ?? 10_000,
    rope_scaling: readScaling(fields, divisors),
    tie_word_embeddings: !has('output.weight'),
    // What a type of config.json cannot say, its graph leaves out: a file that has it is refused then.
    ...(architecture.modelType !== 'qwen2' && !isWindowed && { attention_bias: has('blk.0.attn_q.bias') }),
    ...(architecture.modelType === 'llama' && !isWindowed && { mlp_bias: has('blk.0.ffn_gate.bias') }),
  };
  fields.rejectUnread();
  const { hasInterleavedRows } = architecture;
  return { config, heads, keyValueHeads, headDim, hasInterleavedRows, nameOf: checkpointName, encoder: undefined };
}

function readScaling(fields: ArchitectureFields, divisors: readonly number[] | undefined): unknown {
  // The older key is the same factor. A factor without a type is linear, as in llama.cpp.
  const factor = fields.number('rope.scaling.factor') ?? fields.number('rope.scale_linear') ?? 1;
  const type = fields.value('rope.scaling.type') ?? 'linear';
  fields.value('rope.scaling.finetuned'); // history
  fields.value('rope.scaling.original_context_length'); // said of the scalings that use it, which are refused below
  if (type !== 'none' && type !== 'linear') {
    throw fields.unsupported('rope.scaling.type', type, 'none, linear, or the tensor rope_freqs.weight');
  }
  const isLinear = type === 'linear' && factor !== 0 && factor !== 1;
  if (divisors && isLinear) throw fields.unsupported('rope.scaling.factor', factor, '1 beside rope_freqs.weight');
  if (divisors) return { rope_type: 'divisors', divisors };
  return isLinear ? { rope_type: 'linear', factor } : null;
}
