// One row of activations times a quantised matrix, in integers: activations are rounded to signed bytes, one scale a block,
// and meet the weights' codes four at a time in integer dot products. A weight then costs less than one instruction where
// unpacking it to a float costs three or four, which is what holds a fast GPU back.

import { type Kernel, spread } from './kernel.ts';
import { matvecUnits } from './matvec-epilogue.wgsl.ts';
import { type MatvecIntegerVariant, matvecIntegerWgsl } from './matvec-integer.wgsl.ts';
import { matvecBindings } from './matvec.ts';
import { weightBindings } from './weight-format.wgsl.ts';

export const matvecIntegerKernel: Kernel<MatvecIntegerVariant> = {
  name: 'matvecInteger',
  bindings: (variant) => matvecBindings(variant, weightBindings(variant.format, variant.columns)),
  wgsl: matvecIntegerWgsl,
  workgroups: (variant) => {
    const { workgroupSize, lanes, unitsPerThread } = variant;
    return spread(Math.ceil(matvecUnits(variant) / ((workgroupSize / lanes) * unitsPerThread)));
  },
};
