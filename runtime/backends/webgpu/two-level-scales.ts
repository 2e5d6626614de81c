// How kernels read two-level scales: loaded for models whose weights have them, which are those of some GGUF files.

import { LazyModule } from './lazy-module.ts';

export const twoLevelScales = new LazyModule(
  'A format with two-level scales',
  () => import('./kernels/weight-scale-codes.wgsl.ts'),
);
