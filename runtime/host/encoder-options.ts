// What loading an encoder reads from a request and from the small files, whatever it encodes.

import { WpError } from '../errors.ts';
import { isRecord } from '../processing/json.ts';
import type { LoadRequest } from '../protocol/messages.ts';

export function precisionName({ precision }: LoadRequest) {
  if (typeof precision !== 'object') return precision;
  throw new WpError(
    'invalid-argument',
    'Bits for each role are not supported for encoders yet.',
    'Pass "f16", "8bit", "4bit" or "auto".',
    { actual: precision },
  );
}

/** The least of what positions, the tokenizer and (where it says so) sentence-transformers allow. */
export function longestText(positions: number, declared: number | undefined, tokenizerConfig: unknown): number {
  const limit = isRecord(tokenizerConfig) ? tokenizerConfig.model_max_length : undefined;
  return Math.min(positions, declared ?? (typeof limit === 'number' && limit >= 1 ? limit : Infinity));
}

/** The names of a classification head's columns. */
export function readLabels(configJson: unknown, count: number): { labels: string[]; isMultiLabel: boolean } {
  const { id2label, problem_type: problem } = configJson as {
    id2label?: Record<string, unknown>;
    problem_type?: unknown;
  };
  return {
    labels: Array.from({ length: count }, (_, i) => String(id2label?.[i] ?? `LABEL_${i}`)),
    isMultiLabel: problem === 'multi_label_classification',
  };
}
