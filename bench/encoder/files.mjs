// An encoder's folder as its publisher would have it, made in memory: f32 safetensors, configuration, tokenizer; and the ONNX
// files that transformers.js looks for beside them.

import { encoderOnnx } from './onnx.mjs';
import { encoderConfig, ENCODER_SHAPES, encoderTensors, encoderWeights } from './shapes.mjs';
import { tokenizerConfig, tokenizerJson } from './texts.mjs';

/** Where transformers.js looks for each precision. */
export const ONNX_FILES = { fp32: 'onnx/model.onnx', fp16: 'onnx/model_fp16.onnx', q8: 'onnx/model_quantized.onnx' };

const utf8 = new TextEncoder();

/** @returns {Record<string, Uint8Array>} configuration and tokenizer */
export function smallFiles(name) {
  const shape = ENCODER_SHAPES[name];
  const json = (value) => utf8.encode(JSON.stringify(value));
  return {
    'config.json': json(encoderConfig(shape)),
    'tokenizer.json': json(tokenizerJson(shape.vocabulary)),
    'tokenizer_config.json': json(tokenizerConfig(shape)),
  };
}

/** @returns {Uint8Array} */
export function safetensorsFile(name) {
  const tensors = encoderTensors(ENCODER_SHAPES[name]);
  const header = {};
  let offset = 0;
  for (const { name: tensor, dims } of tensors) {
    const bytes = 4 * dims.reduce((product, size) => product * size, 1);
    header[tensor] = { dtype: 'F32', shape: dims, data_offsets: [offset, (offset += bytes)] };
  }
  const text = utf8.encode(JSON.stringify(header));
  const length = Math.ceil(text.length / 8) * 8;
  const file = new Uint8Array(8 + length + offset).fill(0x20, 0, 8 + length);
  new DataView(file.buffer).setBigUint64(0, BigInt(length), true);
  file.set(text, 8);
  let at = 8 + length;
  for (const tensor of tensors) {
    const bytes = new Uint8Array(encoderWeights(tensor).buffer);
    file.set(bytes, at);
    at += bytes.length;
  }
  return file;
}

/**
 * Any file of the folder.
 *
 * @param {string} name of the shape
 * @param {string} file
 * @returns {Uint8Array | undefined} undefined for what the folder does not have
 */
export function encoderFile(name, file) {
  if (file === 'model.safetensors') return safetensorsFile(name);
  const weights = Object.keys(ONNX_FILES).find((key) => ONNX_FILES[key] === file);
  if (weights) return encoderOnnx(name, { weights });
  return smallFiles(name)[file];
}
