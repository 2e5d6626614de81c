// The kernels of programs for encoders: those of decoders (a program has one module) and their own.

export * from './index';
export { attend } from './encoder-attend';
export {
  groupedConv,
  groupNorm,
  transposedConv,
  unfold,
  upsampleBilinear,
  upsampleNearest,
} from './encoder-images';
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
