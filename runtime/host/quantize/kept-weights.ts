// Which weights are passed on as the checkpoint stores them.

import type { Weight } from '../../graph/types.ts';
import { FORMATS, isQuantized, type WeightFormat } from '../../quantization/formats.ts';
import type { WeightSource } from '../../weights/weight-source.ts';

/** A vector, or a matrix that keeps what the checkpoint stores: passed on without being quantised again. */
export function isKept(weight: Weight, formats: ReadonlyMap<string, WeightFormat>, weights: WeightSource): boolean {
  if (weight.shape.length < 2) return true;
  const format = formats.get(weight.name)!;
  return !isQuantized(format) || weights.storedFormat(weight) === format.name;
}

export function keptFormat(weight: Weight, formats: ReadonlyMap<string, WeightFormat>): WeightFormat {
  return weight.shape.length < 2 ? FORMATS.f16 : formats.get(weight.name)!;
}

/** Neighbours of one kind together: each run is one stream of the checkpoint. */
export function* runsOf(
  weights: readonly Weight[],
  keeps: (weight: Weight) => boolean,
): Generator<{ isKept: boolean; weights: Weight[] }> {
  let run: Weight[] = [];
  for (const weight of weights) {
    if (run.length > 0 && keeps(run[0]!) !== keeps(weight)) {
      yield { isKept: keeps(run[0]!), weights: run };
      run = [];
    }
    run.push(weight);
  }
  if (run.length > 0) yield { isKept: keeps(run[0]!), weights: run };
}
