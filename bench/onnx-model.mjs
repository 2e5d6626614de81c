// A decoder of any of the bench's shapes with random weights as an ONNX model, in the form that its publishers give to
// onnxruntime: one fused node for QKV, GroupQueryAttention that rotates and appends to the cache, norms that add the
// residual, logits of the last token only. Three kinds of weights:
//
// - q4: MatMulNBits, 4 bits, blocks of 32, embedding by GatherBlockQuantized; activations and scales f32 or f16.
// - q8: 8-bit integers with one scale a matrix, activations quantised as they come (DynamicQuantizeMatMul): what
//   transformers.js calls q8, and onnxruntime's fastest on a CPU. Activations f32.
// - q8-blocks: MatMulNBits of 8 bits, blocks of 32: what a GPU can run.
//
// Inputs come in two forms: as few as the bench needs, lengths as numbers ('lengths'), or what transformers.js feeds, an
// attention mask and a cache by its names ('transformers'), from which the graph derives the lengths, as published ones do.
//
// All large constants are the beginning of one of two external files, which is why a model of any size takes the memory of
// its largest tensor here; onnxruntime copies each constant, so it works on as many bytes as with weights that differ.

import { ONNX_TYPE, OnnxGraph } from './onnx-file.mjs';
import { CODES, SCALES, scalesAsFloat32 } from './noise.mjs';

const BLOCK = 32;
const EPSILON = 1e-5;
const ROTARY_BASE = 10000;
/** Of random bytes read as int8, so that a row of a few thousand of them stays near 1. */
const INT8_SCALE = 0.0004;
/** MatMulNBits may quantise activations to 8 bits, where onnxruntime has a kernel for it. */
const INT8_ACTIVATIONS = 4;

/** @typedef {'q4' | 'q8' | 'q8-blocks'} OnnxWeights */

/**
 * @param {import('./shapes.mjs').BenchShape} shape
 * @param {{ weights: OnnxWeights, activations?: 'float32' | 'float16', contextLength: number,
 *   inputs?: 'lengths' | 'transformers' }} options
 * @returns {{ model: Uint8Array, externalData: { path: string, data: Uint8Array }[], weightBytesPerToken: number }}
 *   `weightBytesPerToken`: what a decoded token reads, beside one row of the embedding
 */
export function onnxDecoder(shape, { weights, activations = 'float32', contextLength, inputs = 'lengths' }) {
  return new DecoderWriter(shape, weights, activations, contextLength, inputs).write();
}

class DecoderWriter {
  #graph = new OnnxGraph();
  #shape;
  #weights;
  #float;
  #contextLength;
  #inputs;
  /** Of the external files. */
  #codeBytes = 0;
  #scaleBytes = 0;
  #bytesPerToken = 0;

  constructor(shape, weights, activations, contextLength, inputs) {
    if (weights === 'q8' && activations !== 'float32') throw new Error('DynamicQuantizeMatMul takes f32 only.');
    this.#shape = shape;
    this.#weights = weights;
    this.#float = activations;
    this.#contextLength = contextLength;
    this.#inputs = inputs;
  }

