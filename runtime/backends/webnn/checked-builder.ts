// MLGraphBuilder with two additions: each operation is looked up in what the context supports before it is used, and those that
// a context may lack are composed from simpler ones. Numbers are f32, or f16 where the context computes in nothing longer.

import { toF16 } from '../../half.ts';
import type { MLConv2dOptions, MLDataType, MLGraphBuilder, MLOperand } from './ml-api.ts';
import { kindOf, type Support } from './support.ts';

export type Real = 'float32' | 'float16';

/** Numbers as the bytes of a tensor of this type. */
export function realBytes(numbers: Float32Array<ArrayBuffer>, type: Real): Uint8Array<ArrayBuffer> {
  const stored = type === 'float32' ? numbers : (toF16(numbers) as Uint16Array<ArrayBuffer>);
  return new Uint8Array(stored.buffer, stored.byteOffset, stored.byteLength);
}

type UnaryName = 'sqrt' | 'erf' | 'tanh' | 'sigmoid' | 'relu' | 'gelu';
type BinaryName = 'add' | 'sub' | 'mul' | 'div' | 'max' | 'matmul';

export class CheckedBuilder {
  readonly #scalars = new Map<number, MLOperand>();

  constructor(
    readonly raw: MLGraphBuilder,
    readonly support: Support,
    /** What all numbers are computed in. */
    readonly real: Real,
  ) {}

  input(name: string, dataType: MLDataType, shape: readonly number[]): MLOperand {
    return this.raw.input(name, { dataType, shape });
  }

  numbers(shape: readonly number[], numbers: Float32Array<ArrayBuffer>): MLOperand {
    return this.raw.constant({ dataType: this.real, shape }, realBytes(numbers, this.real));
  }

  integers(shape: readonly number[], numbers: Int32Array<ArrayBuffer>): MLOperand {
    return this.raw.constant({ dataType: 'int32', shape }, numbers);
  }

  scalar(value: number): MLOperand {
    let operand = this.#scalars.get(value);
    if (!operand) this.#scalars.set(value, (operand = this.numbers([], Float32Array.of(value))));
    return operand;
  }

  unary(name: UnaryName, input: MLOperand): MLOperand {
    this.support.require(name, { input: kindOf(input) });
    return this.raw[name](input);
  }

  binary(name: BinaryName, a: MLOperand, b: MLOperand): MLOperand {
    this.support.require(name, { a: kindOf(a), b: kindOf(b) });
    return this.raw[name](a, b);
  }

  add = (a: MLOperand, b: MLOperand): MLOperand => this.binary('add', a, b);
  mul = (a: MLOperand, b: MLOperand): MLOperand => this.binary('mul', a, b);

  scale(input: MLOperand, factor: number): MLOperand {
    return factor === 1 ? input : this.mul(input, this.scalar(factor));
  }

  cast(input: MLOperand, dataType: MLDataType): MLOperand {
    if (input.dataType === dataType) return input;
    this.support.require('cast', { input: kindOf(input), output: { dataType, rank: input.shape.length } });
    return this.raw.cast(input, dataType);
  }

  reshape(input: MLOperand, shape: readonly number[]): MLOperand {
    if (input.shape.length === shape.length && shape.every((size, i) => size === input.shape[i])) return input;
    this.support.require('reshape', {
      input: kindOf(input),
      output: { dataType: input.dataType, rank: shape.length },
    });
    return this.raw.reshape(input, shape);
  }

  transpose(input: MLOperand, permutation: readonly number[]): MLOperand {
    this.support.require('transpose', { input: kindOf(input) });
    return this.raw.transpose(input, { permutation });
  }

  expand(input: MLOperand, shape: readonly number[]): MLOperand {
    this.support.require('expand', { input: kindOf(input), output: { dataType: input.dataType, rank: shape.length } });
    return this.raw.expand(input, shape);
  }

  /** `count` indices of one axis from `start` on, every `stride`-th of them. */
  slice(input: MLOperand, axis: number, start: number, count: number, stride = 1): MLOperand {
    const { shape } = input;
    if (start === 0 && count === shape[axis] && stride === 1) return input;
    this.support.require('slice', { input: kindOf(input) });
    const starts = shape.map((_, i) => (i === axis ? start : 0));
    // The size counts what the strides step over, too.
    const sizes = shape.map((size, i) => (i === axis ? (count - 1) * stride + 1 : size));
    const strides = shape.map((_, i) => (i === axis ? stride : 1));
    return stride === 1 ? this.raw.slice(input, starts, sizes) : this.raw.slice(input, starts, sizes, { strides });
  }

