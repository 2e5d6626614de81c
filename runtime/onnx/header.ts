// What an ONNX file says of itself: inputs and outputs, operation sets, operations, weights and where they lie. Read before the
// runtime sees the file, so that what cannot run is refused by name. Nothing of the weights is copied.
// Format: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto

import { WpError } from '../errors.ts';
import type { TensorInfo, TensorType } from '../tensors.ts';
import { corrupt, fieldsOf, numbersOf, textOf, type Field } from './protobuf.ts';

export interface Range {
  start: number;
  end: number;
}

/** A tensor that the file holds, or says where it is. */
export interface StoredOnnxTensor {
  name: string;
  /** The number of TensorProto.DataType. */
  dataType: number;
  dims: number[];
  /** Of the TensorProto in the file. */
  range: Range;
  /** `raw_data`, where that is how the numbers are kept. */
  raw: Range | undefined;
  external: { location: string; offset: number; length: number | undefined } | undefined;
}

export interface OnnxHeader {
  irVersion: number;
  producer: string;
  /** '' is ONNX' own. */
  opsets: ReadonlyMap<string, number>;
  inputs: TensorInfo[];
  outputs: TensorInfo[];
  /** How often each operation stands in the graph and its subgraphs: 'MatMul', 'com.microsoft:MatMulNBits'. */
  operations: ReadonlyMap<string, number>;
  /** The model's own functions, named in the same way. */
  functions: ReadonlySet<string>;
  /** Initializers of the graph, without those of subgraphs. */
  weights: StoredOnnxTensor[];
  /** Files of external data, and the bytes that each must have at least. */
  externalFiles: ReadonlyMap<string, number>;
  /** Numbers in all weights. */
  parameters: number;
}

/** Far beyond any model; a file that says more was made to fill memory. */
const MOST_NODES = 1e6;
const DEEPEST_GRAPH = 32;

/** Throws `corrupt-file` for what contradicts the format, `unsupported-operation` for values that are no tensors. */
export function readOnnxHeader(bytes: Uint8Array, file: string): OnnxHeader {
  const reader = new HeaderReader(bytes, file);
  return reader.model();
}

interface Graph {
  inputs: TensorInfo[];
  outputs: TensorInfo[];
  weights: StoredOnnxTensor[];
}

class HeaderReader {
  readonly #operations = new Map<string, number>();
  readonly #externalFiles = new Map<string, number>();
  #nodes = 0;
  #parameters = 0;

  constructor(
    private readonly bytes: Uint8Array,
    private readonly file: string,
  ) {}

