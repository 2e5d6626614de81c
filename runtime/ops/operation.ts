// The contract that each operation's file keeps: a shape rule, a reference in plain TypeScript, a cost. The reference sums
// in float64 and is the oracle of every backend's kernels; only tests reach it. ops/index.ts is the table of them all.

import type { Dim, OperationAttributes, OperationName, Shape } from '../graph/types.ts';
import { WpError } from '../errors.ts';

/** A value with its numbers, for references. f16 values are held as the numbers they stand for. */
export interface Tensor {
  shape: readonly number[];
  data: Float32Array | Int32Array;
}

/** What a reference may reach beside its inputs. Matrices come dequantised: [rows, columns], row-major. */
export interface ReferenceContext {
  weight(name: string): Tensor;
  /** [keyValueHeads, context, headDim], rounded to f16 when written; a reference may write to it. */
  state(name: string): Tensor;
  past: number;
}

/** Sizes that a shape rule may reach beside its inputs' shapes. */
export interface ShapeContext {
  weightShape(name: string): readonly number[];
}

export interface Cost {
  flops: number;
  /** Bytes of weights and states that must be read or written at least once; activations are left out. */
  bytes: number;
}

/** What a cost rule may ask for: concrete sizes. */
export interface CostContext {
  weightShape(name: string): readonly number[];
  weightBytes(name: string): number;
  past: number;
  tokens: number;
}

export interface OperationDefinition<Name extends OperationName> {
  name: Name;
  inputs: readonly string[];
  /** Inputs of the form that a family writes and `lower` rewrites to `inputs`; a backend never meets it. */
  authoredInputs?: readonly string[];
  outputs: readonly string[];
  /** Names of the weights it reads, of the states it reads or writes. */
  weights(attributes: OperationAttributes[Name]): readonly string[];
  states(attributes: OperationAttributes[Name]): readonly string[];
  shape(inputs: readonly Shape[], attributes: OperationAttributes[Name], context: ShapeContext): readonly Shape[];
  reference(inputs: readonly Tensor[], attributes: OperationAttributes[Name], context: ReferenceContext): Tensor[];
  cost(inputs: readonly (readonly number[])[], attributes: OperationAttributes[Name], context: CostContext): Cost;
}

/** Throws unless the two dimensions are the same number or symbol. */
export function expectDim(op: string, what: string, actual: Dim | undefined, expected: Dim | undefined): void {
  if (actual === expected && actual !== undefined) return;
  throw new WpError('invalid-argument', `${op}: ${what} is ${String(actual)}, expected ${String(expected)}.`, '', {
    actual,
    expected,
  });
}

/** Throws unless the operation got one of the numbers of inputs that it takes. */
export function expectInputs(op: string, actual: number, ...allowed: readonly number[]): void {
  if (allowed.includes(actual)) return;
  throw new WpError('invalid-argument', `${op}: got ${actual} inputs, takes ${allowed.join(' or ')}.`, '', {
    actual,
    allowed,
  });
}

/** The two dimensions of a shape that must be a matrix's. */
export function expectMatrix(op: string, what: string, shape: Shape | undefined): readonly [Dim, Dim] {
  if (shape?.length === 2) return shape as readonly [Dim, Dim];
  throw new WpError('invalid-argument', `${op}: ${what} is [${String(shape)}], expected two dimensions.`, '', {
    actual: shape,
  });
}

/** The one dimension of a shape that must be a vector's. */
export function expectVector(op: string, what: string, shape: Shape | undefined): Dim {
  if (shape?.length === 1) return shape[0]!;
  throw new WpError('invalid-argument', `${op}: ${what} is [${String(shape)}], expected one dimension.`, '', {
    actual: shape,
  });
}

/** Throws unless `condition` holds: for an operation's limits on its attributes. */
export function expectThat(
  op: string,
  condition: boolean,
  message: string,
  details: Record<string, unknown> = {},
): void {
  if (!condition) throw new WpError('invalid-argument', `${op}: ${message}`, '', details);
}

export function tensor(shape: readonly number[], data?: Float32Array): Tensor {
  const size = shape.reduce((a, b) => a * b, 1);
  return { shape, data: data ?? new Float32Array(size) };
}

export function lastDim(shape: readonly Dim[]): Dim | undefined {
  return shape[shape.length - 1];
}
