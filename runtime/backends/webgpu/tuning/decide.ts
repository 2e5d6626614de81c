// Whether another kernel takes the standard's place: measured side by side, again and again, in turns. It must be faster by a
// margin, and nearly every time; whatever is less than that stays as it was. Nothing here knows a GPU.

/** Milliseconds of each trial, measured one after another as they stand. */
export type Stopwatch<Trial> = (trials: readonly Trial[]) => Promise<readonly number[]>;

export interface ContestRules {
  /** Rounds of the final, each of which measures every finalist and the standard. */
  rounds: number;
  /** What the winner must save: 0.03 is 3 % of the standard's time. */
  margin: number;
  /** How many of the candidates come to the final. */
  finalists: number;
}

export const RULES: ContestRules = { rounds: 5, margin: 0.03, finalists: 3 };

export interface ContestResult<Trial> {
  /** The winner; undefined: the standard stays. */
  winner: Trial | undefined;
  /** Medians of the final, in milliseconds; of the standard, and of the winner or else the best that failed. */
  standardMs: number;
  bestMs: number;
}

/** Screens all candidates once, then lets the best meet the standard. */
export async function contest<Trial>(
  measure: Stopwatch<Trial>,
  standard: Trial,
  candidates: readonly Trial[],
  { rounds, margin, finalists }: ContestRules = RULES,
): Promise<ContestResult<Trial>> {
  const all = [standard, ...candidates];
  const screened = await measure(all);
  const ranked = candidates
    .map((candidate, i) => ({ candidate, ms: screened[i + 1]! }))
    .filter(({ ms }) => ms < screened[0]!)
    .sort((a, b) => a.ms - b.ms)
    .slice(0, finalists)
    .map(({ candidate }) => candidate);
  if (ranked.length === 0) {
    return { winner: undefined, standardMs: screened[0]!, bestMs: Math.min(...screened.slice(1)) };
  }

  const inFinal = [standard, ...ranked];
  const times: number[][] = inFinal.map(() => []);
  for (let round = 0; round < rounds; round++) {
    // Each round begins with another one, so that none always runs behind the same.
    const order = inFinal.map((_, i) => (i + round) % inFinal.length);
    const measured = await measure(order.map((i) => inFinal[i]!));
    order.forEach((which, i) => times[which]!.push(measured[i]!));
  }
  const [standardTimes, ...others] = times as [number[], ...number[][]];
  const standardMs = median(standardTimes);
  const results = others
    .map((own, i) => ({
      trial: ranked[i]!,
      ms: median(own),
      wins: own.filter((ms, r) => ms < standardTimes[r]!).length,
    }))
    .sort((a, b) => a.ms - b.ms);
  const best = results[0]!;
  // One round may be spoilt by something else that the machine did.
  const won = results.find(({ ms, wins }) => ms <= standardMs * (1 - margin) && wins >= rounds - 1);
  return { winner: won?.trial, standardMs, bestMs: (won ?? best).ms };
}

/** Whether a step as a whole has become slower by what was chosen for its parts: measured in turns, as above. */
export async function isSlower<Trial>(measure: Stopwatch<Trial>, standard: Trial, chosen: Trial): Promise<boolean> {
  const times: [number[], number[]] = [[], []];
  for (let round = 0; round < RULES.rounds; round++) {
    const order = round % 2 ? [1, 0] : [0, 1];
    const measured = await measure(order.map((i) => (i ? chosen : standard)));
    order.forEach((which, i) => times[which]!.push(measured[i]!));
  }
  return median(times[1]) > median(times[0]);
}

export function median(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