  model(): OnnxHeader {
    let graph: Graph | undefined;
    let irVersion = 0;
    let producer = '';
    const opsets = new Map<string, number>();
    const functions = new Set<string>();
    for (const field of this.#fields({ start: 0, end: this.bytes.length })) {
      if (field.number === 1) irVersion = field.value;
      else if (field.number === 2) producer = this.#text(field);
      else if (field.number === 7) graph = this.#graph(field, 0);
      else if (field.number === 8) {
        const { domain, version } = this.#opset(field);
        opsets.set(domain, version);
      } else if (field.number === 25) functions.add(this.#function(field));
    }
    if (!graph || irVersion === 0 || opsets.size === 0) {
      throw corrupt(this.file, 0, `it has no ${!graph ? 'graph' : irVersion === 0 ? 'version' : 'operation set'}`);
    }
    const own = new Set(graph.weights.map(({ name }) => name));
    return {
      irVersion,
      producer,
      opsets,
      // Up to version 3 of the format weights are listed as inputs too.
      inputs: graph.inputs.filter(({ name }) => !own.has(name)),
      outputs: graph.outputs,
      operations: this.#operations,
      functions,
      weights: graph.weights,
      externalFiles: this.#externalFiles,
      parameters: this.#parameters,
    };
  }

  #graph(range: Range, depth: number): Graph {
    if (depth > DEEPEST_GRAPH) throw corrupt(this.file, range.start, `graphs lie ${depth} deep in one another`);
    const graph: Graph = { inputs: [], outputs: [], weights: [] };
    for (const field of this.#fields(range)) {
      if (field.number === 1) this.#node(field, depth);
      else if (field.number === 5) {
        const tensor = readTensor(this.bytes, field, this.file);
        this.#count(tensor, field);
        graph.weights.push(tensor);
      } else if (depth === 0 && field.number === 11) graph.inputs.push(this.#value(field));
      else if (depth === 0 && field.number === 12) graph.outputs.push(this.#value(field));
    }
    return graph;
  }

  #node(range: Range, depth: number): void {
    let name = '';
    let domain = '';
    this.#nodes += 1;
    if (this.#nodes > MOST_NODES) throw corrupt(this.file, range.start, `there are more than ${MOST_NODES} operations`);
    for (const field of this.#fields(range)) {
      if (field.number === 4) name = this.#text(field);
      else if (field.number === 7) domain = this.#text(field);
      else if (field.number === 5) this.#attribute(field, depth);
    }
    const operation = operationName(domain, name);
    this.#operations.set(operation, (this.#operations.get(operation) ?? 0) + 1);
  }

  #attribute(range: Range, depth: number): void {
    for (const field of this.#fields(range)) {
      if (field.number === 5 || field.number === 10) this.#count(readTensor(this.bytes, field, this.file), field);
      else if (field.number === 6 || field.number === 11) this.#graph(field, depth + 1);
    }
  }

  #count({ name, dataType, dims, raw, external }: StoredOnnxTensor, { at }: Field): void {
    const elements = dims.reduce((product, size) => product * size, 1);
    this.#parameters += elements;
    const bytesNeeded = Math.ceil(elements * (ELEMENT_BYTES[dataType] ?? 0));
    if (raw && ELEMENT_BYTES[dataType] !== undefined && raw.end - raw.start !== bytesNeeded) {
      throw corrupt(
        this.file,
        at,
        `the tensor "${name.slice(0, 80)}" has ${raw.end - raw.start} bytes, and its shape [${dims.join(', ')}] needs ${bytesNeeded}`,
      );
    }
    if (!external) return;
    const { location, offset, length = bytesNeeded } = external;
    if (ELEMENT_BYTES[dataType] !== undefined && length !== bytesNeeded) {
      throw corrupt(
        this.file,
        at,
        `the tensor "${name.slice(0, 80)}" has ${length} external bytes and needs ${bytesNeeded}`,
      );
    }
    this.#externalFiles.set(location, Math.max(this.#externalFiles.get(location) ?? 0, offset + length));
  }

  #opset(range: Range): { domain: string; version: number } {
    let domain = '';
    let version = 0;
    for (const field of this.#fields(range)) {
      if (field.number === 1) domain = this.#text(field);
      else if (field.number === 2) version = field.value;
    }
    return { domain: domain === 'ai.onnx' ? '' : domain, version };
  }

  #function(range: Range): string {
    let name = '';
    let domain = '';
    for (const field of this.#fields(range)) {
      if (field.number === 1) name = this.#text(field);
      else if (field.number === 10) domain = this.#text(field);
      else if (field.number === 7) this.#node(field, 0);
    }
    return operationName(domain, name);
  }

  #value(range: Range): TensorInfo {
    let name = '';
    let info: Omit<TensorInfo, 'name'> | undefined;
    for (const field of this.#fields(range)) {
      if (field.number === 1) name = this.#text(field);
      else if (field.number === 2)
        for (const type of this.#fields(field)) if (type.number === 1) info = this.#tensorType(type);
    }
    if (info) return { name, ...info };
    throw new WpError(
      'unsupported-operation',
      `The value "${name}" of ${this.file} is no tensor; sequences, maps and optional values are not supported as inputs or outputs.`,
      'Export the model with tensors only.',
      { file: this.file, value: name, allowed: 'tensors' },
    );
  }

  #tensorType(range: Range): Omit<TensorInfo, 'name'> {
    let code = 0;
    let dims: (number | string | undefined)[] | undefined;
    for (const field of this.#fields(range)) {
      if (field.number === 1) code = field.value;
      else if (field.number === 2) {
        dims = [];
        for (const dim of this.#fields(field)) if (dim.number === 1) dims.push(this.#dimension(dim));
      }
    }
    const type = TENSOR_TYPES[code];
    if (type) return { type, dims };
    throw new WpError(
      'unsupported-operation',
      `${this.file} takes or gives numbers of type ${code}; supported: ${Object.values(TENSOR_TYPES).join(', ')}.`,
      'Export the model with other types at its ends.',
      { file: this.file, actual: code, allowed: Object.values(TENSOR_TYPES) },
    );
  }

  #dimension(range: Range): number | string | undefined {
    for (const field of this.#fields(range)) {
      if (field.number === 1 && field.value >= 0) return field.value;
      if (field.number === 2) return this.#text(field) || undefined;
    }
    return undefined;
  }

  #fields({ start, end }: Range): Generator<Field, void, undefined> {
    return fieldsOf(this.bytes, start, end, this.file);
  }

  #text(field: Field): string {
    return textOf(this.bytes, field);
  }
}

