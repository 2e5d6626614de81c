// What the JavaScript side calls. Kernels take (parameters, from, to): see parameters.ts.
// This folder is AssemblyScript, which its own compiler checks; tsc, which knows no decorators on functions, leaves it out.

export { attention } from './attention';
export { add, gatedGelu, gatedSilu, selectRows } from './elementwise';
export { embedF16, embedF32 } from './embed';
export { embedInteger } from './embed-integer';
export { fold3, fold5, fold6 } from './fold';
export { foldActivations, linearF16, linearF32 } from './linear-float';
export * from './linear-kernels';
export { addRmsNorm, rmsNorm } from './norm';
export { quantizeActivations, splitActivations } from './quantize-activations';
export { interleaveHalves, interleaveWords, largestHalf, scaleHalves } from './repack';
export { rotaryCache } from './rotary-cache';
