// The table of the operations that decoders have; encoder-operations.ts has the others. Its type is mapped over OperationAttributes: an operation without a file does not compile.
// The functions below are the one place where an operation of unknown kind meets its definition.

import { WpError } from '../errors.ts';
import type { EncoderOperationName, Operation, OperationName, Shape } from '../graph/types.ts';
import { addRmsNorm } from './add-rms-norm.ts';
import { add } from './add.ts';
import { attention } from './attention.ts';
import { embed } from './embed.ts';
import { gatedActivation } from './gated-activation.ts';
import { linear } from './linear.ts';
import type { Cost, CostContext, OperationDefinition, ReferenceContext, ShapeContext, Tensor } from './operation.ts';
import { rmsNorm } from './rms-norm.ts';
import { rotaryCache } from './rotary-cache.ts';
import { selectRows } from './select-rows.ts';

export const OPERATIONS: {
  readonly [Name in Exclude<OperationName, EncoderOperationName>]: OperationDefinition<Name>;
} = {
  embed,
  rmsNorm,
  addRmsNorm,
  linear,
  add,
  gatedActivation,
  rotaryCache,
  attention,
  selectRows,
};

/** Those of encoders join when the first encoder is built (encoder-operations.ts): a chat does not pay for them. */
const registered = new Map<string, unknown>(Object.entries(OPERATIONS));

export function registerOperations(definitions: Readonly<Partial<Record<OperationName, unknown>>>): void {
  for (const [name, definition] of Object.entries(definitions)) registered.set(name, definition);
}

/** An operation's kind and attributes, before it has values. */
export type OperationSpec = Pick<Operation, 'op' | 'attributes'>;

/** The definition of an operation; the type cannot follow that its attributes fit, which `Operation` guarantees. */
export function definitionOf(operation: OperationSpec): OperationDefinition<OperationName> {
  const definition = registered.get(operation.op);
  if (definition) return definition as OperationDefinition<OperationName>;
  throw new WpError(
    'internal',
    `The operation ${operation.op} is not registered.`,
    'Call registerEncoderOperations().',
  );
}

export function weightsOf(operation: OperationSpec): readonly string[] {
  return definitionOf(operation).weights(operation.attributes);
}

export function statesOf(operation: OperationSpec): readonly string[] {
  return definitionOf(operation).states(operation.attributes);
}

export function shapesOf(operation: OperationSpec, inputs: readonly Shape[], context: ShapeContext): readonly Shape[] {
  return definitionOf(operation).shape(inputs, operation.attributes, context);
}

export function costOf(operation: OperationSpec, inputs: readonly (readonly number[])[], context: CostContext): Cost {
  return definitionOf(operation).cost(inputs, operation.attributes, context);
}

export function runReference(operation: OperationSpec, inputs: readonly Tensor[], context: ReferenceContext): Tensor[] {
  return definitionOf(operation).reference(inputs, operation.attributes, context);
}

/** True when an operation is in the form that a family writes, which `lower` must rewrite for backends. */
export function isAuthoredForm(operation: Operation): boolean {
  const { authoredInputs, inputs } = definitionOf(operation);
  return authoredInputs !== undefined && operation.inputs.length !== inputs.length;
}

export type EncoderOperation = Extract<Operation, { op: EncoderOperationName }>;

/** True of operations whose kernels backends keep apart, since a chat has none of them. */
export function isEncoderOperation(operation: Operation): operation is EncoderOperation {
  return !Object.hasOwn(OPERATIONS, operation.op);
}
