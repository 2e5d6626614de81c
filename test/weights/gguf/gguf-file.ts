// GGUF files made by hand, number by number: for files that no program would write.

export type Value =
  | { type: 'u8' | 'u16' | 'u32' | 'i32' | 'f32' | 'u64' | 'bool'; value: number }
  | { type: 'string'; value: string }
  | { type: 'array'; of: 'u32' | 'i32' | 'f32' | 'string'; value: readonly (number | string)[] };

export interface Tensor {
  name: string;
  /** As the file lists them: the numbers of a row first. */
  dims: readonly number[];
  type: number;
  /** Default: after the tensor before, aligned. */
  offset?: number;
  bytes: Uint8Array;
}

export interface GgufSpec {
  version?: number;
  tensorCount?: number;
  entryCount?: number;
  metadata?: readonly (readonly [string, Value])[];
  tensors?: readonly Tensor[];
  alignment?: number;
}

const TYPE_NUMBERS = { u8: 0, u16: 2, u32: 4, i32: 5, f32: 6, bool: 7, string: 8, array: 9, u64: 10 } as const;

export const u32 = (value: number): Value => ({ type: 'u32', value });
export const f32 = (value: number): Value => ({ type: 'f32', value });
export const string = (value: string): Value => ({ type: 'string', value });
export const strings = (...value: string[]): Value => ({ type: 'array', of: 'string', value });
export const i32s = (...value: number[]): Value => ({ type: 'array', of: 'i32', value });

export function ggufFile(spec: GgufSpec): Uint8Array {
  const { metadata = [], tensors = [], alignment = 32 } = spec;
  const writer = new Writer();
  writer.bytes(new TextEncoder().encode('GGUF'));
  writer.number('u32', spec.version ?? 3);
  writer.number('u64', spec.tensorCount ?? tensors.length);
  writer.number('u64', spec.entryCount ?? metadata.length);
  for (const [key, value] of metadata) {
    writer.text(key);
    writer.number('u32', TYPE_NUMBERS[value.type]);
    writer.value(value);
  }
  let offset = 0;
  const places = tensors.map((tensor) => {
    const at = tensor.offset ?? offset;
    offset = Math.ceil((at + tensor.bytes.length) / alignment) * alignment;
    return at;
  });
  tensors.forEach((tensor, i) => {
    writer.text(tensor.name);
    writer.number('u32', tensor.dims.length);
    for (const dim of tensor.dims) writer.number('u64', dim);
    writer.number('u32', tensor.type);
    writer.number('u64', places[i]!);
  });
  if (tensors.length > 0) writer.pad(alignment);
  const start = writer.length;
  // An absurd offset is written, and nothing is placed there.
  tensors.forEach((tensor, i) => {
    if (places[i]! <= 2 ** 20) writer.place(start + places[i]!, tensor.bytes);
  });
  return writer.done();
}

class Writer {
  #bytes = new Uint8Array(1024);
  #view = new DataView(this.#bytes.buffer);
  length = 0;

  number(type: keyof typeof WIDTHS, value: number): void {
    const at = this.#grow(this.length, WIDTHS[type]);
    if (type === 'u8' || type === 'bool') this.#view.setUint8(at, value);
    else if (type === 'u16') this.#view.setUint16(at, value, true);
    else if (type === 'u32') this.#view.setUint32(at, value, true);
    else if (type === 'i32') this.#view.setInt32(at, value, true);
    else if (type === 'f32') this.#view.setFloat32(at, value, true);
    else this.#view.setBigUint64(at, BigInt.asUintN(64, BigInt(Math.trunc(value))), true);
  }

  text(text: string): void {
    const bytes = new TextEncoder().encode(text);
    this.number('u64', bytes.length);
    this.bytes(bytes);
  }

  value(value: Value): void {
    if (value.type === 'string') return this.text(value.value);
    if (value.type !== 'array') return this.number(value.type, value.value);
    this.number('u32', TYPE_NUMBERS[value.of]);
    this.number('u64', value.value.length);
    for (const one of value.value) {
      if (typeof one === 'string') this.text(one);
      else this.number(value.of as 'u32', one);
    }
  }

