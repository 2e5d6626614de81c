// Every row of the format table through every kernel that reads weights.

import { FORMAT_CASES, FORMAT_MATRIX_CASES } from './cases/formats.ts';
import { describeKernels } from './kernel-suite.ts';

describeKernels('WebGPU kernels, every format', [...FORMAT_CASES, ...FORMAT_MATRIX_CASES]);
