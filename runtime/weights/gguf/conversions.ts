// What becomes of a file's types on the device, in words: for the plan's reasons.

import type { Graph } from '../../graph/types.ts';
import { FORMATS, isQuantized, type FormatName, type WeightFormat } from '../../quantization/formats.ts';
import type { Checkpoint } from '../checkpoint.ts';

/** One reason for each pair of stored type and planned format; vectors are too small to tell of. */
export function conversionReasons(
  checkpoint: Checkpoint,
  graph: Graph,
  formats: ReadonlyMap<string, WeightFormat>,
): { topic: string; reason: string }[] {
  const counts = new Map<string, number>();
  const texts = new Map<string, string>();
  for (const weight of graph.weights) {
    const format = formats.get(weight.name);
    if (weight.shape.length < 2 || !format) continue;
    for (const part of weight.parts) {
      const tensor = checkpoint.tensors.get(part.tensor);
      if (!tensor) continue;
      const stored = tensor.encoding?.name ?? tensor.dtype;
      const key = `${stored} ${format.name}`;
      counts.set(key, (counts.get(key) ?? 0) + 1);
      texts.set(key, describe(stored, tensor.encoding?.equals, format));
    }
  }
  return [...counts].map(([key, count]) => ({
    topic: 'weights',
    reason: `${count} ${count === 1 ? 'matrix' : 'matrices'} stored as ${texts.get(key)!}`,
  }));
}

function describe(stored: string, equals: FormatName | undefined, format: WeightFormat): string {
  if (equals === format.name) return `${stored}: kept as ${format.name}, which is the same numbers in the same bits.`;
  if (!isQuantized(format)) {
    if (stored === format.name.toUpperCase()) return `${stored}: kept.`;
    if (format.name === FORMATS.f32.name) return `${stored}: decoded exactly, to f32.`;
    if (stored === 'BF16') return 'BF16: kept as f16, exactly down to 0.00006; what is smaller is rounded.';
    return `${stored}: decoded exactly, then rounded to f16.`;
  }
  if (equals === undefined && !['F32', 'F16', 'BF16'].includes(stored)) {
    return `${stored}: decoded exactly, then quantised again to ${format.name}, as this version has no kernels for ${stored}.`;
  }
  return `${stored}: quantised to ${format.name}.`;
}
