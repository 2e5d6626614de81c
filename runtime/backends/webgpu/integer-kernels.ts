// The kernels of devices with dot products of bytes: device.ts loads them where those are offered.

import { LazyModule } from './lazy-module.ts';

export const integerKernels = new LazyModule(
  'A kernel for integer dot products',
  () => import('./kernels/matmul-integer.ts'),
);
