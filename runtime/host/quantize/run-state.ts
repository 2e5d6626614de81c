// What an interrupted quantisation leaves beside its file, so that the next run goes on without calibrating again: what it was
// asked for, the formats that were chosen, and the statistics or hidden states that the next tensors need. One array of bytes: the
// length of a JSON text (u32), the text, and its arrays one after another.

import { WpError } from '../../errors.ts';
import type { QuantizeRequest } from '../../protocol/messages.ts';
import type { Calibration, LayerState } from '../../quantization/calibration/index.ts';

export interface RunState {
  asked: Asked;
  /** By tensor: a row of the format table. */
  formats: Readonly<Record<string, string>>;
  reasons: readonly string[];
  sensitivity?: string | undefined;
  calibration?: Calibration | undefined;
  layer?: LayerState | undefined;
}

/** What must be the same for a run to go on. */
export interface Asked {
  version: 1;
  source: string;
  options: string;
  method: string;
  budgetBytes: number | 'device' | undefined;
  text: string | undefined;
}

export function askedFor(request: QuantizeRequest): Asked {
  const { source, options, output, method, budgetBytes, calibration } = request;
  const files = typeof source === 'string' ? source : source.map(({ name, size }) => `${name} ${size}`).join('\n');
  return {
    version: 1,
    source: files,
    options: JSON.stringify({ ...options, output }),
    method,
    budgetBytes,
    text: calibration === undefined ? undefined : textDigest(calibration),
  };
}

/** Why a run cannot go on where another stopped; undefined when it can. */
export function whyAnew(before: Asked, now: Asked): string | undefined {
  const say = (value: unknown): string => (value === undefined ? 'none' : String(value));
  if (before.version !== now.version) return 'it was begun by another version of wp-models';
  if (before.source !== now.source) return 'it was begun from another model';
  if (before.method !== now.method) return `its method was ${before.method} and is ${now.method} now`;
  if (before.text !== now.text) return 'its calibration text was another';
  if (before.budgetBytes !== now.budgetBytes)
    return `its budget was ${say(before.budgetBytes)} and is ${say(now.budgetBytes)} now`;
  if (before.options !== now.options) return `its options were ${before.options} and are ${now.options} now`;
  return undefined;
}

/** Length and a 64-bit FNV-1a hash: tells texts apart, and is no defence against whoever wants two alike. */
export function textDigest(text: string): string {
  let [low, high] = [0x811c9dc5, 0x9e3779b9];
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    low = Math.imul(low ^ unit, 0x01000193);
    high = Math.imul(high ^ (unit + i), 0x01000193);
  }
  const hex = (half: number): string => (half >>> 0).toString(16).padStart(8, '0');
  return `${text.length}:${hex(high)}${hex(low)}`;
}

interface Described extends Omit<RunState, 'calibration' | 'layer'> {
  calibration?: { tensor: string; columns: number; count: number; hasMoments: boolean }[];
  layer?: { layer: number; lengths: number[] };
}

export function writeState({
  asked,
  formats,
  reasons,
  sensitivity,
  calibration,
  layer,
}: RunState): Uint8Array<ArrayBuffer> {
  const arrays: (Float64Array | Float32Array)[] = [];
  const described: Described = { asked, formats, reasons, sensitivity };
  if (calibration) {
    described.calibration = [...calibration].map(([tensor, { columns, count, squares, moments }]) => {
      arrays.push(squares, ...(moments ? [moments] : []));
      return { tensor, columns, count, hasMoments: moments !== undefined };
    });
  }
  if (layer) {
    arrays.push(...layer.hidden);
    described.layer = { layer: layer.layer, lengths: layer.hidden.map(({ length }) => length) };
  }
  const json = new TextEncoder().encode(JSON.stringify(described));
  const bytes = new Uint8Array(arrays.reduce((sum, { byteLength }) => sum + byteLength, 4 + json.length));
  new DataView(bytes.buffer).setUint32(0, json.length, true);
  bytes.set(json, 4);
  let at = 4 + json.length;
  for (const { buffer, byteOffset, byteLength } of arrays) {
    bytes.set(new Uint8Array(buffer, byteOffset, byteLength), at);
    at += byteLength;
  }
  return bytes;
}

/** Throws `corrupt-file` for bytes that `writeState` did not make. */
export function readState(bytes: Uint8Array): RunState {
  try {
    const length = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(0, true);
    const { calibration, layer, ...rest } = JSON.parse(
      new TextDecoder().decode(bytes.subarray(4, 4 + length)),
    ) as Described;
    let at = 4 + length;
    const take = (byteLength: number): ArrayBuffer => {
      if (!(byteLength >= 0 && at + byteLength <= bytes.length)) throw new RangeError('It ends too early.');
      const copy = bytes.slice(at, at + byteLength);
      at += byteLength;
      return copy.buffer;
    };
    const statistics = calibration?.map(({ tensor, columns, count, hasMoments }) => {
      const squares = new Float64Array(take(8 * columns));
      const moments = hasMoments ? new Float64Array(take(8 * columns * columns)) : undefined;
      return [tensor, { columns, count, squares, moments }] as const;
    });
    const hidden = layer?.lengths.map((one) => new Float32Array(take(4 * one)));
    if (at !== bytes.length) throw new RangeError('It is longer than it says.');
    return {
      ...rest,
      calibration: statistics && new Map(statistics),
      layer: layer && { layer: layer.layer, hidden: hidden! },
    };
  } catch (cause) {
    throw new WpError(
      'corrupt-file',
      'The state of the interrupted run cannot be read.',
      'Begin anew.',
      { bytes: bytes.length },
      { cause },
    );
  }
}
