// The registry of families. A new family is a file beside this one and a line here.

import { WpError } from '../errors.ts';
import { decoder } from './decoder.ts';
import type { DecoderConfig } from './decoder-config.ts';
import type { ModelFamily } from './family.ts';

export const FAMILIES: readonly ModelFamily<DecoderConfig>[] = [decoder];

export function isDecoder(modelType: string): boolean {
  return FAMILIES.some((candidate) => candidate.modelTypes.includes(modelType));
}

/** The family of a `model_type`. Throws `unsupported-architecture`, naming the type and what is supported. */
export function findFamily(modelType: string): ModelFamily<DecoderConfig> {
  const family = FAMILIES.find((candidate) => candidate.modelTypes.includes(modelType));
  if (family) return family;
  const allowed = FAMILIES.flatMap((candidate) => candidate.modelTypes);
  throw new WpError(
    'unsupported-architecture',
    `The model type ${JSON.stringify(modelType)} is not supported; supported: ${allowed.join(', ')}.`,
    'Choose a model of one of these types.',
    { actual: modelType, allowed },
  );
}

/** `model_type` of a parsed config.json. Throws `unsupported-config` when there is none. */
export function modelTypeOf(configJson: unknown): string {
  const fields = configJson as { model_type?: unknown } | null | undefined;
  const modelType = typeof fields === 'object' ? fields?.model_type : undefined;
  if (typeof modelType === 'string') return modelType;
  throw new WpError('unsupported-config', 'config.json has no model_type.', 'Check that it is the config of a model.', {
    field: 'model_type',
    actual: modelType,
  });
}

export type { DecoderConfig } from './decoder-config.ts';
export type { ModelFamily } from './family.ts';
export { rotaryRows } from './rotary.ts';
