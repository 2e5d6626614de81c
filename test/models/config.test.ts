// Configurations: what each model type means by silence, both spellings of the rotary fields, and every field that would
// change the mathematics as an error that names it.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WpError } from '../../runtime/errors.ts';
import { readDecoderConfig } from '../../runtime/models/decoder-config.ts';
import { findFamily, modelTypeOf, rotaryRows } from '../../runtime/models/index.ts';
import { inverseFrequencies } from '../../runtime/models/rotary.ts';

const llama = {
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  vocab_size: 160,
  hidden_size: 64,
  intermediate_size: 96,
  num_hidden_layers: 4,
  num_attention_heads: 4,
};

const read = (fields: Record<string, unknown>) => readDecoderConfig({ ...llama, ...fields });

test('a llama’s silence is as transformers’ defaults', () => {
  const config = read({});
  assert.equal(config.keyValueHeads, 4);
  assert.equal(config.headDim, 16);
  assert.equal(config.epsilon, 1e-6);
  assert.equal(config.maxContextLength, 2048);
  assert.equal(config.tiedEmbeddings, false);
  assert.equal(config.activation, 'silu');
  assert.deepEqual(config.rotary, { theta: 10000, scaling: { type: 'none' } });
  assert.deepEqual(config.attentionBias, { queryKeyValue: false, output: false });
  assert.deepEqual(config.windows, [undefined, undefined, undefined, undefined]);
  assert.deepEqual(config.eosTokens, []);
});

test('features of the other types', () => {
  const qwen2 = read({ model_type: 'qwen2', num_key_value_heads: 2, eos_token_id: [7, 9] });
  assert.deepEqual(qwen2.attentionBias, { queryKeyValue: true, output: false });
  assert.deepEqual(qwen2.eosTokens, [7, 9]);
  const qwen3 = read({ model_type: 'qwen3', num_key_value_heads: 2 });
  assert.equal(qwen3.qkNorm, true);
  assert.equal(qwen3.headDim, 128);
  const biased = read({ attention_bias: true, mlp_bias: true });
  assert.deepEqual(biased.attentionBias, { queryKeyValue: true, output: true });
  assert.equal(biased.feedForwardBias, true);
});

test('windows: of all layers, of listed layers, of none', () => {
  const mistral = (fields: object) => read({ model_type: 'mistral', num_key_value_heads: 2, ...fields }).windows;
  assert.deepEqual(mistral({ sliding_window: 8 }), [8, 8, 8, 8]);
  assert.deepEqual(mistral({ sliding_window: null }), [undefined, undefined, undefined, undefined]);
  assert.deepEqual(mistral({}), [4096, 4096, 4096, 4096]);
  const qwen = (fields: object) => read({ model_type: 'qwen2', num_key_value_heads: 2, ...fields }).windows;
  const on = { use_sliding_window: true, sliding_window: 6 };
  assert.deepEqual(qwen({ ...on, max_window_layers: 3 }), [undefined, undefined, undefined, 6]);
  assert.deepEqual(qwen({ ...on, use_sliding_window: false, max_window_layers: 0 }), Array(4).fill(undefined));
  const types = ['sliding_attention', 'full_attention', 'sliding_attention', 'full_attention'];
  assert.deepEqual(qwen({ ...on, max_window_layers: 3, layer_types: types }), [6, undefined, 6, undefined]);
});

test('rotary fields in both spellings', () => {
  const scaling = {
    factor: 8,
    low_freq_factor: 1,
    high_freq_factor: 4,
    original_max_position_embeddings: 8192,
  };
  const older = read({ rope_theta: 500000, rope_scaling: { rope_type: 'llama3', ...scaling } });
  const newer = read({ rope_parameters: { rope_type: 'llama3', rope_theta: 500000, ...scaling } });
  assert.deepEqual(older.rotary, newer.rotary);
  assert.equal(older.rotary.scaling.type, 'llama3');
  assert.deepEqual(read({ rope_scaling: { type: 'linear', factor: 2 } }).rotary.scaling, { type: 'linear', factor: 2 });
});

test('rows of cos and sin', () => {
  const config = { headDim: 4, rotary: { theta: 100, scaling: { type: 'none' as const } } };
  assert.deepEqual([...inverseFrequencies(config)], [1, 0.1]);
  const rows = rotaryRows(config, 3, 2);
  const expected = [3, 4].flatMap((p) => [Math.cos(p), Math.cos(p / 10), Math.sin(p), Math.sin(p / 10)]);
  assert.deepEqual(rows, Float32Array.from(expected));
});

