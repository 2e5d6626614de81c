// What the JavaScript side calls. Kernels take (parameters, from, to): see parameters.ts.

export { attention } from './attention';
export { add, gatedGelu, gatedSilu, selectRows } from './elementwise';
export { embedF16, embedF32, embedQ4, embedQ8 } from './embed';
export { foldActivations, linearF16, linearF32 } from './linear-float';
export { linearQ4, linearQ8 } from './linear-integer';
export { addRmsNorm, rmsNorm } from './norm';
export { quantizeActivations4, quantizeActivations8 } from './quantize-activations';
export { interleaveHalves, interleaveWords, largestHalf, scaleHalves } from './repack';
export { rotaryCache } from './rotary-cache';
