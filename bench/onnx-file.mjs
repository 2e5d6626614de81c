// Writes an ONNX graph: nodes, constants and named inputs and outputs, whose large constants stand in external files. Field
// numbers are those of onnx.proto (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto). Which nodes make a decoder is
// onnx-model.mjs's business.

import { bytes, concatenate, float, integer, message, string } from './protobuf.mjs';

/** TensorProto.DataType */
export const ONNX_TYPE = { float32: 1, uint8: 2, int8: 3, int32: 6, int64: 7, float16: 10 };

const ATTRIBUTE_TYPE = { float: 1, int: 2, ints: 7 };
const IR_VERSION = 8;
const OPSET = 17;

const OF_MICROSOFT = new Set([
  'BiasGelu',
  'DynamicQuantizeMatMul',
  'GatherBlockQuantized',
  'GroupQueryAttention',
  'MatMulIntegerToFloat',
  'MatMulNBits',
  'MultiHeadAttention',
  'QuickGelu',
  'SkipLayerNormalization',
  'SkipSimplifiedLayerNormalization',
]);

/** An attribute that is a number or a list of integers: `{ float: 1e-5 }` is written as a float, a plain number as an integer. */
function attribute([name, value]) {
  if (Array.isArray(value)) {
    const items = value.map((item) => integer(8, item));
    return message(5, string(1, name), ...items, integer(20, ATTRIBUTE_TYPE.ints));
  }
  if (typeof value === 'object') {
    return message(5, string(1, name), float(2, value.float), integer(20, ATTRIBUTE_TYPE.float));
  }
  return message(5, string(1, name), integer(3, value), integer(20, ATTRIBUTE_TYPE.int));
}

/** A symbolic dimension is a string. */
function valueInfo(field, { name, type, dims }) {
  const shape = dims.map((dim) => message(1, typeof dim === 'string' ? string(2, dim) : integer(1, dim)));
  const tensorType = message(1, integer(1, ONNX_TYPE[type]), message(2, ...shape));
  return message(field, string(1, name), message(2, tensorType));
}

export class OnnxGraph {
  #nodes = [];
  #constants = [];
  #inputs = [];
  #outputs = [];
  #names = 0;
  #title;

  /** @param {string} [title] */
  constructor(title = 'decoder') {
    this.#title = title;
  }

  /** @param {{ name: string, type: keyof typeof ONNX_TYPE, dims: (number | string)[] }} value */
  input(value) {
    this.#inputs.push(valueInfo(11, value));
    return value.name;
  }

  output(value) {
    this.#outputs.push(valueInfo(12, value));
  }

  /**
   * @param {string} operator
   * @param {string[]} inputs names; '' leaves an optional one out
   * @param {Record<string, number | number[] | { float: number }>} attributes
   * @param {string[]} [outputs] names; without them the node has one, which is named here
   * @returns {string} the name of the first output
   */
  node(operator, inputs, attributes = {}, outputs = [`${operator}_${(this.#names += 1)}`]) {
    this.#nodes.push(
      message(
        1,
        ...inputs.map((name) => string(1, name)),
        ...outputs.map((name) => string(2, name)),
        string(3, outputs[0]),
        string(4, operator),
        ...Object.entries(attributes).map(attribute),
        ...(OF_MICROSOFT.has(operator) ? [string(7, 'com.microsoft')] : []),
      ),
    );
    return outputs[0];
  }

  /** A constant in the file itself. @param {Uint8Array} content little-endian */
  constant(name, type, dims, content) {
    this.#constant(name, type, dims, bytes(9, content));
    return name;
  }

  /** A constant that is the first bytes of an external file. */
  external(name, type, dims, { file, length }) {
    const entry = (key, value) => message(13, string(1, key), string(2, value));
    this.#constant(
      name,
      type,
      dims,
      entry('location', file),
      entry('offset', '0'),
      entry('length', String(length)),
      integer(14, 1),
    );
    return name;
  }

  #constant(name, type, dims, ...fields) {
    this.#constants.push(
      message(5, ...dims.map((dim) => integer(1, dim)), integer(2, ONNX_TYPE[type]), string(8, name), ...fields),
    );
  }

  /** @returns {Uint8Array} the ModelProto */
  file() {
    const graph = [...this.#nodes, string(2, this.#title), ...this.#constants, ...this.#inputs, ...this.#outputs];
    return concatenate([
      integer(1, IR_VERSION),
      string(2, 'wp-models bench'),
      message(7, ...graph),
      message(8, string(1, ''), integer(2, OPSET)),
      message(8, string(1, 'com.microsoft'), integer(2, 1)),
    ]);
  }
}
