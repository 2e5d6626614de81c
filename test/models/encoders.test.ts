// Each tiny checkpoint of test/fixtures/encoders, through the graph and the references, against transformers.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { describe, test } from 'node:test';
import { WpError } from '../../runtime/errors.ts';
import { ENCODER_MODEL_TYPES, readEncoder } from '../../runtime/models/encoders/index.ts';
import { ENCODER_VARIANTS, openEncoderGoldens, packWeights, relativeError } from '../support/encoder-goldens.ts';
import { ReferenceEncoder } from '../support/reference-encoder.ts';

const read = (path: string) => readFile(new URL(`../fixtures/encoders/${path}`, import.meta.url));
const failsWith = (code: string) => (error: unknown) => error instanceof WpError && error.code === code;

describe('encoders agree with transformers', () => {
  for (const variant of ENCODER_VARIANTS) {
    test(variant, async () => {
      const { cases, tensors } = await openEncoderGoldens(read, variant);
      for (const { name, graph, inputs, expected } of cases) {
        const program = new ReferenceEncoder(graph);
        for (const [weight, matrix] of packWeights(graph, tensors, 'f32')) await program.setWeight(weight, matrix);
        const outputs = await program.run(inputs);
        assert.deepEqual(Object.keys(outputs), Object.keys(expected));
        for (const [output, golden] of Object.entries(expected)) {
          const error = relativeError(outputs[output], golden);
          assert.ok(error <= 2e-5, `${name}, ${output}: ${error}`);
        }
      }
    });
  }
});

describe('encoders refuse', () => {
  const bert = async () => JSON.parse(String(await read('bert/config.json'))) as Record<string, unknown>;

  test('what is no encoder, by naming what is', () => {
    assert.throws(() => readEncoder({ model_type: 'llama' }), failsWith('unsupported-architecture'));
    assert.throws(() => readEncoder(null), failsWith('unsupported-architecture'));
    assert.ok(ENCODER_MODEL_TYPES.includes('clip'));
  });

  test('fields that change the mathematics', async () => {
    const config = await bert();
    for (const change of [
      { position_embedding_type: 'relative_key' },
      { is_decoder: true },
      { hidden_act: 'mish' },
      { num_attention_heads: 5 },
      { quantization_config: { bits: 4 } },
      { a_new_field: 1 },
    ]) {
      assert.throws(() => readEncoder({ ...config, ...change }), failsWith('unsupported-config'), JSON.stringify(change));
    }
  });

  test('no checkpoint of older versions: defaults written out, and the first configuration of nomic-bert', async () => {
    const old = { pruned_heads: {}, is_decoder: false, tie_encoder_decoder: false, add_cross_attention: false, top_k: 50 };
    const clip = JSON.parse(String(await read('clip/config.json'))) as Record<string, object>;
    const towers = { text_config: { ...clip['text_config'], ...old }, vision_config: { ...clip['vision_config'], ...old } };
    assert.equal(readEncoder({ ...clip, ...towers }).vision!.widths.embedding, 16);

    const nomic = { model_type: 'nomic_bert', n_embd: 32, n_layer: 2, n_head: 2, n_inner: 64, vocab_size: 60 };
    const more = { max_trained_positions: 24, n_positions: 64, rotary_emb_base: 1000, type_vocab_size: 2, prenorm: false };
    const first = readEncoder({ ...nomic, ...more, activation_function: 'swiglu', layer_norm_epsilon: 1e-12 });
    const now = readEncoder(JSON.parse(String(await read('nomic-bert/config.json'))));
    assert.deepEqual(first.text!.config, now.text!.config);
    assert.throws(() => readEncoder({ ...nomic, ...more, prenorm: true }), failsWith('unsupported-config'));
  });

  test('outputs that the checkpoint does not have', async () => {
    const { text } = readEncoder(await bert());
    assert.throws(() => text!.graph({ outputs: ['logits'] }), failsWith('invalid-argument'));
  });

  test('texts that do not fit', async () => {
    const { text } = readEncoder(await bert());
    const graph = text!.graph({ outputs: ['embedding'] });
    const long = Array.from({ length: 25 }, () => 1);
    for (const ids of [[], long, [60], [-1], [1.5]]) {
      assert.throws(() => text!.inputs(graph, [{ ids: [1] }, { ids }]), failsWith('invalid-argument'), String(ids));
    }
    assert.throws(() => text!.inputs(graph, [{ ids: [1], typeIds: [2] }]), failsWith('invalid-argument'));
    assert.throws(() => text!.inputs(graph, [{ ids: [1], typeIds: [0, 0] }]), failsWith('invalid-argument'));
  });

  test('nothing that a step does not need: the embedding of a mean reads no row, and no pooler is loaded', async () => {
    const { text } = readEncoder(await bert());
    const graph = text!.graph({ outputs: ['embedding'], pooling: 'mean' });
    assert.deepEqual(Object.keys(graph.inputs).sort(), ['positionIds', 'ranges', 'spans', 'tokenIds', 'tokenTypeIds']);
    assert.ok(!graph.weights.some(({ name }) => name.startsWith('pooler')));
    assert.ok(graph.weights.some(({ name }) => name.includes('query.weight+')), 'queries, keys and values are one product');
  });
});
