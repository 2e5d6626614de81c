// Every kernel in every variant against its operation's reference.

import { ATTENTION_CASES } from './cases/attention.ts';
import { FUSED_CASES } from './cases/fused.ts';
import { LINEAR_CASES } from './cases/linear.ts';
import { ROW_CASES } from './cases/rows.ts';
import { describeKernels } from './kernel-suite.ts';

describeKernels('WebGPU kernels', [...ROW_CASES, ...LINEAR_CASES, ...FUSED_CASES, ...ATTENTION_CASES]);
