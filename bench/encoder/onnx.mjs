// A BERT of any of the encoders' shapes as an ONNX model, with the weights of shapes.mjs. Two forms:
//
// - exported: node by node as Hugging Face's exporter writes it, which is what transformers.js' repositories hold; onnxruntime's
//   optimiser fuses what it knows;
// - fused: with onnxruntime's own nodes for attention, sums with norms, and GELU with its bias: the best that we know for it.
//
// And three kinds of weights: fp32; fp16 (activations too; outputs f32); q8 as onnxruntime's dynamic quantisation makes it, which
// is transformers.js' q8: matrices and embeddings as int8 with one scale each, activations quantised as they come.

import { ONNX_TYPE, OnnxGraph } from '../onnx-file.mjs';
import { halves } from './half.mjs';
import { ENCODER_SHAPES, encoderTensors, encoderWeights, EPSILON } from './shapes.mjs';

/**
 * @param {string} name of the shape
 * @param {{ weights: 'fp32' | 'fp16' | 'q8', form?: 'exported' | 'fused' }} options
 * @returns {Uint8Array}
 */
export function encoderOnnx(name, { weights, form = 'exported' }) {
  return new EncoderWriter(ENCODER_SHAPES[name], weights, form === 'fused').write();
}

const bytesOf = (array) => new Uint8Array(array.buffer, array.byteOffset, array.byteLength);

class EncoderWriter {
  #graph = new OnnxGraph('encoder');
  #shape;
  #weights;
  #isFused;
  #float;
  /** Quantised activations, by what was quantised: several matrices may read the same ones. */
  #quantized = new Map();
  #dims;

  constructor(shape, weights, isFused) {
    this.#shape = shape;
    this.#weights = weights;
    this.#isFused = isFused;
    this.#float = weights === 'fp16' ? 'float16' : 'float32';
    this.#dims = new Map(encoderTensors(shape).map((tensor) => [tensor.name, tensor.dims]));
  }

  write() {
    const graph = this.#graph;
    const { hidden, layers } = this.#shape;
    const [ids, mask, types] = ['input_ids', 'attention_mask', 'token_type_ids'].map((input) =>
      graph.input({ name: input, type: 'int64', dims: ['batch_size', 'sequence_length'] }),
    );
    const bias = this.#maskBias(mask);
    let x = this.#embeddings(ids, types);
    for (let layer = 0; layer < layers; layer += 1) x = this.#layer(`encoder.layer.${layer}.`, x, bias);
    graph.node('Cast', [x], { to: ONNX_TYPE.float32 }, ['last_hidden_state']);
    graph.output({ name: 'last_hidden_state', type: 'float32', dims: ['batch_size', 'sequence_length', hidden] });
    return graph.file();
  }

