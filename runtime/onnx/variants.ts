// Which of a repository's ONNX files fits a wish for precision: the names that exporters and transformers.js give to variants.
// https://huggingface.co/docs/transformers.js/guides/dtypes

import { WpError } from '../errors.ts';
import type { Capabilities, PlanReport, Precision, PrecisionName } from '../types.ts';

export type VariantPrecision = PlanReport['precision'];

export interface Variant {
  /** Between 'model' and '.onnx': '_q4'. */
  suffix: string;
  precision: VariantPrecision;
  /** Of most weights. */
  bitsPerWeight: number;
}

const F32: Variant = { suffix: '', precision: 'f32', bitsPerWeight: 32 };
const F16: Variant = { suffix: '_fp16', precision: 'f16', bitsPerWeight: 16 };
const BYTES: readonly Variant[] = ['_quantized', '_int8', '_uint8', '_q8'].map((suffix) => ({
  suffix,
  precision: '8bit',
  bitsPerWeight: 8,
}));
const Q4: Variant = { suffix: '_q4', precision: '4bit', bitsPerWeight: 4.5 };
const Q4F16: Variant = { suffix: '_q4f16', precision: '4bit', bitsPerWeight: 4.5 };
const BNB4: Variant = { suffix: '_bnb4', precision: '4bit', bitsPerWeight: 4.5 };
const Q2: Variant = { suffix: '_q2', precision: '2bit', bitsPerWeight: 2.5 };
const Q2F16: Variant = { suffix: '_q2f16', precision: '2bit', bitsPerWeight: 2.5 };

export interface VariantChoice {
  /** To look for, in this order. */
  wanted: readonly Variant[];
  /** Where none of these is published, the unquantised file's matrices become so many bits. */
  rewriteBits: 2 | 4 | 8 | undefined;
  /** Why these, to stand after the name of the file. */
  reason: string;
}

/** Throws `unsupported-format` for bits that no variant has, `invalid-argument` for bits by role. */
export function chooseVariants(
  wish: Precision,
  provider: 'webgpu' | 'webnn' | 'wasm',
  capabilities: Capabilities,
): VariantChoice {
  const { webgpu } = capabilities;
  const hasF16 = provider === 'webgpu' && webgpu.available && webgpu.features.includes('shader-f16');
  switch (precisionName(wish)) {
    case 'auto':
      if (provider === 'wasm') {
        return {
          wanted: [BYTES[0]!, F32, ...BYTES.slice(1), F16, Q4],
          rewriteBits: undefined,
          reason: 'a CPU computes fastest with 8 bits',
        };
      }
      return hasF16
        ? { wanted: [F16, F32, Q4F16, Q4, ...BYTES], rewriteBits: undefined, reason: 'this GPU computes with f16' }
        : { wanted: [F32, Q4, ...BYTES, F16], rewriteBits: undefined, reason: `${provider} computes with f32 here` };
    case 'f16':
      return { wanted: [F16, F32], rewriteBits: undefined, reason: 'f16 was asked for' };
    case '8bit':
      return { wanted: BYTES, rewriteBits: 8, reason: '8 bits were asked for' };
    case '4bit':
      return {
        wanted: hasF16 ? [Q4F16, Q4, BNB4] : [Q4, BNB4],
        rewriteBits: 4,
        reason: hasF16 ? '4 bits were asked for, and this GPU computes with f16' : '4 bits were asked for',
      };
    case '2bit':
      return { wanted: hasF16 ? [Q2F16, Q2] : [Q2], rewriteBits: 2, reason: '2 bits were asked for' };
    case '3bit':
      throw new WpError(
        'unsupported-format',
        'ONNX Runtime has no matrices of 3 bits.',
        'Ask for "2bit", "4bit", "8bit", "f16" or "auto".',
        { actual: '3bit', allowed: ['2bit', '4bit', '8bit', 'f16', 'auto'] },
      );
  }
}

/** Of a file that the source named itself: what its name says. */
export function variantOf(file: string): Variant {
  const name = file.slice(file.lastIndexOf('/') + 1);
  const variants = [F16, ...BYTES, Q4F16, Q4, BNB4, Q2F16, Q2];
  return variants.find(({ suffix }) => name.endsWith(`${suffix}.onnx`)) ?? F32;
}

function precisionName(precision: Precision): PrecisionName {
  if (typeof precision === 'string') return precision;
  throw new WpError(
    'invalid-argument',
    'Bits for each role are not supported for ONNX files.',
    'Pass "2bit", "4bit", "8bit", "f16" or "auto".',
    { actual: precision },
  );
}
