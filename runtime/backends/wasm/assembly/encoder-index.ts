// The kernels that only encoders need: a module beside that of index.ts, over the same memory.

export { attend } from './encoder-attend';
export {
  groupedConv,
  groupNorm,
  transposedConv,
  unfold,
  upsampleBilinear,
  upsampleNearest,
} from './encoder-images';
export { linearQ8Offset, offsetActivations } from './encoder-linear';
export {
  activation,
  concatColumns,
  gatedExactGelu,
  insertRows,
  layerNorm,
  meanRows,
  normalizeRows,
  rotate,
  scaleColumns,
  tableRows,
} from './encoder-rows';
