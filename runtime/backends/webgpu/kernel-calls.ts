// What lowering makes of a graph: plain data that names kernels and buffers, so that it can be read, tested and priced
// without a GPU. program.ts turns names into buffers and bind groups.

import type { OperationName, ValueId } from '../../graph/types.ts';
import type { KernelInstance, StepSizes } from './kernels/kernel.ts';

export type BufferReference =
  | { kind: 'step' }
  | { kind: 'value'; id: ValueId }
  /** A part of a matrix's piece: its planes first, then its scales. */
  | { kind: 'matrix'; weight: string; piece: number; part: number }
  | { kind: 'vector'; weight: string }
  | { kind: 'state'; name: string }
  /** A uniform that never changes. */
  | { kind: 'constants'; words: readonly number[] }
  /** Parts of a split attention, shared by all layers. */
  | { kind: 'partials' };

/** One dispatch: buffers in the order of the kernel's bindings. */
export interface KernelCall {
  kernel: KernelInstance;
  buffers: readonly BufferReference[];
}

/** The calls that serve an operation for some steps. */
export interface Alternative {
  /** The first alternative that is true of a step serves it. */
  serves(sizes: StepSizes): boolean;
  calls: readonly KernelCall[];
}

export interface LoweredOperation {
  operation: OperationName;
  layer: number | undefined;
  alternatives: readonly Alternative[];
}

export const always = (): boolean => true;