  /** 0 where a token is seen, and as low as numbers go where it is padding: [batch, 1, 1, tokens]. */
  #maskBias(mask) {
    const graph = this.#graph;
    const wide = graph.node('Unsqueeze', [mask, this.#integers('mask_axes', [1, 2])]);
    const seen = graph.node('Cast', [wide], { to: ONNX_TYPE[this.#float] });
    const hiddenTokens = graph.node('Sub', [this.#scalar('one', 1), seen]);
    const lowest = this.#weights === 'fp16' ? -65504 : -3.4028234663852886e38;
    return graph.node('Mul', [hiddenTokens, this.#scalar('lowest', lowest)]);
  }

  #embeddings(ids, types) {
    const graph = this.#graph;
    const tokens = graph.node('Gather', [graph.node('Shape', [ids]), this.#integers('second', [1])], { axis: 0 });
    const places = this.#integers(
      'places',
      Array.from({ length: this.#shape.positions }, (_, i) => i),
      [1, this.#shape.positions],
    );
    const positionIds = graph.node('Slice', [
      places,
      this.#integers('slice_start', [0]),
      tokens,
      this.#integers('slice_axis', [1]),
    ]);
    const words = this.#row('embeddings.word_embeddings.weight', ids);
    const sum = graph.node('Add', [words, this.#row('embeddings.token_type_embeddings.weight', types)]);
    const all = graph.node('Add', [sum, this.#row('embeddings.position_embeddings.weight', positionIds)]);
    return this.#norm('embeddings.LayerNorm', all);
  }

  #layer(prefix, x, maskBias) {
    const graph = this.#graph;
    const attended = this.#isFused ? this.#fusedAttention(prefix, x, maskBias) : this.#attention(prefix, x, maskBias);
    const y = this.#addNorm(`${prefix}attention.output`, attended, x);
    const inner = this.#product(`${prefix}intermediate.dense`, y);
    const bias = this.#vector(`${prefix}intermediate.dense.bias`);
    const activated = this.#isFused
      ? graph.node('BiasGelu', [inner, bias])
      : this.#gelu(graph.node('Add', [bias, inner]));
    return this.#addNorm(`${prefix}output`, activated, y);
  }

  #attention(prefix, x, maskBias) {
    const graph = this.#graph;
    const { hidden, heads } = this.#shape;
    const headDim = hidden / heads;
    const split = this.#integers('split', [0, 0, heads, headDim]);
    const heading = (part, perm) => {
      const rows = this.#linear(`${prefix}attention.self.${part}`, x);
      return graph.node('Transpose', [graph.node('Reshape', [rows, split])], { perm });
    };
    const queries = heading('query', [0, 2, 1, 3]);
    const keys = heading('key', [0, 2, 3, 1]);
    const values = heading('value', [0, 2, 1, 3]);
    const product = graph.node('MatMul', [queries, keys]);
    const scores = graph.node('Div', [product, this.#scalar('head_root', Math.sqrt(headDim))]);
    const shares = graph.node('Softmax', [graph.node('Add', [scores, maskBias])], { axis: -1 });
    const mixed = graph.node('Transpose', [graph.node('MatMul', [shares, values])], { perm: [0, 2, 1, 3] });
    return graph.node('Reshape', [mixed, this.#integers('join', [0, 0, hidden])]);
  }

  #fusedAttention(prefix, x, maskBias) {
    const graph = this.#graph;
    const [q, k, v] = ['query', 'key', 'value'].map((part) => this.#linear(`${prefix}attention.self.${part}`, x));
    // [batch, 1, tokens, tokens], of which the head's 1 may stand for all heads, the tokens' may not.
    if (this.#wideBias === undefined) {
      const size = graph.node('Shape', [x]);
      const at = (name, i) => graph.node('Gather', [size, this.#integers(name, [i])], { axis: 0 });
      const one = this.#integers('one_row', [1]);
      const tokens = at('at_tokens', 1);
      const wide = graph.node('Concat', [at('at_batch', 0), one, tokens, tokens], { axis: 0 });
      this.#wideBias = graph.node('Expand', [maskBias, wide]);
    }
    return graph.node('MultiHeadAttention', [q, k, v, '', '', this.#wideBias], { num_heads: this.#shape.heads });
  }
  #wideBias;

  #gelu(x) {
    const graph = this.#graph;
    const error = graph.node('Erf', [graph.node('Div', [x, this.#scalar('root_two', Math.SQRT2)])]);
    const sum = graph.node('Add', [error, this.#scalar('one', 1)]);
    return graph.node('Mul', [graph.node('Mul', [x, sum]), this.#scalar('half', 0.5)]);
  }

  /** norm(x·W + b + residual), of the modules dense and LayerNorm. */
  #addNorm(prefix, x, residual) {
    const graph = this.#graph;
    const norm = `${prefix}.LayerNorm`;
    if (!this.#isFused) return this.#norm(norm, graph.node('Add', [this.#linear(`${prefix}.dense`, x), residual]));
    const product = this.#product(`${prefix}.dense`, x);
    return graph.node(
      'SkipLayerNormalization',
      [product, residual, ...this.#normVectors(norm), this.#vector(`${prefix}.dense.bias`)],
      { epsilon: { float: EPSILON } },
    );
  }

  #norm(name, x) {
    return this.#graph.node('LayerNormalization', [x, ...this.#normVectors(name)], {
      axis: -1,
      epsilon: { float: EPSILON },
    });
  }

  #normVectors(name) {
    return [this.#vector(`${name}.weight`), this.#vector(`${name}.bias`)];
  }

  #linear(name, x) {
    return this.#graph.node('Add', [this.#vector(`${name}.bias`), this.#product(name, x)]);
  }

  /** x·W, with W stored as [columns, rows]. */
  #product(name, x) {
    const graph = this.#graph;
    const tensor = `${name}.weight`;
    const [rows, columns] = this.#dims.get(tensor);
    const turned = transposed(encoderWeights({ name: tensor, dims: [rows, columns] }), rows, columns);
    if (this.#weights !== 'q8') {
      const weight = graph.constant(tensor, this.#float, [columns, rows], this.#content(turned));
      return graph.node('MatMul', [x, weight]);
    }
    if (!this.#quantized.has(x)) {
      const outputs = ['quantized', 'scale', 'zero'].map((part) => `${x}_${part}`);
      graph.node('DynamicQuantizeLinear', [x], {}, outputs);
      this.#quantized.set(x, outputs);
    }
    const [codes, scale, zero] = this.#quantized.get(x);
    const { integers, unit } = int8(turned);
    const weight = graph.constant(tensor, 'int8', [columns, rows], bytesOf(integers));
    const product = graph.node('MatMulInteger', [codes, weight, zero, this.#zero()]);
    const scales = graph.node('Mul', [scale, this.#single(`${tensor}_scale`, unit)]);
    return graph.node('Mul', [graph.node('Cast', [product], { to: ONNX_TYPE.float32 }), scales]);
  }

  /** Rows of a table. */
  #row(tensor, ids) {
    const graph = this.#graph;
    const dims = this.#dims.get(tensor);
    const values = encoderWeights({ name: tensor, dims });
    if (this.#weights !== 'q8') {
      return graph.node('Gather', [graph.constant(tensor, this.#float, dims, this.#content(values)), ids], { axis: 0 });
    }
    const { integers, unit } = int8(values);
    const codes = graph.node('Gather', [graph.constant(tensor, 'int8', dims, bytesOf(integers)), ids], { axis: 0 });
    return graph.node('DequantizeLinear', [codes, this.#single(`${tensor}_scale`, unit), this.#zero()]);
  }

  #vector(tensor) {
    return this.#once(tensor, () => {
      const dims = this.#dims.get(tensor);
      this.#graph.constant(tensor, this.#float, dims, this.#content(encoderWeights({ name: tensor, dims })));
    });
  }

  #scalar(name, value) {
    return this.#once(name, () =>
      this.#graph.constant(name, this.#float, [], this.#content(new Float32Array([value]))),
    );
  }

  #single(name, value) {
    return this.#once(name, () => this.#graph.constant(name, 'float32', [], bytesOf(new Float32Array([value]))));
  }

  #zero() {
    return this.#once('int8_zero', () => this.#graph.constant('int8_zero', 'int8', [], new Uint8Array(1)));
  }

  #integers(name, values, dims = [values.length]) {
    return this.#once(name, () =>
      this.#graph.constant(name, 'int64', dims, bytesOf(BigInt64Array.from(values, BigInt))),
    );
  }

  #known = new Set();
  #once(name, write) {
    if (!this.#known.has(name)) write();
    this.#known.add(name);
    return name;
  }

  #content(values) {
    return bytesOf(this.#float === 'float16' ? halves(values) : values);
  }
}

function transposed(values, rows, columns) {
  const out = new Float32Array(values.length);
  for (let row = 0; row < rows; row += 1) {
    for (let column = 0; column < columns; column += 1) out[column * rows + row] = values[row * columns + column];
  }
  return out;
}

/** Symmetric, one scale for all. */
function int8(values) {
  let largest = 0;
  for (const value of values) largest = Math.max(largest, Math.abs(value));
  const unit = largest / 127;
  return { integers: Int8Array.from(values, (value) => Math.round(value / unit)), unit };
}
