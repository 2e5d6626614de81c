// GGUF's names of tensors as the names of Hugging Face checkpoints, which the families of models/ use; and the order of rows
// where llama.cpp's converter changed it.

/** A matrix or vector of a layer, without `.weight` or `.bias`. */
const LAYER_NAMES: Readonly<Record<string, string>> = {
  attn_norm: 'input_layernorm',
  attn_q: 'self_attn.q_proj',
  attn_k: 'self_attn.k_proj',
  attn_v: 'self_attn.v_proj',
  attn_output: 'self_attn.o_proj',
  attn_q_norm: 'self_attn.q_norm',
  attn_k_norm: 'self_attn.k_norm',
  ffn_norm: 'post_attention_layernorm',
  ffn_gate: 'mlp.gate_proj',
  ffn_up: 'mlp.up_proj',
  ffn_down: 'mlp.down_proj',
};

const OUTER_NAMES: Readonly<Record<string, string>> = {
  'token_embd.weight': 'model.embed_tokens.weight',
  'output_norm.weight': 'model.norm.weight',
  'output.weight': 'lm_head.weight',
};

/** The Hugging Face name of a tensor, or undefined when it is none of a decoder's. */
export function checkpointName(ggufName: string): string | undefined {
  if (Object.hasOwn(OUTER_NAMES, ggufName)) return OUTER_NAMES[ggufName];
  const layer = /^blk\.(0|[1-9]\d{0,4})\.([a-z_]+)\.(weight|bias)$/.exec(ggufName);
  if (!layer || !Object.hasOwn(LAYER_NAMES, layer[2]!)) return undefined;
  return `model.layers.${layer[1]}.${LAYER_NAMES[layer[2]!]}.${layer[3]}`;
}

const GGUF_NAMES: ReadonlyMap<string, string> = new Map([
  ...Object.entries(OUTER_NAMES).map(([gguf, name]) => [name, gguf] as const),
  ...Object.entries(LAYER_NAMES).map(([gguf, name]) => [name, gguf] as const),
]);

/** The other way round: GGUF's name of a decoder's tensor, or undefined when it has none. */
export function ggufName(checkpointName: string): string | undefined {
  const outer = GGUF_NAMES.get(checkpointName);
  if (outer !== undefined) return outer;
  const layer = /^model\.layers\.(\d+)\.(.+)\.(weight|bias)$/.exec(checkpointName);
  const name = layer && GGUF_NAMES.get(layer[2]!);
  return name ? `blk.${layer[1]}.${name}.${layer[3]}` : undefined;
}

/** Which of a layer's projections a tensor belongs to, when its rows may have been reordered. */
export function rotatedProjection(ggufName: string): 'query' | 'key' | undefined {
  const projection = /^blk\.\d+\.attn_([qk])\.(?:weight|bias)$/.exec(ggufName)?.[1];
  return projection === undefined ? undefined : projection === 'q' ? 'query' : 'key';
}

/** The inverse of `deinterleavedRows`: where a file keeps a checkpoint's row. */
export function interleavedRows(rows: number, heads: number): (row: number) => number {
  const headDim = rows / heads;
  return (row) => {
    const within = row % headDim;
    const half = headDim / 2;
    return row - within + (within % half) * 2 + Math.floor(within / half);
  };
}

/**
 * llama.cpp rotates neighbouring numbers of a head, the checkpoints' program the two halves; so its converter interleaves
 * the halves' rows for the `llama` architecture. Returns where a stored row belongs.
 */
export function deinterleavedRows(rows: number, heads: number): (row: number) => number {
  const headDim = rows / heads;
  return (row) => {
    const within = row % headDim;
    return row - within + (within % 2) * (headDim / 2) + Math.floor(within / 2);
  };
}
