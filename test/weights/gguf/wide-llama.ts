// A llama whose rows are wide enough for K-quants, of random blocks in any type that keeps its bits.

import { GGML_TYPES } from '../../../runtime/quantization/ggml/types.ts';
import type { Random } from '../../support/random.ts';
import { tinyLlama, u32, type GgufSpec, type Tensor } from './gguf-file.ts';
import { randomBytes } from './mutations.ts';

/** Rows of 256 numbers, in the types that keep their bits: what tinyLlama is too narrow for. */
const KEPT_TYPES = [2, 3, 6, 7, 8, 10, 11, 12, 13, 14];

export function wideLlama(random: Random): GgufSpec {
  const anyType = (): number => KEPT_TYPES[random.integer(0, KEPT_TYPES.length - 1)]!;
  // Gate and up are stacked, and are of one type in real files.
  const gateType = anyType();
  const matrix = (name: string, columns: number, rows: number): Tensor => {
    const type = /ffn_(?:gate|up)/.test(name) ? gateType : anyType();
    const { blockSize, blockBytes } = GGML_TYPES.get(type)!;
    const tensor = {
      name,
      dims: [columns, rows],
      type,
      bytes: new Uint8Array((rows * columns * blockBytes) / blockSize),
    };
    return { ...tensor, bytes: randomBytes(tensor, random) };
  };
  const norm = (name: string): Tensor => ({ name, dims: [256], type: 0, bytes: new Uint8Array(1024) });
  const sizes: [string, number, number][] = [
    ['token_embd', 256, 4],
    ['blk.0.attn_q', 256, 32],
    ['blk.0.attn_k', 256, 16],
    ['blk.0.attn_v', 256, 16],
    ['blk.0.ffn_gate', 256, 256],
    ['blk.0.ffn_up', 256, 256],
    ['blk.0.ffn_down', 256, 256],
  ];
  const tensors = Object.fromEntries(
    sizes.map(([name, ...size]) => [`${name}.weight`, matrix(`${name}.weight`, ...size)]),
  );
  const norms = ['output_norm', 'blk.0.attn_norm', 'blk.0.ffn_norm'].map((name) => `${name}.weight`);
  const output: Tensor = { name: 'blk.0.attn_output.weight', dims: [32, 256], type: 0, bytes: new Uint8Array(32_768) };
  return tinyLlama({
    metadata: {
      'llama.embedding_length': u32(256),
      'llama.feed_forward_length': u32(256),
      'llama.attention.key_length': u32(16),
    },
    tensors: { ...tensors, [output.name]: output, ...Object.fromEntries(norms.map((name) => [name, norm(name)])) },
  });
}
