// The kernels of devices with matrix units: a chunk of their own, which device.ts fetches where they are offered, before
// anything is lowered.

import { WpError } from '../../errors.ts';

type MatrixKernels = typeof import('./kernels/matmul-matrix.ts');

let loaded: MatrixKernels | undefined;

export async function loadMatrixKernels(): Promise<MatrixKernels> {
  loaded ??= await import('./kernels/matmul-matrix.ts');
  return loaded;
}

/** Throws before `loadMatrixKernels` has resolved. */
export function matrixKernels(): MatrixKernels {
  if (loaded) return loaded;
  throw new WpError(
    'internal',
    'A kernel for subgroup matrices was chosen before it was loaded.',
    'Please report this.',
  );
}
