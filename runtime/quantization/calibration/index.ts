// Quantisation with a text at hand: run it (calibrate), learn where bits matter (measureSensitivity, assignBits), quantise
// (quantizeWeights). A chunk of its own: whoever only loads models never fetches it.
//
//   const calibration = await calibrate(model, windows, { gather: 'moments' });
//   const units = await measureSensitivity(model, windows.slice(0, 8), calibration, { candidates });
//   const { formats } = assignBits(units, budgetBytes);
//   for await (const named of quantizeWeights(model, { method: 'gptq', formats, calibration })) …

export { assignBits, type Assignment, type Candidate, type Unit } from '../assign-bits.ts';
export { calibrate, type Calibration, type CalibrateOptions, type CalibrationModel } from './calibrate.ts';
export { quantizeWeights, spreadFormats, type QuantizeWeightsOptions } from './quantize-weights.ts';
export type { QuantizationMethod } from './quantize-weight.ts';
export {
  orderByLayers,
  outsideLayers,
  quantizeLayers,
  type LayerState,
  type QuantizeLayersOptions,
} from './quantize-layers.ts';
export { layerMemory, type LayerMemory } from './memory.ts';
export { divergence, measureSensitivity, type SensitivityOptions } from './sensitivity.ts';
export { spreadOver, textWindows } from './windows.ts';
