// Models of any shape with random weights, as files that are made while they are read: a safetensors folder in our own
// quantised convention, and a Q4_0 or Q8_0 GGUF of the same shape for the peers. Nothing is stored; any byte range can be asked for.

import { CODES, noise, SCALE_HIGH_BYTE, SCALES } from './noise.mjs';
import { configOf, tensorsOf } from './shapes.mjs';

/** A file as a list of extents; `read` makes the bytes of a range. */
export class SyntheticFile {
  /** @param {{ bytes: number, content: Uint8Array }[]} extents `content` is repeated to fill `bytes`. */
  constructor(extents) {
    this.extents = [];
    let start = 0;
    for (const { bytes, content } of extents) {
      if (bytes === 0) continue;
      this.extents.push({ start, end: start + bytes, content });
      start += bytes;
    }
    this.size = start;
  }

  /** @returns {Uint8Array} the bytes [from, to) */
  read(from, to) {
    const out = new Uint8Array(to - from);
    for (const { start, end, content } of this.extents) {
      if (end <= from || start >= to) continue;
      let at = Math.max(from, start);
      const stop = Math.min(to, end);
      while (at < stop) {
        const offset = (at - start) % content.length;
        const count = Math.min(stop - at, content.length - offset);
        out.set(content.subarray(offset, offset + count), at - from);
        at += count;
      }
    }
    return out;
  }

  /** The whole file, in pieces: longer ones than an ArrayBuffer may be. @returns {Blob} */
  blob() {
    const piece = 16 << 20;
    const parts = [];
    for (let at = 0; at < this.size; at += piece) parts.push(this.read(at, Math.min(at + piece, this.size)));
    return new Blob(parts);
  }
}

const ONES_F32 = new Uint8Array(new Float32Array([1]).buffer);
const ZERO_F32 = new Uint8Array(4);

const isMatrix = (dims) => dims.length === 2;
const round = (value, multiple) => Math.ceil(value / multiple) * multiple;

/**
 * @param {import('./shapes.mjs').BenchShape} shape
 * @param {2 | 3 | 4 | 8} bits
 * @returns {Record<string, SyntheticFile>} by name
 */
export function safetensorsFolder(shape, bits) {
  const header = {};
  const quantization = {};
  const extents = [];
  let offset = 0;
  const put = (name, dtype, dims, bytes, content) => {
    header[name] = { dtype, shape: dims, data_offsets: [offset, offset + bytes] };
    extents.push({ bytes, content });
    offset += bytes;
  };
  for (const { name, dims } of tensorsOf(shape)) {
    if (!isMatrix(dims)) {
      put(name, 'F32', dims, dims[0] * 4, name.endsWith('bias') ? ZERO_F32 : ONES_F32);
      continue;
    }
    const [rows, columns] = dims;
    quantization[name] = `q${bits}g32`;
    (bits === 3 ? [2, 1] : [bits]).forEach((planeBits, p) => {
      const rowBytes = (columns * planeBits) / 8;
      put(`${name}.plane${p}`, 'U8', [rows, rowBytes], rows * rowBytes, CODES);
    });
    put(`${name}.scales`, 'F16', [rows, columns / 32], (rows * columns) / 16, SCALES[bits]);
  }
  header.__metadata__ = {
    'wp-models.version': '1',
    'wp-models.quantization': JSON.stringify(quantization),
  };
  const text = new TextEncoder().encode(JSON.stringify(header));
  const length = round(text.length, 8);
  const head = new Uint8Array(8 + length).fill(0x20);
  new DataView(head.buffer).setBigUint64(0, BigInt(length), true);
  head.set(text, 8);
  return {
    'config.json': json(configOf(shape)),
    'tokenizer.json': json(tokenizerOf(shape)),
    'tokenizer_config.json': json({}),
    'model.safetensors': new SyntheticFile([{ bytes: head.length, content: head }, ...extents]),
  };
}

function json(value) {
  const bytes = new TextEncoder().encode(JSON.stringify(value));
  return new SyntheticFile([{ bytes: bytes.length, content: bytes }]);
}

/** The 256 bytes as GPT-2 writes them, then fillers: every text of ASCII is one token a character. */
function vocabularyOf(shape) {
  const printable = (byte) => (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
  const tokens = [];
  let next = 256;
  for (let byte = 0; byte < 256; byte += 1) tokens.push(String.fromCharCode(printable(byte) ? byte : next++));
  while (tokens.length < shape.vocabulary) tokens.push(`<filler-${tokens.length}>`);
  return tokens;
}

/**
 * Random weights may choose any token, and wllama ends with an error of its own where bytes of several tokens are no UTF-8: no
 * token of a GGUF file is a byte from 128.
 */
const asciiOnly = (token, id) => (id >= 128 && id < 256 ? `<filler-${id}>` : token);

function tokenizerOf(shape) {
  const vocab = Object.fromEntries(vocabularyOf(shape).map((token, id) => [token, id]));
  return {
    version: '1.0',
    added_tokens: [],
    normalizer: null,
    pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, use_regex: false },
    post_processor: null,
    decoder: { type: 'ByteLevel' },
    model: { type: 'BPE', vocab, merges: [], dropout: null, unk_token: null },
  };
}

