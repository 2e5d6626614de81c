// Bits under a budget: each unit (a weight, or several that must share a format) gets one of its candidate formats, so that
// the sum of what they cost in quality is least and the bytes fit. A multiple-choice knapsack, solved along the lower convex
// hulls of (bytes, cost): from the smallest formats up, always the step that gains most a byte; then what still fits. The
// steps' costs are taken as additive, which small losses nearly are.

import { WpError } from '../errors.ts';
import type { QuantFormat, WeightFormat } from './formats.ts';

export interface Candidate<Format extends WeightFormat = QuantFormat> {
  format: Format;
  bytes: number;
  /** What the model loses with this unit in this format, in any unit that adds up: nats a token. */
  cost: number;
}

export interface Unit<Format extends WeightFormat = QuantFormat> {
  name: string;
  candidates: readonly Candidate<Format>[];
}

export interface Assignment<Format extends WeightFormat = QuantFormat> {
  formats: Map<string, Format>;
  bytes: number;
  cost: number;
}

/** Throws `invalid-argument` when even the smallest formats exceed the budget, saying how many bytes they take. */
export function assignBits<Format extends WeightFormat>(
  units: readonly Unit<Format>[],
  budgetBytes: number,
): Assignment<Format> {
  const states = units.map((unit) => ({ unit, hull: lowerHull(unit.candidates), at: 0 }));
  let bytes = states.reduce((sum, { hull }) => sum + hull[0]!.bytes, 0);
  if (bytes > budgetBytes) {
    throw new WpError(
      'invalid-argument',
      `The smallest formats take ${bytes} bytes; the budget is ${Math.floor(budgetBytes)}.`,
      'Allow more bytes, or formats of fewer bits.',
      { actual: budgetBytes, allowed: `at least ${bytes}` },
    );
  }
  for (;;) {
    let best: (typeof states)[number] | undefined;
    let bestGain = 0;
    for (const state of states) {
      const [now, next] = [state.hull[state.at]!, state.hull[state.at + 1]];
      if (!next || bytes + next.bytes - now.bytes > budgetBytes) continue;
      const gain = (now.cost - next.cost) / (next.bytes - now.bytes);
      if (gain > bestGain) {
        bestGain = gain;
        best = state;
      }
    }
    if (!best) break;
    bytes += best.hull[best.at + 1]!.bytes - best.hull[best.at]!.bytes;
    best.at += 1;
  }
  return {
    formats: new Map(states.map(({ unit, hull, at }) => [unit.name, hull[at]!.format])),
    bytes,
    cost: states.reduce((sum, { hull, at }) => sum + hull[at]!.cost, 0),
  };
}

/** The candidates that are worth their bytes: each costs less than those before, and gains a byte less than the step before. */
function lowerHull<Format extends WeightFormat>(candidates: readonly Candidate<Format>[]): Candidate<Format>[] {
  if (candidates.length === 0) throw new WpError('invalid-argument', 'A unit has no candidate formats.');
  const sorted = [...candidates].sort((a, b) => a.bytes - b.bytes || a.cost - b.cost);
  const hull: Candidate<Format>[] = [];
  for (const next of sorted) {
    if (hull.length > 0 && next.cost >= hull.at(-1)!.cost) continue;
    if (hull.length > 0 && next.bytes === hull.at(-1)!.bytes) continue;
    while (hull.length > 1 && slope(hull.at(-2)!, hull.at(-1)!) >= slope(hull.at(-2)!, next)) hull.pop();
    hull.push(next);
  }
  return hull;
}

/** Cost a byte: negative, and nearer to zero from step to step along a hull. */
function slope(a: Candidate<WeightFormat>, b: Candidate<WeightFormat>): number {
  return (b.cost - a.cost) / (b.bytes - a.bytes);
}
