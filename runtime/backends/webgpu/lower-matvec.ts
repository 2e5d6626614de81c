// A matrix-vector product of one piece of a matrix, by the highest rung of the ladder that takes it: in integers, or in floats.

import type { BufferReference, KernelCall } from './kernel-calls.ts';
import type { MatvecVariant } from './kernels/matvec-variant.ts';
import { matvecKernel } from './kernels/matvec.ts';
import { matvecConfiguration, matvecIntegerConfiguration } from './ladder.ts';
import { call, type LoweringContext } from './lowering-context.ts';
import { matvecIntegerKernels } from './matvec-integer-kernels.ts';

/** What a product is, whatever kernel makes it. */
export type MatvecTask = Omit<MatvecVariant, 'kernel' | 'lanes' | 'rowsPerThread' | 'workgroupSize' | 'reduction'>;

/** `rowsPerThread` makes of the configured rows a thread those that must be. Buffers are the same for every rung. */
export function lowerMatvec(
  { profile }: LoweringContext,
  task: MatvecTask,
  buffers: readonly BufferReference[],
  rowsPerThread = (configured: number): number => configured,
): KernelCall {
  const integer = matvecIntegerConfiguration(profile, task);
  if (integer) {
    const threads = { ...integer, rowsPerThread: rowsPerThread(integer.rowsPerThread) };
    const variant = { kernel: 'matvecInteger', ...task, ...threads } as const;
    return call(matvecIntegerKernels.get().matvecIntegerKernel, variant, undefined, buffers);
  }
  const threads = matvecConfiguration(profile, task);
  const variant = {
    kernel: 'matvec',
    ...task,
    ...threads,
    rowsPerThread: rowsPerThread(threads.rowsPerThread),
  } as const;
  return call(matvecKernel, variant, undefined, buffers);
}