const GGUF_TYPE = { u32: 4, f32: 6, string: 8, array: 9, i32: 5 };

/**
 * The same shape as GGUF, all matrices Q4_0 or Q8_0: what llama.cpp's engines read.
 *
 * @param {import('./shapes.mjs').BenchShape} shape
 * @param {4 | 8} [bits]
 * @returns {SyntheticFile}
 */
export function ggufFile(shape, bits = 4) {
  const { type: matrixType, blockBytes, blocks } = GGUF_MATRIX[bits];
  const writer = new ByteWriter();
  const arch = shape.modelType;
  const metadata = [
    ['general.architecture', 'string', arch],
    ['general.name', 'string', shape.title],
    [`${arch}.context_length`, 'u32', 8192],
    [`${arch}.embedding_length`, 'u32', shape.hidden],
    [`${arch}.block_count`, 'u32', shape.layers],
    [`${arch}.feed_forward_length`, 'u32', shape.ffn],
    [`${arch}.attention.head_count`, 'u32', shape.heads],
    [`${arch}.attention.head_count_kv`, 'u32', shape.keyValueHeads],
    [`${arch}.attention.layer_norm_rms_epsilon`, 'f32', 1e-5],
    [`${arch}.rope.dimension_count`, 'u32', shape.headDim],
    [`${arch}.rope.freq_base`, 'f32', 10000],
    ['tokenizer.ggml.model', 'string', 'gpt2'],
    ['tokenizer.ggml.pre', 'string', 'default'],
    ['tokenizer.ggml.tokens', 'array', { type: 'string', values: vocabularyOf(shape).map(asciiOnly) }],
    ['tokenizer.ggml.token_type', 'array', { type: 'i32', values: Array(shape.vocabulary).fill(1) }],
    ['tokenizer.ggml.merges', 'array', { type: 'string', values: ['a b'] }],
    ['tokenizer.ggml.eos_token_id', 'u32', shape.vocabulary - 1],
  ];
  const tensors = tensorsOf(shape);
  writer.raw(new TextEncoder().encode('GGUF'));
  writer.u32(3);
  writer.u64(tensors.length);
  writer.u64(metadata.length);
  for (const [key, type, value] of metadata) {
    writer.string(key);
    writer.u32(GGUF_TYPE[type]);
    writer.value(type, value);
  }
  const extents = [];
  let offset = 0;
  for (const { name, gguf, dims } of tensors) {
    const matrix = isMatrix(dims);
    writer.string(gguf);
    writer.u32(dims.length);
    for (const dim of [...dims].reverse()) writer.u64(dim);
    writer.u32(matrix ? matrixType : 0);
    writer.u64(offset);
    const bytes = matrix ? (dims[0] * dims[1] * blockBytes) / 32 : dims[0] * 4;
    const padded = round(bytes, 32);
    extents.push({ bytes, content: matrix ? blocks : name.endsWith('bias') ? ZERO_F32 : ONES_F32 });
    extents.push({ bytes: padded - bytes, content: ZERO_F32 });
    offset += padded;
  }
  writer.pad(32);
  const head = writer.bytes();
  return new SyntheticFile([{ bytes: head.length, content: head }, ...extents]);
}

/** ggml's Q4_0 and Q8_0. A block of 32 weights is an f16 scale, then the codes. */
const GGUF_MATRIX = {
  4: { type: 2, blockBytes: 18, blocks: noise(18 * 65536, (x, i) => (i % 18 === 1 ? SCALE_HIGH_BYTE[4] : x)) },
  8: { type: 8, blockBytes: 34, blocks: noise(34 * 32768, (x, i) => (i % 34 === 1 ? SCALE_HIGH_BYTE[8] : x)) },
};

class ByteWriter {
  #chunks = [];
  #length = 0;

  raw(bytes) {
    this.#chunks.push(bytes);
    this.#length += bytes.length;
  }
  u32(value) {
    this.raw(new Uint8Array(new Uint32Array([value]).buffer));
  }
  u64(value) {
    this.raw(new Uint8Array(new BigUint64Array([BigInt(value)]).buffer));
  }
  string(text) {
    const bytes = new TextEncoder().encode(text);
    this.u64(bytes.length);
    this.raw(bytes);
  }
  value(type, value) {
    if (type === 'string') this.string(value);
    else if (type === 'u32' || type === 'i32') this.u32(value);
    else if (type === 'f32') this.raw(new Uint8Array(new Float32Array([value]).buffer));
    else {
      this.u32(GGUF_TYPE[value.type]);
      this.u64(value.values.length);
      for (const item of value.values) this.value(value.type, item);
    }
  }
  pad(multiple) {
    this.raw(new Uint8Array(round(this.#length, multiple) - this.#length));
  }
  bytes() {
    const out = new Uint8Array(this.#length);
    let at = 0;
    for (const chunk of this.#chunks) {
      out.set(chunk, at);
      at += chunk.length;
    }
    return out;
  }
}
