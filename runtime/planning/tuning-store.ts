// What tuning found, kept in this origin's IndexedDB: one record for each adapter, browser and version of the kernels. The
// worker reads and writes it, the page can list and remove it. A record that is damaged counts as none.

import { clear, createStore, entries, get, set, type UseStore } from 'idb-keyval';
import type { TuningRecord } from '../types.ts';

/** Of the kernels and what tuning tries of them. A change to either makes what was measured before worthless: count it up. */
export const TUNING_VERSION = '2';

/** What a record is for. The browser is named with its version: with it come the driver's compiler and, mostly, new drivers. */
export interface TuningIdentity {
  adapter: string;
  browser: string;
}

let opened: UseStore | undefined;

/** Undefined where there is no IndexedDB: in Node. */
function store(): UseStore | undefined {
  if (typeof indexedDB === 'undefined') return undefined;
  return (opened ??= createStore('wp-models-tuning', 'records'));
}

const keyOf = ({ adapter, browser }: TuningIdentity): string => `${adapter} | ${browser}`;

/** The record of this device, unless it is of another version. */
export async function readTuning(identity: TuningIdentity): Promise<TuningRecord | undefined> {
  const own = store();
  if (!own) return undefined;
  const record: unknown = await get(keyOf(identity), own);
  return isRecord(record) && record.version === TUNING_VERSION ? record : undefined;
}

/** Takes the place of the record of the same device, whatever its version. */
export async function writeTuning(record: TuningRecord): Promise<void> {
  const own = store();
  if (own) await set(keyOf(record), record, own);
}

/** All records of this version, of this browser's earlier versions and other adapters too. */
export async function listTuning(): Promise<TuningRecord[]> {
  const own = store();
  if (!own) return [];
  const all = await entries<string, unknown>(own);
  return all.map(([, record]) => record).filter((record): record is TuningRecord => isRecord(record));
}

export async function clearTuning(): Promise<void> {
  const own = store();
  if (own) await clear(own);
}

function isRecord(value: unknown): value is TuningRecord {
  if (typeof value !== 'object' || value === null) return false;
  const { adapter, browser, version, choices, skipped } = value as Partial<TuningRecord>;
  return (
    [adapter, browser, version].every((text) => typeof text === 'string') &&
    Array.isArray(skipped) &&
    Array.isArray(choices) &&
    choices.every((choice: unknown) => typeof (choice as { key?: unknown } | null)?.key === 'string')
  );
}