  write() {
    const graph = this.#graph;
    const { vocabulary, hidden, layers } = this.#shape;
    const ids = graph.input({ name: 'input_ids', type: 'int64', dims: ['batch_size', 'tokens'] });
    this.#lengths();
    this.#rotary();
    let residual = this.#embedding(ids);
    let update;
    for (let layer = 0; layer < layers; layer += 1) {
      const input = this.#norm(`input_norm_${layer}`, residual, update);
      const attended = this.#attention(layer, input.normed);
      const middle = this.#norm(`post_norm_${layer}`, input.sum, attended);
      residual = middle.sum;
      update = this.#feedForward(layer, middle.normed);
    }
    const last = this.#norm('final_norm', residual, update).normed;
    const row = graph.node('Slice', [
      last,
      this.#integers('slice_start', -1),
      this.#integers('slice_end', Number.MAX_SAFE_INTEGER),
      this.#integers('slice_axis', 1),
    ]);
    this.#linear('lm_head', row, vocabulary, hidden, { output: 'logits' });
    graph.output({ name: 'logits', type: this.#float, dims: ['batch_size', 1, vocabulary] });
    return {
      model: graph.file(),
      externalData: [
        { path: CODES_FILE, data: repeat(CODES, this.#codeBytes) },
        ...(this.#scaleBytes ? [{ path: SCALES_FILE, data: repeat(this.#scaleContent(), this.#scaleBytes) }] : []),
      ],
      weightBytesPerToken: this.#bytesPerToken,
    };
  }

  /** `last_position` and `total_length`, as inputs or out of an attention mask [batch_size, total]. */
  #lengths() {
    const graph = this.#graph;
    if (this.#inputs === 'lengths') {
      graph.input({ name: 'last_position', type: 'int32', dims: ['batch_size'] });
      graph.input({ name: 'total_length', type: 'int32', dims: [] });
      return;
    }
    const mask = graph.input({ name: 'attention_mask', type: 'int64', dims: ['batch_size', 'total'] });
    const one = this.#integers('one', 1);
    const seen = graph.node('ReduceSum', [mask, one], { keepdims: 0 });
    graph.node('Cast', [graph.node('Sub', [seen, one])], { to: ONNX_TYPE.int32 }, ['last_position']);
    const scalarOne = graph.constant('scalar_one', 'int64', [], new Uint8Array(new BigInt64Array([1n]).buffer));
    const total = graph.node('Gather', [graph.node('Shape', [mask]), scalarOne], { axis: 0 });
    graph.node('Cast', [total], { to: ONNX_TYPE.int32 }, ['total_length']);
  }

  #attention(layer, input) {
    const graph = this.#graph;
    const { hidden, heads, keyValueHeads, headDim, attentionBias } = this.#shape;
    const rows = (heads + 2 * keyValueHeads) * headDim;
    let packed = this.#linear(`qkv_${layer}`, input, rows, hidden);
    if (attentionBias) packed = graph.node('Add', [packed, this.#floats(`qkv_bias_${layer}`, [rows], () => 0)]);
    const cache = ['key', 'value'].map((part) =>
      graph.input({
        name: `${this.#inputs === 'lengths' ? 'past' : 'past_key_values'}.${layer}.${part}`,
        type: this.#float,
        dims: ['batch_size', keyValueHeads, 'past', headDim],
      }),
    );
    const present = ['key', 'value'].map((part) => `present.${layer}.${part}`);
    for (const name of present) {
      graph.output({ name, type: this.#float, dims: ['batch_size', keyValueHeads, 'total', headDim] });
    }
    const attended = graph.node(
      'GroupQueryAttention',
      [packed, '', '', ...cache, 'last_position', 'total_length', 'cosines', 'sines'],
      { num_heads: heads, kv_num_heads: keyValueHeads, do_rotary: 1 },
      [`attention_${layer}`, ...present],
    );
    return this.#linear(`attention_output_${layer}`, attended, hidden, heads * headDim);
  }

  #feedForward(layer, input) {
    const graph = this.#graph;
    const { hidden, ffn } = this.#shape;
    const quantized = this.#weights === 'q8' ? this.#quantize(`ffn_input_${layer}`, input) : undefined;
    const gate = this.#linear(`gate_${layer}`, input, ffn, hidden, { quantized });
    const up = this.#linear(`up_${layer}`, input, ffn, hidden, { quantized });
    // x · sigmoid(1 · x): one node for the SiLU.
    const activated = graph.node('QuickGelu', [gate], { alpha: { float: 1 } });
    return this.#linear(`down_${layer}`, graph.node('Mul', [activated, up]), hidden, ffn);
  }

  /** Adds the update of the layer before to the residual, where there is one, and normalises. */
  #norm(name, residual, update) {
    const graph = this.#graph;
    const scale = this.#floats(`${name}_weight`, [this.#shape.hidden], () => 1);
    if (update === undefined) {
      const normed = graph.node('SimplifiedLayerNormalization', [residual, scale], {
        axis: -1,
        epsilon: { float: EPSILON },
      });
      return { normed, sum: residual };
    }
    const sum = `${name}_sum`;
    const normed = graph.node(
      'SkipSimplifiedLayerNormalization',
      [residual, update, scale],
      { epsilon: { float: EPSILON } },
      [name, '', '', sum],
    );
    return { normed, sum };
  }

  #linear(name, input, rows, columns, { quantized, output = name } = {}) {
    const graph = this.#graph;
    if (this.#weights === 'q8') {
      const codes = this.#codes(`${name}_codes`, 'int8', [columns, rows], rows * columns);
      const scale = this.#floats('int8_scale', [], () => INT8_SCALE);
      if (!quantized) return graph.node('DynamicQuantizeMatMul', [input, codes, scale], {}, [output]);
      const [values, valuesScale, zeroPoint] = quantized;
      return graph.node('MatMulIntegerToFloat', [values, codes, valuesScale, scale, zeroPoint], {}, [output]);
    }
    const bits = this.#weights === 'q4' ? 4 : 8;
    const blocks = columns / BLOCK;
    const bytes = (rows * columns * bits) / 8;
    const codes = this.#codes(`${name}_codes`, 'uint8', [rows, blocks, (BLOCK * bits) / 8], bytes);
    const scales = this.#scales(`${name}_scales`, [rows, blocks]);
    return graph.node(
      'MatMulNBits',
      [input, codes, scales],
      { N: rows, K: columns, bits, block_size: BLOCK, accuracy_level: INT8_ACTIVATIONS },
      [output],
    );
  }

  #quantize(name, input) {
    const outputs = [name, `${name}_scale`, `${name}_zero_point`];
    this.#graph.node('DynamicQuantizeLinear', [input], {}, outputs);
    return outputs;
  }

  /** Read by rows, so its bytes do not count; tied or not, a graph holds it beside the output matrix. */
  #embedding(ids) {
    const graph = this.#graph;
    const { vocabulary, hidden } = this.#shape;
    const counted = this.#bytesPerToken;
    let rows;
    if (this.#weights === 'q8') {
      const codes = this.#codes('embedding_codes', 'int8', [vocabulary, hidden], vocabulary * hidden);
      const picked = graph.node('Gather', [codes, ids], { axis: 0 });
      rows = graph.node('DequantizeLinear', [picked, this.#floats('int8_scale', [], () => INT8_SCALE)]);
    } else {
      // GatherBlockQuantized holds two 4-bit codes a byte, and the blocks of a row one after the other.
      const codes = this.#codes('embedding_codes', 'uint8', [vocabulary, hidden / 2], (vocabulary * hidden) / 2);
      const scales = this.#scales('embedding_scales', [vocabulary, hidden / BLOCK]);
      rows = graph.node('GatherBlockQuantized', [codes, ids, scales], {
        bits: 4,
        block_size: BLOCK,
        gather_axis: 0,
        quantize_axis: 1,
      });
    }
    this.#bytesPerToken = counted;
    return rows;
  }

  #rotary() {
    const half = this.#shape.headDim / 2;
    const angle = (index) => Math.floor(index / half) * ROTARY_BASE ** (-(index % half) / half);
    this.#floats('cosines', [this.#contextLength, half], (index) => Math.cos(angle(index)));
    this.#floats('sines', [this.#contextLength, half], (index) => Math.sin(angle(index)));
  }

  #codes(name, type, dims, bytes) {
    this.#codeBytes = Math.max(this.#codeBytes, bytes);
    this.#bytesPerToken += bytes;
    return this.#graph.external(name, type, dims, { file: CODES_FILE, length: bytes });
  }

  #scales(name, dims) {
    const bytes = dims[0] * dims[1] * (this.#float === 'float16' ? 2 : 4);
    this.#scaleBytes = Math.max(this.#scaleBytes, bytes);
    this.#bytesPerToken += bytes;
    return this.#graph.external(name, this.#float, dims, { file: SCALES_FILE, length: bytes });
  }

  #scaleContent() {
    const bits = this.#weights === 'q4' ? 4 : 8;
    return this.#float === 'float16' ? SCALES[bits] : scalesAsFloat32(bits);
  }

  #named = new Set();

  #floats(name, dims, valueAt) {
    if (this.#named.has(name)) return name;
    this.#named.add(name);
    const count = dims.reduce((product, dim) => product * dim, 1);
    const values = Float32Array.from({ length: count }, (_, index) => valueAt(index));
    const content = this.#float === 'float16' ? Uint16Array.from(values, halfOf) : values;
    return this.#graph.constant(name, this.#float, dims, new Uint8Array(content.buffer));
  }

  #integers(name, ...values) {
    const content = new BigInt64Array(values.map(BigInt));
    return this.#graph.constant(name, 'int64', [values.length], new Uint8Array(content.buffer));
  }
}

const CODES_FILE = 'codes.bin';
const SCALES_FILE = 'scales.bin';

function repeat(content, length) {
  const out = new Uint8Array(length);
  for (let at = 0; at < length; at += content.length) out.set(content.subarray(0, length - at), at);
  return out;
}

/** The f16 of a number of magnitude 2⁻¹⁴ to 1, truncated; smaller ones are 0. That is all that a norm or a rotation needs. */
function halfOf(value) {
  const sign = value < 0 ? 0x8000 : 0;
  const magnitude = Math.abs(value);
  const exponent = Math.floor(Math.log2(magnitude));
  if (!(exponent >= -14)) return sign;
  return sign | ((exponent + 15) << 10) | Math.floor((magnitude / 2 ** exponent - 1) * 1024);
}
