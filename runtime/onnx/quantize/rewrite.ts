// An unquantised ONNX file with the matrices of its products in 2, 4 or 8 bits: MatMul and Gemm by a constant matrix become
// MatMulNBits. All else is copied byte for byte.

import type { OnnxHeader, Range, StoredOnnxTensor } from '../header.ts';
import { bytesField, concatenate, bytesHead, fieldsOf, numberField, textField } from '../protobuf.ts';
import { BLOCK_SIZE, quantizeBlocks } from './block-quantize.ts';
import { namesInSubgraphs, readNode, type GraphNode } from './nodes.ts';

export interface RewriteSource {
  header: OnnxHeader;
  bytes: Uint8Array;
  external: readonly { path: string; data: Uint8Array }[];
}

export interface Rewritten {
  bytes: Uint8Array;
  /** How many matrices have become smaller. */
  matrices: number;
  /** Of all weights, on average. */
  bitsPerWeight: number;
  /** What was done, as a sentence. */
  reason: string;
}

const FLOAT32 = 1;
const UINT8 = 2;
/** A matrix of fewer numbers is not worth an operation of its own. */
const LEAST_NUMBERS = 512;

/** A node that becomes MatMulNBits. */
interface Product {
  node: GraphNode;
  weight: StoredOnnxTensor;
  /** The weight is [columns, rows]. */
  isTransposed: boolean;
  bias: string | undefined;
}

/** `afterEach` is awaited after each matrix: where an abort arrives. Rejects with what it rejects with, and `corrupt-file`. */
export async function rewriteMatrices(
  { header, bytes, external }: RewriteSource,
  bits: 2 | 4 | 8,
  file: string,
  afterEach: () => Promise<void>,
): Promise<Rewritten> {
  const top = [...fieldsOf(bytes, 0, bytes.length, file)];
  const graph = top.find(({ number }) => number === 7)!;
  const fields = [...fieldsOf(bytes, graph.start, graph.end, file)];
  const products = findProducts(
    header,
    bytes,
    fields.filter(({ number }) => number === 1),
    file,
  );
  const replaced = new Map([...products.values()].map((product) => [weightKey(product), product]));
  const gone = new Set([...replaced.values()].map(({ weight }) => weight.range.start));

  const parts: Uint8Array[] = [];
  for (const field of fields) {
    const product = field.number === 1 ? products.get(field.start) : undefined;
    if (product) parts.push(bytesField(1, matMulNBits(product, bits)));
    else if (!(field.number === 5 && gone.has(field.start))) parts.push(bytes.subarray(field.at, field.end));
  }
  let kept = header.parameters;
  let codedBits = 0;
  for (const product of replaced.values()) {
    const [rows, columns] = sizesOf(product);
    const numbers = readFloats(product.weight, bytes, external, file);
    const { isTransposed } = product;
    const { codes, scales, zeroPoints } = quantizeBlocks({ rows, columns, numbers, isTransposed }, bits);
    const blocks = Math.ceil(rows / BLOCK_SIZE);
    const key = weightKey(product);
    parts.push(
      tensor(`${key}_codes`, UINT8, [columns, blocks, (BLOCK_SIZE * bits) / 8], codes),
      tensor(`${key}_scales`, FLOAT32, [columns * blocks], bytesOf(scales)),
      tensor(`${key}_zeros`, UINT8, [zeroPoints.length], zeroPoints),
    );
    kept -= rows * columns;
    codedBits += 8 * (codes.length + scales.byteLength + zeroPoints.length);
    await afterEach();
  }
  const bitsPerWeight = header.parameters === 0 ? 32 : (codedBits + 32 * kept) / header.parameters;
  if (replaced.size === 0) {
    const reason = `${file} has no product by a constant f32 matrix: nothing could be made ${bits} bits.`;
    return { bytes, matrices: 0, bitsPerWeight, reason };
  }
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const all = top.flatMap((field) =>
    field === graph ? [bytesHead(7, length), ...parts] : [bytes.subarray(field.at, field.end)],
  );
  if (!header.opsets.has('com.microsoft')) all.push(bytesField(8, textField(1, 'com.microsoft'), numberField(2, 1)));
  return {
    bytes: concatenate(all),
    matrices: replaced.size,
    bitsPerWeight,
    reason: `${replaced.size} matrices of ${file} were made ${bits} bits here, in blocks of ${BLOCK_SIZE}; the rest stays f32.`,
  };
}