  bytes(bytes: Uint8Array): void {
    this.place(this.length, bytes);
  }

  place(at: number, bytes: Uint8Array): void {
    this.#grow(at, bytes.length);
    this.#bytes.set(bytes, at);
  }

  pad(alignment: number): void {
    this.#grow(this.length, (alignment - (this.length % alignment)) % alignment);
  }

  done(): Uint8Array {
    return this.#bytes.slice(0, this.length);
  }

  #grow(at: number, count: number): number {
    const end = at + count;
    if (end > this.#bytes.length) {
      const longer = new Uint8Array(Math.max(end, this.#bytes.length * 2));
      longer.set(this.#bytes);
      this.#bytes = longer;
      this.#view = new DataView(longer.buffer);
    }
    this.length = Math.max(this.length, end);
    return at;
  }
}

const WIDTHS = { u8: 1, bool: 1, u16: 2, u32: 4, i32: 4, f32: 4, u64: 8 } as const;

/** A whole tiny llama model with one layer, of 32 numbers a row, and a vocabulary of four tokens. */
export function tinyLlama(
  changes: {
    metadata?: Record<string, Value | undefined>;
    tensors?: Record<string, Tensor | undefined>;
  } = {},
): GgufSpec {
  const metadata: Record<string, Value | undefined> = {
    'general.architecture': string('llama'),
    'llama.context_length': u32(64),
    'llama.embedding_length': u32(32),
    'llama.block_count': u32(1),
    'llama.feed_forward_length': u32(32),
    'llama.attention.head_count': u32(2),
    'llama.attention.head_count_kv': u32(1),
    'llama.attention.layer_norm_rms_epsilon': f32(1e-5),
    'llama.rope.dimension_count': u32(16),
    'tokenizer.ggml.model': string('gpt2'),
    'tokenizer.ggml.pre': string('gpt-2'),
    'tokenizer.ggml.tokens': strings('a', 'b', 'ab', '<|im_end|>'),
    'tokenizer.ggml.token_type': i32s(1, 1, 1, 3),
    'tokenizer.ggml.merges': strings('a b'),
    'tokenizer.ggml.eos_token_id': u32(3),
    ...changes.metadata,
  };
  const numbers = (name: string, ...dims: number[]): Tensor => {
    const count = dims.reduce((product, size) => product * size, 1);
    return { name, dims, type: 0, bytes: new Uint8Array(new Float32Array(count).fill(0.25).buffer) };
  };
  const blocks = (name: string, rows: number): Tensor => {
    const bytes = new Uint8Array(rows * 18).fill(0x88);
    for (let row = 0; row < rows; row++) bytes.set([0, 0x3c], row * 18); // a scale of 1
    return { name, dims: [32, rows], type: 2, bytes };
  };
  const tensors: Record<string, Tensor | undefined> = {
    'token_embd.weight': blocks('token_embd.weight', 4),
    'output_norm.weight': numbers('output_norm.weight', 32),
    'blk.0.attn_norm.weight': numbers('blk.0.attn_norm.weight', 32),
    'blk.0.attn_q.weight': blocks('blk.0.attn_q.weight', 32),
    'blk.0.attn_k.weight': blocks('blk.0.attn_k.weight', 16),
    'blk.0.attn_v.weight': numbers('blk.0.attn_v.weight', 32, 16),
    'blk.0.attn_output.weight': blocks('blk.0.attn_output.weight', 32),
    'blk.0.ffn_norm.weight': numbers('blk.0.ffn_norm.weight', 32),
    'blk.0.ffn_gate.weight': blocks('blk.0.ffn_gate.weight', 32),
    'blk.0.ffn_up.weight': blocks('blk.0.ffn_up.weight', 32),
    'blk.0.ffn_down.weight': blocks('blk.0.ffn_down.weight', 32),
    ...changes.tensors,
  };
  return {
    metadata: Object.entries(metadata).filter((entry): entry is [string, Value] => entry[1] !== undefined),
    tensors: Object.values(tensors).filter((tensor) => tensor !== undefined),
  };
}
