// A folder as loadModel reads it: config.json, the tokenizer's files and model.safetensors, whose metadata names the format of
// each quantised matrix. See quantization/quantized-checkpoint.ts for the convention.

import { formatBytes, isQuantized, scaleSpan, type PackedMatrix } from '../../quantization/formats.ts';
import { noticeKey, sensitivityKey } from '../../weights/checkpoint.ts';
import type { ModelDescription } from '../model-description.ts';
import type { Output, OutputTensor, PlannedTensor } from './output.ts';

interface Piece {
  name: string;
  dtype: 'U8' | 'F16' | 'F32';
  shape: number[];
  bytes: number;
}

export function safetensorsOutput(
  tensors: readonly PlannedTensor[],
  description: ModelDescription,
  notice: string,
  sensitivity?: string,
): Output {
  const quantization: Record<string, string> = {};
  const header: Record<string, unknown> = {};
  header['__metadata__'] = {
    format: 'pt',
    'wp-models.version': '1',
    'wp-models.quantization': '',
    ...(notice && { [noticeKey]: notice }),
    ...(sensitivity && { [sensitivityKey]: sensitivity }),
  };
  let end = 0;
  const placed: OutputTensor[] = [];
  for (const tensor of tensors) {
    if (isMatrix(tensor) && isQuantized(tensor.format)) quantization[tensor.name] = tensor.format.name;
    const start = end;
    for (const { name, dtype, shape, bytes } of piecesOf(tensor)) {
      header[name] = { dtype, shape, data_offsets: [end, end + bytes] };
      end += bytes;
    }
    placed.push({ name: tensor.name, start, bytes: end - start, encode });
  }
  (header['__metadata__'] as Record<string, string>)['wp-models.quantization'] = JSON.stringify(quantization);
  const json = new TextEncoder().encode(JSON.stringify(header));
  const padding = -json.length & 7;
  const bytes = new Uint8Array(8 + json.length + padding).fill(0x20);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(json.length + padding), true);
  bytes.set(json, 8);
  return {
    smallFiles: smallFiles(description),
    name: 'model.safetensors',
    header: bytes,
    tensors: placed.map((tensor) => ({ ...tensor, start: tensor.start + bytes.length })),
    totalBytes: bytes.length + end,
  };
}

function isMatrix({ shape }: PlannedTensor): boolean {
  return shape.length > 1;
}

function piecesOf({ name, shape, format }: PlannedTensor): Piece[] {
  if (shape.length === 1) return [{ name, dtype: 'F16', shape: [...shape], bytes: 2 * shape[0]! }];
  const [rows, columns] = shape as [number, number];
  const sizes = formatBytes(format, rows, columns);
  if (!isQuantized(format)) {
    return [{ name, dtype: format.name === 'f32' ? 'F32' : 'F16', shape: [rows, columns], bytes: sizes.total }];
  }
  const spans = columns / scaleSpan(format);
  const pieces: Piece[] = sizes.planes.map((bytes, p) => ({
    name: `${name}.plane${p}`,
    dtype: 'U8',
    shape: [rows, bytes / rows],
    bytes,
  }));
  pieces.push({ name: `${name}.scales`, dtype: 'F16', shape: [rows, spans], bytes: sizes.scales });
  if (sizes.minimums > 0) {
    pieces.push({ name: `${name}.minimums`, dtype: 'F16', shape: [rows, spans], bytes: sizes.minimums });
  }
  if (sizes.scaleCodes > 0) {
    const codes = sizes.scaleCodes;
    pieces.push({ name: `${name}.scale_codes`, dtype: 'U8', shape: [rows, codes / rows], bytes: codes });
  }
  return pieces;
}

/** The arrays of a matrix one after another, in the order of `piecesOf`. */
function encode({ planes, scales, minimums, scaleCodes }: PackedMatrix): Uint8Array {
  const halves = (values: Uint16Array) => new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  const parts = [...planes, halves(scales), halves(minimums), ...(scaleCodes ? [scaleCodes] : [])];
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

function smallFiles(description: ModelDescription): { name: string; bytes: Uint8Array }[] {
  const json = (value: unknown) => new TextEncoder().encode(`${JSON.stringify(value, null, 2)}\n`);
  const files: [string, Uint8Array | undefined][] = [
    ['config.json', json(description.config)],
    [
      'generation_config.json',
      description.generationConfig === undefined ? undefined : json(description.generationConfig),
    ],
    ['tokenizer.json', json(description.tokenizer)],
    [
      'tokenizer_config.json',
      description.tokenizerConfig === undefined ? undefined : json(description.tokenizerConfig),
    ],
    [
      'chat_template.jinja',
      description.templateText === undefined ? undefined : new TextEncoder().encode(description.templateText),
    ],
    ['chat_template.json', description.templateJson === undefined ? undefined : json(description.templateJson)],
  ];
  return files.flatMap(([name, bytes]) => (bytes ? [{ name, bytes }] : []));
}
