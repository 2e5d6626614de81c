// The format of every matrix of a quantisation: by bits a role and a layer, or measured for a budget of bytes.

import { WpError } from '../../errors.ts';
import { lower } from '../../graph/passes/index.ts';
import type { Graph } from '../../graph/types.ts';
import { chooseFormats, type PrecisionPolicy, type StoredFormat } from '../../planning/precision-policy.ts';
import { quantizationPolicy } from '../../planning/quantization-options.ts';
import { withKinds } from '../../planning/weight-kinds.ts';
import type { QuantizeRequest } from '../../protocol/messages.ts';
import {
  assignBits,
  measureSensitivity,
  spreadOver,
  type Calibration,
  type CalibrationModel,
} from '../../quantization/calibration/index.ts';
import type { Unit } from '../../quantization/assign-bits.ts';
import { FORMATS, isQuantized, type FormatName, type WeightFormat } from '../../quantization/formats.ts';
import type { QuantizeProgress } from '../../types.ts';
import type { WeightSource } from '../../weights/weight-source.ts';
import { isWritable } from './gguf-output.ts';

/** Windows over which a matrix's sensitivity is measured: from the whole text, which is rarely of one kind. */
const PROBED_WINDOWS = 4;
/** What adaptive precision chooses from; the rows of 32 where the width is no multiple of 256. */
const ADAPTIVE = [FORMATS.q2k, FORMATS.q3k, FORMATS.q4k, FORMATS.q5k, FORMATS.q6k, FORMATS.q8g32];
const ADAPTIVE_NARROW = [FORMATS.q2g32, FORMATS.q3g32, FORMATS.q4g32, FORMATS.q5g32];

export interface FormatQuestion {
  request: QuantizeRequest;
  /** As a family writes it. */
  authored: Graph;
  weights: WeightSource;
  model: CalibrationModel;
  windows: readonly number[][];
  calibration: Calibration | undefined;
  signal: AbortSignal;
  onProgress: (progress: QuantizeProgress) => void;
}

export interface ChosenFormats {
  byTensor: Map<string, WeightFormat>;
  reasons: string[];
  /** For the file, when the budget is the device's: planning/measured-precision.ts. */
  sensitivity?: string | undefined;
}

/** Throws `invalid-argument` for options that are not allowed, `unsupported-format` for what the output cannot hold. */
export async function chooseAllFormats(question: FormatQuestion): Promise<ChosenFormats> {
  const { request, authored, weights, model, windows, calibration, signal, onProgress } = question;
  const policy = quantizationPolicy(request.options, authored);
  const wished: PrecisionPolicy = request.output === 'gguf' ? expressible(policy) : policy;
  // As a load would stack them: gate and up share a format; queries, keys and values may differ.
  const lowered = lower(withKinds(authored, (weight) => weights.storedFormat(weight), policy.bitsOf));
  const stored = new Map<string, StoredFormat>();
  for (const weight of lowered.weights) {
    const names = weight.parts.map(({ tensor }) => authored.weights.find(({ name }) => name === tensor)!);
    const formats = new Set(names.map((part) => weights.storedFormat(part)));
    if (formats.size === 1) stored.set(weight.name, [...formats][0]!);
  }
  const choice = chooseFormats(lowered, stored, wished)[0]!;
  const chosen = new Map(choice.formats);
  const reasons = choice.reasons.map(({ reason }) => reason);
  if (request.output === 'gguf') {
    for (const [name, format] of chosen) {
      if (isWritable(format)) continue;
      // Stored in a format that GGUF has no type for: the nearest with no fewer bits.
      chosen.set(name, FORMATS[nearestWritable(format)]);
      reasons.push(`${name} becomes ${nearestWritable(format)}: GGUF has no type for ${format.name}.`);
    }
  }
  let sensitivity: string | undefined;
  if (request.budgetBytes !== undefined && calibration) {
    const units = await measureSensitivity(model, spreadOver(windows, PROBED_WINDOWS), calibration, {
      // What is left to the device is packed there, as any row of the table.
      candidates: [...ADAPTIVE, ...ADAPTIVE_NARROW].filter(
        (format) => request.output !== 'gguf' || request.budgetBytes === 'device' || isWritable(format),
      ),
      signal,
      onProgress: (done, total) => onProgress({ phase: 'measuring', done, total, tensor: undefined }),
    });
    if (request.budgetBytes === 'device') {
      sensitivity = describeSensitivity(units, authored);
      reasons.push(
        'What each matrix loses at fewer bits was measured and stands in the file, for "auto" to choose by.',
      );
    } else {
      const assigned = assignBits(units, request.budgetBytes);
      for (const [name, format] of assigned.formats) chosen.set(name, format);
      reasons.push(`Bits were measured and chosen for ${assigned.bytes} bytes of matrices.`);
    }
  }
  const byTensor = new Map<string, WeightFormat>();
  for (const weight of lowered.weights) {
    if (weight.shape.length < 2) continue;
    for (const { tensor } of weight.parts) byTensor.set(tensor, chosen.get(weight.name) ?? chosen.get(tensor)!);
  }
  return { byTensor, reasons, sensitivity };
}

/** A stack's cost is shared among its tensors by their rows, since a device may stack others. */
function describeSensitivity(units: readonly Unit[], authored: Graph): string {
  const costs: Record<string, Record<string, number>> = {};
  for (const { name, candidates } of units) {
    const { parts, shape } = lower(authored).weights.find((weight) => weight.name === name)!;
    for (const { tensor, rows } of parts) {
      const shared = candidates.map(({ format, cost }): [string, number] => [
        format.name,
        Number(((cost * rows) / shape[0]!).toPrecision(4)),
      ]);
      costs[tensor] = Object.fromEntries(shared);
    }
  }
  return JSON.stringify(costs);
}

/** Only what GGUF can hold; where the width allows none of it, more bits. */
function expressible(policy: PrecisionPolicy): PrecisionPolicy {
  return {
    ...policy,
    formatsFor(weight) {
      const wanted = policy.formatsFor(weight);
      const writable = wanted.filter((name) => isWritable(FORMATS[name]));
      if (writable.length > 0 && wanted[0] === writable[0])
        return [...writable, nearestWritable(FORMATS[wanted[0]!]), 'q8g32'];
      throw new WpError(
        'unsupported-format',
        `GGUF has no type for ${wanted[0]}.`,
        'Leave scheme and groupSize out, or write safetensors.',
        { actual: wanted[0], weight: weight.name },
      );
    },
  };
}

/** With rows of 32, and no fewer bits. */
function nearestWritable(format: WeightFormat): FormatName {
  if (!isQuantized(format)) return 'f16';
  const bits = format.planes.reduce<number>((sum, plane) => sum + plane, 0);
  return bits <= 4 ? 'q4g32' : bits === 5 ? 'q5g32' : 'q8g32';
}
