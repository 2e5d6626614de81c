// The shapes that are measured: published models' dimensions with random weights, so that no download is needed and
// every engine does the same work.

/** @typedef {{ title: string, modelType: string, hidden: number, layers: number, heads: number, keyValueHeads: number, headDim: number, ffn: number, vocabulary: number, tied: boolean, attentionBias: boolean }} BenchShape */

/** @type {Record<string, BenchShape>} */
export const SHAPES = {
  tiny: shape('a test of the bench itself', 64, 2, 4, 2, 16, 128, 320),
  'fable-25m': shape('the embedded model’s', 512, 6, 8, 4, 64, 1280, 8192),
  '15m': shape('S0, TinyStories 15M', 288, 6, 6, 6, 48, 768, 32000),
  '0.5b': { ...shape('S1, Qwen2.5-0.5B', 896, 24, 14, 2, 64, 4864, 151936), modelType: 'qwen2', attentionBias: true },
  '1b': shape('S2, Llama-3.2-1B', 2048, 16, 32, 8, 64, 8192, 128256),
  '8b': { ...shape('S3, Llama-3-8B', 4096, 32, 32, 8, 128, 14336, 128256), tied: false },
};

/** @returns {BenchShape} */
function shape(title, hidden, layers, heads, keyValueHeads, headDim, ffn, vocabulary) {
  return {
    title,
    modelType: 'llama',
    hidden,
    layers,
    heads,
    keyValueHeads,
    headDim,
    ffn,
    vocabulary,
    tied: true,
    attentionBias: false,
  };
}

/** The config.json of a shape. */
export function configOf(shape) {
  return {
    architectures: [shape.modelType === 'qwen2' ? 'Qwen2ForCausalLM' : 'LlamaForCausalLM'],
    model_type: shape.modelType,
    vocab_size: shape.vocabulary,
    hidden_size: shape.hidden,
    intermediate_size: shape.ffn,
    num_hidden_layers: shape.layers,
    num_attention_heads: shape.heads,
    num_key_value_heads: shape.keyValueHeads,
    head_dim: shape.headDim,
    hidden_act: 'silu',
    max_position_embeddings: 8192,
    rms_norm_eps: 1e-5,
    rope_theta: 10000,
    tie_word_embeddings: shape.tied,
    bos_token_id: 0,
    eos_token_id: 0,
  };
}

/** Every tensor of a shape: checkpoint name, GGUF name, [rows, columns] or [length]. In the order of the file. */
export function tensorsOf(shape) {
  const { hidden, ffn, vocabulary } = shape;
  const queries = shape.heads * shape.headDim;
  const keys = shape.keyValueHeads * shape.headDim;
  const tensors = [['model.embed_tokens.weight', 'token_embd.weight', [vocabulary, hidden]]];
  for (let layer = 0; layer < shape.layers; layer += 1) {
    const add = (name, gguf, dims) => tensors.push([`model.layers.${layer}.${name}`, `blk.${layer}.${gguf}`, dims]);
    add('input_layernorm.weight', 'attn_norm.weight', [hidden]);
    for (const [name, gguf, rows] of [
      ['q', 'attn_q', queries],
      ['k', 'attn_k', keys],
      ['v', 'attn_v', keys],
    ]) {
      add(`self_attn.${name}_proj.weight`, `${gguf}.weight`, [rows, hidden]);
      if (shape.attentionBias) add(`self_attn.${name}_proj.bias`, `${gguf}.bias`, [rows]);
    }
    add('self_attn.o_proj.weight', 'attn_output.weight', [hidden, queries]);
    add('post_attention_layernorm.weight', 'ffn_norm.weight', [hidden]);
    add('mlp.gate_proj.weight', 'ffn_gate.weight', [ffn, hidden]);
    add('mlp.up_proj.weight', 'ffn_up.weight', [ffn, hidden]);
    add('mlp.down_proj.weight', 'ffn_down.weight', [hidden, ffn]);
  }
  tensors.push(['model.norm.weight', 'output_norm.weight', [hidden]]);
  if (!shape.tied) tensors.push(['lm_head.weight', 'output.weight', [vocabulary, hidden]]);
  return tensors.map(([name, gguf, dims]) => ({ name, gguf, dims }));
}

/** Bytes of weights that one decoded token reads: every matrix but the embedding, which an untied model reads by rows. */
export function weightBytesPerToken(shape, bitsPerWeight) {
  const matrices = tensorsOf(shape).filter(
    ({ name, dims }) => dims.length === 2 && (shape.tied || !name.includes('embed')),
  );
  return matrices.reduce((sum, { dims: [rows, columns] }) => sum + (rows * columns * bitsPerWeight) / 8, 0);
}
