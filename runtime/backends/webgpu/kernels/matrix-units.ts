// All that runs on subgroup matrices: one download.

export { attentionPrefillMatrixKernel, attentionProbe } from './attention-prefill-matrix.ts';
export { matmulMatrixKernel, matrixProbe } from './matmul-matrix.ts';
