// The encoders that are measured: published models' dimensions with seeded random weights, the same for every engine, so that
// their vectors can be compared as well as their speed.

/** @typedef {{ title: string, hidden: number, layers: number, heads: number, ffn: number, vocabulary: number, positions: number }} EncoderShape */

/** @type {Record<string, EncoderShape>} */
export const ENCODER_SHAPES = {
  minilm: {
    title: 'the shape of all-MiniLM-L6-v2',
    hidden: 384,
    layers: 6,
    heads: 12,
    ffn: 1536,
    vocabulary: 30522,
    positions: 512,
  },
  'tiny-bert': {
    title: 'a test of the bench itself',
    hidden: 64,
    layers: 2,
    heads: 2,
    ffn: 128,
    vocabulary: 400,
    positions: 64,
  },
};

export const EPSILON = 1e-12;

/** The config.json of a shape. */
export function encoderConfig({ hidden, layers, heads, ffn, vocabulary, positions }) {
  return {
    architectures: ['BertModel'],
    model_type: 'bert',
    vocab_size: vocabulary,
    hidden_size: hidden,
    num_hidden_layers: layers,
    num_attention_heads: heads,
    intermediate_size: ffn,
    hidden_act: 'gelu',
    max_position_embeddings: positions,
    type_vocab_size: 2,
    layer_norm_eps: EPSILON,
    pad_token_id: 0,
    position_embedding_type: 'absolute',
  };
}

/** Every tensor of a shape by its checkpoint name: [rows, columns] or [length]. In the order of the file. */
export function encoderTensors({ hidden, layers, ffn, vocabulary, positions }) {
  const tensors = [
    ['embeddings.word_embeddings.weight', [vocabulary, hidden]],
    ['embeddings.position_embeddings.weight', [positions, hidden]],
    ['embeddings.token_type_embeddings.weight', [2, hidden]],
    ['embeddings.LayerNorm.weight', [hidden]],
    ['embeddings.LayerNorm.bias', [hidden]],
  ];
  for (let layer = 0; layer < layers; layer += 1) {
    const add = (name, dims) => tensors.push([`encoder.layer.${layer}.${name}`, dims]);
    const linear = (name, rows, columns) => {
      add(`${name}.weight`, [rows, columns]);
      add(`${name}.bias`, [rows]);
    };
    const norm = (name) => {
      add(`${name}.weight`, [hidden]);
      add(`${name}.bias`, [hidden]);
    };
    for (const part of ['query', 'key', 'value']) linear(`attention.self.${part}`, hidden, hidden);
    linear('attention.output.dense', hidden, hidden);
    norm('attention.output.LayerNorm');
    linear('intermediate.dense', ffn, hidden);
    linear('output.dense', hidden, ffn);
    norm('output.LayerNorm');
  }
  return tensors.map(([name, dims]) => ({ name, dims }));
}

/** Sums of products of a token in all linear layers; what attention adds is little at a sentence's length. */
export function multiplyAddsPerToken({ hidden, layers, ffn }) {
  return layers * (4 * hidden * hidden + 2 * hidden * ffn);
}

/**
 * The numbers of a tensor: uniform, a weight about as large as a trained one; norms near 1, biases near 0. The same numbers for
 * the same name, whoever asks.
 *
 * @returns {Float32Array<ArrayBuffer>}
 */
export function encoderWeights({ name, dims }) {
  const count = dims.reduce((product, size) => product * size, 1);
  const out = new Float32Array(count);
  let state = 0x9e3779b9;
  for (let i = 0; i < name.length; i += 1) state = Math.imul(state ^ name.charCodeAt(i), 0x01000193) | 1;
  const isNorm = name.endsWith('LayerNorm.weight');
  // Uniform of ± this: a deviation of about 0.05 for matrices, as trained encoders have.
  const reach = dims.length === 2 ? 0.09 : 0.1;
  for (let i = 0; i < count; i += 1) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    out[i] = (isNorm ? 1 : 0) + (state / 2147483648) * reach;
  }
  return out;
}