/** Each would compute something else, or nothing sensible: the error must name the field. */
const REFUSED: [field: string, fields: Record<string, unknown>][] = [
  ['hidden_act', { hidden_act: 'gelu' }],
  ['hidden_act', { hidden_act: 'relu' }],
  ['hidden_act', { hidden_act: 'toString' }],
  ['rope_type', { rope_scaling: { rope_type: 'yarn', factor: 4 } }],
  ['rope_type', { rope_scaling: { type: 'dynamic', factor: 4 } }],
  ['rope_type', { rope_parameters: { rope_type: 'longrope' } }],
  ['factor', { rope_scaling: { type: 'linear' } }],
  ['factor', { rope_scaling: { type: 'linear', factor: 0 } }],
  ['attention_factor', { rope_scaling: { type: 'linear', factor: 2, attention_factor: 0.5 } }],
  ['high_freq_factor', { rope_scaling: { rope_type: 'llama3', factor: 8, low_freq_factor: 4, high_freq_factor: 4 } }],
  ['type', { rope_scaling: { rope_type: 'linear', type: 'dynamic', factor: 2 } }],
  ['full_attention', { rope_parameters: { full_attention: { rope_type: 'default' } } }],
  ['partial_rotary_factor', { partial_rotary_factor: 0.5 }],
  ['partial_rotary_factor', { rope_parameters: { rope_type: 'default', partial_rotary_factor: 0.25 } }],
  ['rope_interleaved', { rope_interleaved: true }],
  ['quantization_config', { quantization_config: { quant_method: 'awq', bits: 4 } }],
  ['auto_map', { auto_map: { AutoModel: 'modeling.Model' } }],
  ['architectures', { architectures: ['LlamaForSequenceClassification'] }],
  ['final_logit_softcapping', { final_logit_softcapping: 30 }],
  ['residual_multiplier', { residual_multiplier: 0.22 }],
  ['no_rope_layers', { no_rope_layers: [1, 0, 1, 0] }],
  ['sliding_window', { sliding_window: 8 }],
  ['mlp_bias', { model_type: 'qwen2', num_key_value_heads: 2, mlp_bias: true }],
  ['layer_types', { model_type: 'qwen2', num_key_value_heads: 2, layer_types: ['full_attention'] }],
  ['layer_types', { model_type: 'qwen3', num_key_value_heads: 2, layer_types: Array(4).fill('linear_attention') }],
  ['layer_types', { model_type: 'qwen3', num_key_value_heads: 2, layer_types: Array(4).fill('sliding_attention') }],
  ['num_key_value_heads', { num_key_value_heads: 3 }],
  ['num_key_value_heads', { num_key_value_heads: 0 }],
  ['head_dim', { head_dim: 7 }],
  ['head_dim', { num_attention_heads: 5, num_key_value_heads: 5 }],
  ['hidden_size', { hidden_size: '64' }],
  ['hidden_size', { hidden_size: undefined }],
  ['num_hidden_layers', { num_hidden_layers: 1e9 }],
  ['num_hidden_layers', { num_hidden_layers: 2.5 }],
  ['vocab_size', { vocab_size: -1 }],
  ['rms_norm_eps', { rms_norm_eps: 0 }],
  ['rms_norm_eps', { rms_norm_eps: '1e-5' }],
  ['tie_word_embeddings', { tie_word_embeddings: 'yes' }],
  ['eos_token_id', { eos_token_id: [2, 'x'] }],
  ['model_type', { model_type: 'constructor' }],
  ['model_type', { model_type: undefined }],
];

for (const [field, fields] of REFUSED) {
  test(`refused: ${JSON.stringify(fields)}`, () => {
    assert.throws(
      () => read(fields),
      (error) =>
        error instanceof WpError &&
        error.code === 'unsupported-config' &&
        error.details['field'] === field &&
        error.message.includes(field) &&
        error.hint !== '',
    );
  });
}

test('refused: what is not an object of fields', () => {
  for (const json of [null, undefined, 3, 'config', [], [llama]]) {
    assert.throws(
      () => readDecoderConfig(json),
      (error) => error instanceof WpError && error.code === 'unsupported-config',
    );
  }
});

test('harmless: bookkeeping, defaults of other programs, features that are off', () => {
  const config = read({
    _name_or_path: 'somewhere',
    transformers_version: '4.40.0',
    torch_dtype: 'bfloat16',
    attention_dropout: 0.1,
    pretraining_tp: 2,
    rope_interleaved: false,
    is_encoder_decoder: false,
    use_mrope: false,
    pruned_heads: {},
    final_logit_softcapping: null,
    rope_scaling: null,
    pad_token_id: -1,
    'transformers.js_config': { dtype: 'q4' },
  });
  assert.equal(config.padToken, undefined);
});

test('an unknown model type names what is supported', () => {
  assert.throws(
    () => findFamily('mamba'),
    (error) =>
      error instanceof WpError &&
      error.code === 'unsupported-architecture' &&
      /mamba.*llama.*mistral.*qwen2.*qwen3/.test(error.message),
  );
  assert.equal(modelTypeOf(llama), 'llama');
  assert.throws(() => modelTypeOf({}), WpError);
  assert.throws(() => modelTypeOf(null), WpError);
});