/** A TensorProto; its numbers stay where they are. */
export function readTensor(bytes: Uint8Array, range: Range, file: string): StoredOnnxTensor {
  const dims: number[] = [];
  let name = '';
  let dataType = 0;
  let raw: Range | undefined;
  let isExternal = false;
  const external: Record<string, string> = {};
  for (const field of fieldsOf(bytes, range.start, range.end, file)) {
    if (field.number === 1) {
      for (const size of numbersOf(bytes, field, file)) {
        if (size < 0 || dims.length >= 64) throw corrupt(file, field.at, `a tensor has the dimension ${size}`);
        dims.push(size);
      }
    } else if (field.number === 2) dataType = field.value;
    else if (field.number === 8) name = textOf(bytes, field);
    else if (field.number === 9) raw = { start: field.start, end: field.end };
    else if (field.number === 14) isExternal = field.value === 1;
    else if (field.number === 13) {
      let key = '';
      let value = '';
      for (const part of fieldsOf(bytes, field.start, field.end, file)) {
        if (part.number === 1) key = textOf(bytes, part);
        else if (part.number === 2) value = textOf(bytes, part);
      }
      external[key] = value;
    }
  }
  return {
    name,
    dataType,
    dims,
    range: { start: range.start, end: range.end },
    raw: isExternal ? undefined : raw,
    external: isExternal ? readExternal(external, name, file, range.start) : undefined,
  };
}

function readExternal(
  { location = '', offset = '0', length }: Record<string, string>,
  name: string,
  file: string,
  at: number,
): StoredOnnxTensor['external'] {
  // Inside the model's folder: a file must not lead out of it.
  if (
    !/^[^\\/:*?"<>|\0]+(?:\/[^\\/:*?"<>|\0]+)*$/.test(location) ||
    location.split('/').some((part) => /^\.+$/.test(part))
  ) {
    throw corrupt(
      file,
      at,
      `the tensor "${name.slice(0, 80)}" lies in ${JSON.stringify(location.slice(0, 80))}, which names no file of the folder`,
    );
  }
  const start = Number(offset);
  const size = length === undefined || length === '' ? undefined : Number(length);
  if (!Number.isSafeInteger(start) || start < 0 || (size !== undefined && (!Number.isSafeInteger(size) || size < 0))) {
    throw corrupt(file, at, `the tensor "${name.slice(0, 80)}" has the external range ${offset}+${length}`);
  }
  return { location, offset: start, length: size };
}

export function operationName(domain: string, name: string): string {
  return domain === '' || domain === 'ai.onnx' ? name : `${domain}:${name}`;
}

/** Types of inputs and outputs, by their numbers. */
const TENSOR_TYPES: Readonly<Record<number, TensorType>> = {
  1: 'float32',
  2: 'uint8',
  3: 'int8',
  4: 'uint16',
  5: 'int16',
  6: 'int32',
  7: 'int64',
  8: 'string',
  9: 'bool',
  10: 'float16',
  11: 'float64',
  12: 'uint32',
  13: 'uint64',
};

/** Bytes of an element, of the types that have a fixed size. */
const ELEMENT_BYTES: Readonly<Record<number, number>> = {
  1: 4,
  2: 1,
  3: 1,
  4: 2,
  5: 2,
  6: 4,
  7: 8,
  9: 1,
  10: 2,
  11: 8,
  12: 4,
  13: 8,
  16: 2,
  17: 1,
  18: 1,
  19: 1,
  20: 1,
  21: 0.5,
  22: 0.5,
};