  concat(inputs: readonly MLOperand[], axis: number): MLOperand {
    if (inputs.length === 1) return inputs[0]!;
    this.support.require('concat', { inputs: kindOf(inputs[0]!) });
    return this.raw.concat(inputs, axis);
  }

  /** Zeros around; numbers below zero cut off instead. */
  pad(input: MLOperand, before: readonly number[], after: readonly number[]): MLOperand {
    let out = input;
    input.shape.forEach((size, axis) => {
      const [first, last] = [Math.max(0, -before[axis]!), Math.max(0, -after[axis]!)];
      out = this.slice(out, axis, first, size - first - last);
    });
    const [more, behind] = [before, after].map((counts) => counts.map((count) => Math.max(0, count)));
    if (![...more!, ...behind!].some((count) => count > 0)) return out;
    this.support.require('pad', { input: kindOf(out) });
    return this.raw.pad(out, more!, behind!);
  }

  gather(input: MLOperand, indices: MLOperand): MLOperand {
    const rank = input.shape.length + indices.shape.length - 1;
    this.support.require('gather', {
      input: kindOf(input),
      indices: kindOf(indices),
      output: { dataType: input.dataType, rank },
    });
    return this.raw.gather(input, indices, { axis: 0 });
  }

  mean(input: MLOperand, axes: readonly number[]): MLOperand {
    this.support.require('reduceMean', { input: kindOf(input) });
    return this.raw.reduceMean(input, { axes, keepDimensions: true });
  }

  /** The length of each row. */
  norm(input: MLOperand): MLOperand {
    this.support.require('reduceL2', { input: kindOf(input) });
    return this.raw.reduceL2(input, { axes: [input.shape.length - 1], keepDimensions: true });
  }

  softmax(input: MLOperand): MLOperand {
    this.support.require('softmax', { input: kindOf(input) });
    return this.raw.softmax(input, input.shape.length - 1);
  }

  /** x·Wᵀ + bias of x [n, columns] and a weight [rows, columns]. */
  linear(x: MLOperand, weight: MLOperand, bias: MLOperand | undefined): MLOperand {
    const kinds = { a: kindOf(x), b: kindOf(weight), ...(bias ? { c: kindOf(bias) } : {}) };
    if (this.support.has('gemm', kinds)) {
      return this.raw.gemm(x, weight, bias ? { c: bias, bTranspose: true } : { bTranspose: true });
    }
    const product = this.binary('matmul', x, this.transpose(weight, [1, 0]));
    return bias ? this.add(product, bias) : product;
  }

  /** The product of the last two axes for each of the first two. */
  matmul4(a: MLOperand, b: MLOperand): MLOperand {
    if (this.support.has('matmul', { a: kindOf(a), b: kindOf(b) })) return this.raw.matmul(a, b);
    const flat = (operand: MLOperand) => {
      const [first, second, rows, columns] = operand.shape as [number, number, number, number];
      return this.reshape(operand, [first * second, rows, columns]);
    };
    const product = this.binary('matmul', flat(a), flat(b));
    return this.reshape(product, [...a.shape.slice(0, 3), b.shape[3]!]);
  }

  /** (x − mean) / √(variance + epsilon) over the axes. */
  standardize(x: MLOperand, axes: readonly number[], epsilon: number): MLOperand {
    const centred = this.binary('sub', x, this.mean(x, axes));
    const variance = this.mean(this.mul(centred, centred), axes);
    return this.binary('div', centred, this.unary('sqrt', this.add(variance, this.scalar(epsilon))));
  }

  layerNorm(x: MLOperand, scale: MLOperand, bias: MLOperand | undefined, epsilon: number): MLOperand {
    const axes = [x.shape.length - 1];
    if (this.support.has('layerNormalization', { input: kindOf(x), scale: kindOf(scale) })) {
      return this.raw.layerNormalization(x, { axes, epsilon, scale, ...(bias ? { bias } : {}) });
    }
    const scaled = this.mul(this.standardize(x, axes, epsilon), scale);
    return bias ? this.add(scaled, bias) : scaled;
  }

  dequantize(codes: MLOperand, scales: MLOperand, zeroPoints: MLOperand): MLOperand {
    this.support.require('dequantizeLinear', {
      input: kindOf(codes),
      scale: kindOf(scales),
      zeroPoint: kindOf(zeroPoints),
    });
    return this.raw.dequantizeLinear(codes, scales, zeroPoints);
  }

  /** Of an image [images, height, width, channels]; the filter is in the options' layout. */
  conv2d(input: MLOperand, filter: MLOperand, options: MLConv2dOptions): MLOperand {
    this.support.require('conv2d', { input: kindOf(input), filter: kindOf(filter) });
    return this.raw.conv2d(input, filter, options);
  }
}
