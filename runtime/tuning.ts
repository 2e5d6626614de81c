// What tuning has found on this origin's devices, seen from the page: the records themselves lie in IndexedDB, where the
// worker reads and writes them. Nothing is fetched for it before it is asked for.

import type { TuningRecord } from './types.ts';

/** All that is kept of tuning on this origin; empty where there is no IndexedDB, as in Node. */
export async function tuningResults(): Promise<TuningRecord[]> {
  const { listTuning } = await import('./planning/tuning-store.ts');
  return listTuning();
}

/** Forgets what tuning found. Models that are loaded keep their kernels; the next load measures anew. */
export async function resetTuning(): Promise<void> {
  const { clearTuning } = await import('./planning/tuning-store.ts');
  await clearTuning();
}
