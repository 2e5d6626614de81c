// The kernels of devices with matrix units: device.ts loads them where those are offered.

import { LazyModule } from './lazy-module.ts';

export const matrixKernels = new LazyModule(
  'A kernel for subgroup matrices',
  () => import('./kernels/matrix-units.ts'),
);
