// Bits under a budget: each unit (a weight, or several that must share a format) gets one of its candidate formats, so that
// the sum of what they cost in quality is least and the bytes fit. The units' costs are taken as additive, which small losses
// nearly are. A multiple-choice knapsack, solved unit after unit by dynamic programming over the bytes (Kellerer, Pferschy,
// Pisinger, Knapsack Problems, 2004, section 11.5): taking what gains most a byte until nothing fits leaves the largest matrix
// out, often the embedding, whose step is more than what is left when its turn comes.

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

/**
 * Parts of the bytes between the smallest formats and the budget: of assignments that come to the same part, one is kept. Each
 * knows its bytes, so none exceeds the budget; it is the best there is where the bytes' greatest common divisor is a part or more.
 */
const PARTS = 4096;

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
  const choices = units.map(({ candidates }) => worthTheirBytes(candidates));
  const least = choices.reduce((sum, all) => sum + all[0]!.bytes, 0);
  if (least > budgetBytes) {
    throw new WpError(
      'invalid-argument',
      `The smallest formats take ${least} bytes; the budget is ${Math.floor(budgetBytes)}.`,
      'Allow more bytes, or formats of fewer bits.',
      { actual: budgetBytes, allowed: `at least ${least}` },
    );
  }
  const most = choices.reduce((sum, all) => sum + all.at(-1)!.bytes, 0);
  const room = Math.min(budgetBytes, most) - least;
  const partsPerByte = room === 0 ? 0 : (PARTS - 1) / room;

  // By part: the least cost of the units until now, and the bytes above the smallest formats that it takes.
  let costs = new Float64Array(PARTS).fill(Infinity);
  let extras = new Float64Array(PARTS);
  costs[0] = 0;
  const steps: { choice: Uint8Array; from: Uint16Array }[] = [];
  for (const all of choices) {
    const nextCosts = new Float64Array(PARTS).fill(Infinity);
    const nextExtras = new Float64Array(PARTS);
    const step = { choice: new Uint8Array(PARTS), from: new Uint16Array(PARTS) };
    for (const [c, candidate] of all.entries()) {
      const more = candidate.bytes - all[0]!.bytes;
      for (let part = 0; part < PARTS; part++) {
        if (costs[part] === Infinity) continue;
        const cost = costs[part]! + candidate.cost;
        const extra = extras[part]! + more;
        if (extra > room) continue;
        const to = Math.floor(extra * partsPerByte);
        if (cost > nextCosts[to]! || (cost === nextCosts[to]! && extra >= nextExtras[to]!)) continue;
        nextCosts[to] = cost;
        nextExtras[to] = extra;
        step.choice[to] = c;
        step.from[to] = part;
      }
    }
    [costs, extras] = [nextCosts, nextExtras];
    steps.push(step);
  }

  let part = costs.reduce((best, cost, i) => (cost < costs[best]! ? i : best), 0);
  const [bytes, cost] = [least + extras[part]!, costs[part]!];
  const formats = new Map<string, Format>();
  for (let u = units.length - 1; u >= 0; u--) {
    const { choice, from } = steps[u]!;
    formats.set(units[u]!.name, choices[u]![choice[part]!]!.format);
    part = from[part]!;
  }
  return { formats, bytes, cost };
}

/** From the smallest up, each of which costs less than those before. */
function worthTheirBytes<Format extends WeightFormat>(candidates: readonly Candidate<Format>[]): Candidate<Format>[] {
  if (candidates.length === 0) throw new WpError('invalid-argument', 'A unit has no candidate formats.');
  const worth: Candidate<Format>[] = [];
  for (const next of [...candidates].sort((a, b) => a.bytes - b.bytes || a.cost - b.cost)) {
    if (worth.length === 0 || next.cost < worth.at(-1)!.cost) worth.push(next);
  }
  return worth;
}
