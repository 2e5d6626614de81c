// The rotary position embedding's fields of a config.json, in both spellings: `rope_theta` with `rope_scaling` (older
// transformers), or one `rope_parameters` (transformers 5). rotary.ts computes with the result.

import { ConfigReader } from './config-reader.ts';

export interface RotaryConfig {
  theta: number;
  scaling: RotaryScaling;
}

export type RotaryScaling =
  | { type: 'none' }
  /** All frequencies divided by `factor`. */
  | { type: 'linear'; factor: number }
  /** Each frequency divided by a number of its own: how GGUF files say llama3's. */
  | { type: 'divisors'; divisors: readonly number[] }
  /** Low frequencies divided by `factor`, high ones kept, a ramp between (Llama 3.1). */
  | {
      type: 'llama3';
      factor: number;
      lowFrequencyFactor: number;
      highFrequencyFactor: number;
      originalContextLength: number;
    };

const SUPPORTED = 'default, linear, llama3';
const HINT = 'This way of stretching the context is not implemented: use the model without it, at its original length.';

export function readRotaryConfig(reader: ConfigReader, maxContextLength: number): RotaryConfig {
  rejectPartial(reader);
  const outerTheta = reader.positive('rope_theta', 10000);
  const parameters = reader.value('rope_parameters');
  const scaling = reader.value('rope_scaling');
  // A file may carry both, for programs old and new: the new one is read, and the old one is known by then.
  const name = parameters !== undefined ? 'rope_parameters' : 'rope_scaling';
  const fields = parameters ?? scaling;
  if (fields === undefined) return { theta: outerTheta, scaling: { type: 'none' } };

  const inner = new ConfigReader(fields, `config.json: ${name}`);
  rejectPartial(inner);
  const theta = inner.positive('rope_theta', outerTheta);
  // 'type' is the older name; where both stand they must agree.
  const older = inner.text('type', 'default');
  const type = inner.text('rope_type', older);
  if (inner.has('type') && type !== older) throw inner.unsupported('type', older, `the rope_type, ${type}`);
  const result = { theta, scaling: readScaling(inner, type, maxContextLength) };
  inner.rejectUnread(new Set(), HINT);
  return result;
}

function readScaling(inner: ConfigReader, type: string, maxContextLength: number): RotaryScaling {
  switch (type) {
    case 'default':
      return { type: 'none' };
    case 'linear':
      return { type: 'linear', factor: inner.positive('factor') };
    case 'divisors':
      return { type: 'divisors', divisors: readDivisors(inner) };
    case 'llama3': {
      const lowFrequencyFactor = inner.positive('low_freq_factor');
      const highFrequencyFactor = inner.positive('high_freq_factor');
      if (highFrequencyFactor <= lowFrequencyFactor) {
        throw inner.unsupported('high_freq_factor', highFrequencyFactor, `more than low_freq_factor (${lowFrequencyFactor})`);
      }
      return {
        type: 'llama3',
        factor: inner.positive('factor'),
        lowFrequencyFactor,
        highFrequencyFactor,
        originalContextLength: inner.positive('original_max_position_embeddings', maxContextLength),
      };
    }
    default:
      throw inner.unsupported('rope_type', type, SUPPORTED, HINT);
  }
}

function readDivisors(inner: ConfigReader): number[] {
  const divisors = inner.value('divisors');
  const isPositive = (value: unknown): value is number => typeof value === 'number' && value > 0 && value < Infinity;
  if (Array.isArray(divisors) && divisors.every(isPositive)) return divisors;
  throw inner.unsupported('divisors', divisors, 'a list of numbers greater than 0');
}

function rejectPartial(reader: ConfigReader): void {
  const share = reader.value('partial_rotary_factor');
  if (share !== undefined && share !== 1) throw reader.unsupported('partial_rotary_factor', share, '1');
}