/** By the place of the node. Only where every use of a matrix is such a product, so that the f32 one can go. */
function findProducts(
  header: OnnxHeader,
  bytes: Uint8Array,
  nodes: readonly Range[],
  file: string,
): Map<number, Product> {
  const weights = new Map(header.weights.map((weight) => [weight.name, weight]));
  const elsewhere = new Set(header.outputs.map(({ name }) => name));
  const candidates = new Map<number, Product>();
  for (const range of nodes) {
    const node = readNode(bytes, range, file);
    const product = asProduct(node, weights);
    if (product) candidates.set(range.start, product);
    node.inputs.forEach((name, i) => {
      if (!product || i !== 1) elsewhere.add(name);
    });
    namesInSubgraphs(bytes, range, file, elsewhere);
  }
  for (const [place, { weight }] of candidates) if (elsewhere.has(weight.name)) candidates.delete(place);
  return candidates;
}

function asProduct(node: GraphNode, weights: ReadonlyMap<string, StoredOnnxTensor>): Product | undefined {
  const { operation, inputs, numbers } = node;
  const isGemm = operation === 'Gemm';
  if (!isGemm && operation !== 'MatMul') return undefined;
  const weight = weights.get(inputs[1] ?? '');
  if (!weight || weight.dataType !== FLOAT32 || weight.dims.length !== 2) return undefined;
  const [first, second] = weight.dims as [number, number];
  if (first * second < LEAST_NUMBERS) return undefined;
  const isTransposed = isGemm && numbers.get('transB') === 1;
  if (isGemm) {
    const isPlain =
      (numbers.get('transA') ?? 0) === 0 && (numbers.get('alpha') ?? 1) === 1 && (numbers.get('beta') ?? 1) === 1;
    const bias = inputs[2] ? weights.get(inputs[2]) : undefined;
    if (!isPlain || (inputs[2] && !(bias?.dims.length === 1 && bias.dims[0] === (isTransposed ? first : second))))
      return undefined;
  }
  return { node, weight, isTransposed, bias: isGemm ? inputs[2] || undefined : undefined };
}

/** [rows, columns] of the matrix that the input is multiplied by. */
function sizesOf({ weight: { dims }, isTransposed }: Product): [number, number] {
  return isTransposed ? [dims[1]!, dims[0]!] : [dims[0]!, dims[1]!];
}

/** A matrix that is read both ways becomes two. */
function weightKey({ weight, isTransposed }: Product): string {
  return `${weight.name}${isTransposed ? '_t' : ''}`;
}

function matMulNBits(product: Product, bits: number): Uint8Array {
  const { node, bias } = product;
  const key = weightKey(product);
  const [rows, columns] = sizesOf(product);
  const inputs = [node.inputs[0]!, `${key}_codes`, `${key}_scales`, `${key}_zeros`, ...(bias ? ['', bias] : [])];
  const attribute = (name: string, value: number) =>
    bytesField(5, textField(1, name), numberField(3, value), numberField(20, 2));
  return concatenate([
    ...inputs.map((name) => textField(1, name)),
    ...node.outputs.map((name) => textField(2, name)),
    textField(3, node.name),
    textField(4, 'MatMulNBits'),
    textField(7, 'com.microsoft'),
    attribute('K', rows),
    attribute('N', columns),
    attribute('bits', bits),
    attribute('block_size', BLOCK_SIZE),
  ]);
}

function tensor(name: string, dataType: number, dims: readonly number[], raw: Uint8Array): Uint8Array {
  return bytesField(
    5,
    ...dims.map((size) => numberField(1, size)),
    numberField(2, dataType),
    textField(8, name),
    bytesHead(9, raw.length),
    raw,
  );
}

function bytesOf({ buffer, byteOffset, byteLength }: Float32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

/** The numbers of an f32 tensor, wherever they are kept. */
function readFloats(
  weight: StoredOnnxTensor,
  bytes: Uint8Array,
  external: RewriteSource['external'],
  file: string,
): Float32Array {
  const count = weight.dims.reduce((product, size) => product * size, 1);
  if (weight.external) {
    const { location, offset } = weight.external;
    const { data } = external.find(({ path }) => path === location)!;
    return floatsAt(data, offset, count);
  }
  if (weight.raw) return floatsAt(bytes, weight.raw.start, count);
  const floats = new Float32Array(count);
  let at = 0;
  for (const field of fieldsOf(bytes, weight.range.start, weight.range.end, file)) {
    if (field.number !== 4) continue;
    const some = floatsAt(bytes, field.start, Math.min((field.end - field.start) / 4, count - at));
    floats.set(some, at);
    at += some.length;
  }
  return floats;
}

/** A copy: the numbers need not be aligned. */
function floatsAt(bytes: Uint8Array, start: number, count: number): Float32Array {
  return new Float32Array(bytes.slice(start, start + 4 * count).buffer);
}
