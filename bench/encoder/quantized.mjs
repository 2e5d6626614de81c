// The same encoder as `wp-models quantize` publishes it at 8 bits: matrices in groups of 32 with an f16 scale, vectors in f32.

import { halves, halvesAsFloats } from './half.mjs';
import { encoderTensors, ENCODER_SHAPES, encoderWeights } from './shapes.mjs';

const GROUP = 32;

/** @returns {Uint8Array} model.safetensors */
export function quantizedSafetensors(name) {
  const header = {};
  const quantization = {};
  const parts = [];
  let offset = 0;
  const put = (tensor, dtype, shape, numbers) => {
    const bytes = new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength);
    header[tensor] = { dtype, shape, data_offsets: [offset, (offset += bytes.length)] };
    parts.push(bytes);
  };
  for (const tensor of encoderTensors(ENCODER_SHAPES[name])) {
    const { name: title, dims } = tensor;
    const values = encoderWeights(tensor);
    if (dims.length === 1) {
      put(title, 'F32', dims, values);
      continue;
    }
    const [rows, columns] = dims;
    const { codes, scales } = quantized(values);
    quantization[title] = 'q8g32';
    put(`${title}.plane0`, 'U8', dims, codes);
    put(`${title}.scales`, 'F16', [rows, columns / GROUP], scales);
  }
  header.__metadata__ = {
    'wp-models.version': '1',
    'wp-models.quantization': JSON.stringify(quantization),
  };
  const text = new TextEncoder().encode(JSON.stringify(header));
  const length = Math.ceil(text.length / 8) * 8;
  const file = new Uint8Array(8 + length + offset).fill(0x20, 0, 8 + length);
  new DataView(file.buffer).setBigUint64(0, BigInt(length), true);
  file.set(text, 8);
  let at = 8 + length;
  for (const bytes of parts) {
    file.set(bytes, at);
    at += bytes.length;
  }
  return file;
}

/** Codes are signed bytes. */
function quantized(values) {
  const codes = new Int8Array(values.length);
  const largest = new Float32Array(values.length / GROUP);
  for (let i = 0; i < values.length; i += 1) {
    const group = Math.floor(i / GROUP);
    largest[group] = Math.max(largest[group], Math.abs(values[i]));
  }
  const scales = halves(largest.map((value) => value / 127));
  const stored = halvesAsFloats(scales);
  for (let i = 0; i < values.length; i += 1) {
    codes[i] = Math.max(-127, Math.min(127, Math.round(values[i] / stored[Math.floor(i / GROUP)])));
  }
  return { codes, scales };
}
