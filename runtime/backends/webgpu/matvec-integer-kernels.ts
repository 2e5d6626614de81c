// The matrix-vector kernel of devices with dot products of bytes: device.ts loads it where those are offered.

import { LazyModule } from './lazy-module.ts';

export const matvecIntegerKernels = new LazyModule(
  'A matrix-vector kernel for integer dot products',
  () => import('./kernels/matvec-integer.ts'),
);
