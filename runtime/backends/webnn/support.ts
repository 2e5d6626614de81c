// What a context can compute, by its own account: `opSupportLimits()` says of each operation's operands which data types and
// how many dimensions. Nothing is built that it does not allow.

import { WpError } from '../../errors.ts';
import type { MLDataType, MLOperand, MLOperandLimits, MLOpSupportLimits } from './ml-api.ts';

/** What an operand is or would be. */
export interface OperandKind {
  dataType: MLDataType;
  rank: number;
}

export const kindOf = ({ dataType, shape }: MLOperand): OperandKind => ({ dataType, rank: shape.length });

export class Support {
  constructor(private readonly limits: MLOpSupportLimits) {}

  /** Why the context does not have an operation with such operands; undefined where it has. */
  missing(operation: string, operands: Readonly<Record<string, OperandKind>>): string | undefined {
    const ofOperation = this.limits[operation];
    if (!isRecord(ofOperation)) return `no operation ${operation}`;
    for (const [operand, { dataType, rank }] of Object.entries(operands)) {
      const limits = ofOperation[operand] as MLOperandLimits | undefined;
      if (!limits) continue; // the account may be older than the operand
      const { dataTypes, rankRange } = limits;
      if (!dataTypes.includes(dataType)) return `no ${operation} of ${dataType}`;
      if (rankRange && (rank < rankRange.min || rank > rankRange.max)) {
        return `no ${operation} with an operand of ${rank} dimensions`;
      }
    }
    return undefined;
  }

  has(operation: string, operands: Readonly<Record<string, OperandKind>>): boolean {
    return this.missing(operation, operands) === undefined;
  }

  /** Whether graphs may have constants of this type. */
  hasConstant(dataType: MLDataType, rank: number): boolean {
    const limits = this.limits['constant'] as MLOperandLimits | undefined;
    if (!limits) return dataType === 'float32';
    const { dataTypes, rankRange } = limits;
    return dataTypes.includes(dataType) && (!rankRange || (rank >= rankRange.min && rank <= rankRange.max));
  }

  /** Throws `unsupported-operation` for what the context does not have. */
  require(operation: string, operands: Readonly<Record<string, OperandKind>>): void {
    const missing = this.missing(operation, operands);
    if (missing !== undefined) throw unsupported(missing);
  }
}

/** The sentence starts with what is not there: 'no matmul of float32'. */
export function unsupported(missing: string, cause?: unknown): WpError {
  return new WpError(
    'unsupported-operation',
    `This browser’s WebNN cannot run the model: it has ${missing}.`,
    'Use backend "auto".',
    { backend: 'webnn', missing },
    { cause },
  );
}

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null;
